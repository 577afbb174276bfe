// Any value as an Idempotency-Key: refused, or a key that is found again in what a client would write of it,
// with quotes, and without them where that is allowed; and two fields are none.
#include <algorithm>
#include <string>

#include "sidecar/base/check.h"
#include "sidecar/idempotency/app_key.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pillion;
  fuzz::Input input(data, size);
  const std::string_view value = input.Rest();
  const auto key = idempotency::ParseAppKey(value);
  http::HeaderList fields;
  fields.Add("idempotency-key", value);
  const idempotency::AppKey read = idempotency::ReadAppKey(fields);
  using Kind = idempotency::AppKey::Kind;
  PILLION_CHECK(read.kind == (key ? Kind::kKey : Kind::kBad));
  if (!key) return 0;
  PILLION_CHECK(read.text == *key);
  PILLION_CHECK(!key->empty() && key->size() <= idempotency::kMaxKeyBytes);
  PILLION_CHECK(std::ranges::all_of(*key, [](char c) { return c >= 0x20 && c <= 0x7e; }));
  std::string quoted = "\"";
  for (const char c : *key) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  PILLION_CHECK(idempotency::ParseAppKey(quoted + '"') == key);
  // A text that is a key as it stands is that one.
  const auto bare = idempotency::ParseAppKey(*key);
  const bool changed = key->front() == '"' || key->front() == ' ' || key->back() == ' ';
  PILLION_CHECK(!bare || *bare == *key || changed);
  fields.Add("idempotency-key", value);
  PILLION_CHECK(idempotency::ReadAppKey(fields).kind == Kind::kBad);
  return 0;
}
