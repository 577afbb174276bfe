// What went wrong with a request, on which side, and whether trying again is safe (DESIGN.md section 6).
#ifndef PILLION_SIDECAR_BASE_REQUEST_ERROR_H_
#define PILLION_SIDECAR_BASE_REQUEST_ERROR_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pillion {

// How an attempt ended, as far as it is proven. Only what cannot have run may run again.
enum class Outcome : uint8_t {
  kNotSent,    // no byte of the request was written to a peer
  kRefused,    // the peer says that it did not process it (REFUSED_STREAM, GOAWAY below our id)
  kAmbiguous,  // bytes went out and no complete answer came back
  kAnswered,   // the peer answered
};

inline constexpr size_t kOutcomes = static_cast<size_t>(Outcome::kAnswered) + 1;

enum class Side : uint8_t { kClient, kUpstream, kLocal };
inline constexpr size_t kSides = static_cast<size_t>(Side::kLocal) + 1;

// One kind per answer that a client can get; exchange/answers.cc holds the only table from kind to status.
enum class ErrorKind : uint8_t {
  kNone,
  kMalformed,           // the message breaks its protocol
  kPathRefused,         // a path that readers disagree about (400)
  kHeadTooLarge,        // a head beyond its limit (client: 431, upstream: 502)
  kTargetTooLong,       // 414
  kBodyTooLarge,        // content that had to be held (client: 413, upstream: 502)
  kUnsupportedVersion,  // 505
  kExpectation,         // an Expect that nobody meets (417)
  kHttp10,              // HTTP/1.0 is not taken here (426)
  kPressure,            // memory is short (503)
  kNotImplemented,      // a coding or method that we do not carry (501)
  kConnectRefused,      // CONNECT is not offered (405)
  kUpgradeRefused,      // a tunnel that policy does not allow (403), or that cannot be had (upstream: 502)
  kNoRoute,             // nothing matched (404)
  kNoCluster,           // the route names a cluster that we do not have (503)
  kNoEndpoint,          // a cluster without a usable endpoint (503)
  kLoop,                // the endpoint is the listener that the request came in by (508)
  kConnectFailed,       // TCP connect failed (503)
  kConnectTimeout,      // 503
  kOverflow,            // a circuit or queue limit (503)
  kReset,               // the stream was reset by its peer
  kClosed,              // the connection ended under the stream
  kTimeout,             // route time-out (504)
  kDeadline,            // the request's own deadline, or the route's max_stream_duration (408)
  kPerTryTimeout,       // 504
  kIdleTimeout,         // no byte for too long
  kHeadTimeout,         // the client's head took too long (408)
  kTooEarly,            // came as TLS early data, and must not be replayed (425)
  kClientGone,          // nobody is left to answer
  kPeerRefused,         // REFUSED_STREAM or GOAWAY below our id
  kDraining,            // we are shutting down
  kFault,               // policy makes it fail (503, or what the policy says)
  kOutcomeUnknown,      // of a request with a token: it may have run, or not, and is not run again (500)
  kRateLimited,         // more requests than policy allows (429, likewise)
  kAccessDenied,        // policy does not let this client ask for this (403)
  kInternal,            // our own survivable bug
};
inline constexpr size_t kErrorKinds = static_cast<size_t>(ErrorKind::kInternal) + 1;

struct RequestError {
  ErrorKind kind = ErrorKind::kNone;
  Side side = Side::kLocal;
  Outcome outcome = Outcome::kNotSent;
  // A static sentence with the reason: for explain, logs and tests. Never peer-controlled bytes.
  std::string_view detail;
  explicit operator bool() const { return kind != ErrorKind::kNone; }
};

std::string_view ToString(ErrorKind kind);
std::string_view ToString(Outcome outcome);
std::string_view ToString(Side side);

}  // namespace pillion

#endif  // PILLION_SIDECAR_BASE_REQUEST_ERROR_H_
