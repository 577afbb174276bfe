// Values of fields that clients, apps and other sidecars write, and that decide where a request goes, how
// long it may take and whether it is sent again: any value is refused or means something within its limits.
//
//   byte 0: which; byte 1: of what kind; then the value
#include <chrono>
#include <string>

#include "sidecar/base/check.h"
#include "sidecar/exchange/peer_outcome.h"
#include "sidecar/filter/grpc.h"
#include "sidecar/filter/sticky_session.h"
#include "sidecar/http/cookie.h"
#include "sidecar/upstream/retry_judgement.h"
#include "tests/fuzz/input.h"

namespace pillion::fuzz {
namespace {

const time::WallTime kNow{std::chrono::seconds(1'790'000'000)};

void CheckSticky(std::string_view value) {
  const auto read = filter::ReadStickyValue(value, kNow);
  if (!read) return;
  const auto again = filter::ReadStickyValue(filter::StickyValue(*read, {}, kNow), kNow);
  PILLION_CHECK(again && *again == *read);
}

void CheckCookie(uint8_t name_bytes, std::string_view value) {
  const std::string_view name = value.substr(0, 1 + name_bytes % 8);
  http::HeaderList fields;
  fields.Add("cookie", value.substr(name.size()));
  const auto found = http::FindCookie(fields, name);
  if (!found) return;
  PILLION_CHECK(found->find(';') == std::string_view::npos);
  const std::string_view held = fields[0].value;
  PILLION_CHECK(found->data() >= held.data() && found->data() + found->size() <= held.data() + held.size());
}

void CheckToldWait(uint8_t kind, std::string_view value) {
  config::RetryPolicy policy;
  policy.backoff_max = std::chrono::milliseconds(250);
  policy.reset_max = std::chrono::minutes(5);
  if ((kind & 1) != 0) policy.reset_headers.push_back({.name = "x-reset", .timestamp = (kind & 2) != 0});
  http::HeaderList fields;
  constexpr std::string_view kNames[] = {"retry-after", "grpc-retry-pushback-ms", "x-reset"};
  fields.Add(kNames[kind / 4 % 3], value);
  const upstream::ToldWait told = upstream::ReadToldWait(
      policy, fields, (kind & 64) != 0,
      std::chrono::duration_cast<std::chrono::seconds>(kNow.time_since_epoch()), uint64_t{kind} << 56);
  PILLION_CHECK(told.wait.count() >= 0);
  // What is told is never halved, but may be half as long again.
  PILLION_CHECK(told.wait <= policy.reset_max * 3 / 2);
  PILLION_CHECK(told.kind == upstream::ToldWait::Kind::kWait || told.wait.count() == 0);
}

void CheckTimeout(std::string_view value) {
  const auto timeout = filter::ParseGrpcTimeout(value);
  if (!timeout) return;
  PILLION_CHECK(timeout->count() >= 0);
  const auto told_on = filter::ParseGrpcTimeout(filter::FormatGrpcTimeout(*timeout));
  PILLION_CHECK(told_on && (*told_on <= *timeout || timeout->count() == 0));
}

void CheckOutcome(std::string_view value) {
  const RequestError read = exchange::ReadOutcome(value);
  if (!read) return;
  const std::string told_on = exchange::DescribeOutcome(read);
  PILLION_CHECK(told_on.empty() || told_on == value);
}

}  // namespace
}  // namespace pillion::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pillion::fuzz;
  Input input(data, size);
  const uint8_t which = input.Byte();
  const uint8_t kind = input.Byte();
  const std::string_view value = input.Rest();
  switch (which % 5) {
    case 0:
      CheckSticky(value);
      break;
    case 1:
      CheckCookie(kind, value);
      break;
    case 2:
      CheckToldWait(kind, value);
      break;
    case 3:
      CheckTimeout(value);
      break;
    default:
      CheckOutcome(value);
      break;
  }
  return 0;
}
