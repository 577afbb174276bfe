// The only table from what went wrong to what the client is told (STYLE.md R8).
#ifndef PILLION_SIDECAR_EXCHANGE_ANSWERS_H_
#define PILLION_SIDECAR_EXCHANGE_ANSWERS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "sidecar/base/request_error.h"
#include "sidecar/http/head.h"

namespace pillion::exchange {

struct Answer {
  uint16_t status = 0;      // HTTP
  uint8_t grpc_status;      // https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
  std::string_view flag;    // Envoy's response flag
  std::string_view text;    // body, and grpc-message
  bool close = false;       // an HTTP/1 client's connection closes after it
  bool overloaded = false;  // x-envoy-overloaded says so: a limit of ours, not the upstream
};

Answer AnswerFor(const RequestError& error);

// The response head for it, with its body's length.
http::ResponseHead MakeAnswer(const Answer& answer);
// The same for a gRPC request: HTTP 200, trailers-only, of the request's own content type.
http::ResponseHead MakeGrpcAnswer(const Answer& answer, const http::RequestHead& request);

}  // namespace pillion::exchange

#endif  // PILLION_SIDECAR_EXCHANGE_ANSWERS_H_
