// What gRPC says in HTTP fields (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). Pure.
#ifndef PILLION_SIDECAR_FILTER_GRPC_H_
#define PILLION_SIDECAR_FILTER_GRPC_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pillion::filter {

// grpc-status: a number; nullopt when it is none.
std::optional<uint32_t> ParseGrpcStatus(std::string_view text);
// grpc-message: bytes outside of 0x20..0x7e, and '%', as %XX; and back (what is no escape stays).
std::string EncodeGrpcMessage(std::string_view text);
std::string DecodeGrpcMessage(std::string_view text);

// grpc-timeout: at most 8 digits and a unit of H M S m u n. nullopt: not one.
std::optional<std::chrono::nanoseconds> ParseGrpcTimeout(std::string_view text);
// The finest unit that fits; never longer than `timeout`, except that less than 1 ns is 1n.
std::string FormatGrpcTimeout(std::chrono::nanoseconds timeout);

// What an HTTP client is told of a gRPC status (google.rpc.Code), and what a gRPC client is told of an HTTP
// status (http-grpc-status-mapping.md).
uint16_t HttpStatusOfGrpc(uint32_t grpc_status);
uint32_t GrpcStatusOfHttp(uint16_t http_status);

}  // namespace pillion::filter

#endif  // PILLION_SIDECAR_FILTER_GRPC_H_
