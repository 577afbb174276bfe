// The filter contract. Filters answer with decisions and never call back (STYLE.md R4). A filter object is
// const and shared by all requests of a worker; what it remembers of one request lives in RequestState.
//
// Legal sequence for one request: OnRequestHead, then for each attempt OnAttemptHead, then OnResponseHead.
#ifndef PILLION_SIDECAR_FILTER_FILTER_H_
#define PILLION_SIDECAR_FILTER_FILTER_H_

#include <cstdint>
#include <string>

#include "sidecar/base/random.h"
#include "sidecar/config/listener.h"
#include "sidecar/http/head.h"
#include "sidecar/telemetry/request_record.h"

namespace pillion::filter {

// What the filters of one request remember; one member per filter that needs it.
struct RequestState {
  struct Trace {
    bool active = false;  // the listener traces and the request has a place in a trace
    bool sampled = false;
    telemetry::TraceId trace{};
    telemetry::SpanId server_span{};
    telemetry::SpanId parent{};   // all zero: this is the root
    telemetry::SpanId attempt{};  // of the attempt whose head goes out now
  } trace;
};

enum class Decision : uint8_t {
  kContinue,
  kRespond,  // the filter has filled in the response; no attempt is made
};

struct RequestView {
  const config::HttpOptions& options;
  http::RequestHead& head;
  RequestState& state;
  Random& random;
  http::ResponseHead& response;  // kRespond: what is sent
};

class Filter {
 public:
  virtual ~Filter() = default;
  virtual Decision OnRequestHead(const RequestView& request) const = 0;
  // The head of an attempt is about to be sent; may change it for this attempt.
  virtual void OnAttemptHead(const RequestView& request) const = 0;
};

}  // namespace pillion::filter

#endif  // PILLION_SIDECAR_FILTER_FILTER_H_
