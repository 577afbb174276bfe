#include "sidecar/tls/ticket_keys.h"

#include <openssl/rand.h>

#include <cstring>
#include <utility>

#include "sidecar/base/check.h"

namespace pillion::tls {
namespace {

TicketKey RandomKey() {
  TicketKey key;
  PILLION_CHECK(RAND_bytes(key.name.data(), static_cast<int>(key.name.size())) == 1);
  PILLION_CHECK(RAND_bytes(key.hmac.data(), static_cast<int>(key.hmac.size())) == 1);
  PILLION_CHECK(RAND_bytes(key.aes.data(), static_cast<int>(key.aes.size())) == 1);
  return key;
}

}  // namespace

TicketKey TicketKey::From(const std::string& bytes) {
  PILLION_CHECK(bytes.size() == kBytes);
  TicketKey key;
  std::memcpy(key.name.data(), bytes.data(), key.name.size());
  std::memcpy(key.hmac.data(), bytes.data() + key.name.size(), key.hmac.size());
  std::memcpy(key.aes.data(), bytes.data() + key.name.size() + key.hmac.size(), key.aes.size());
  return key;
}

TicketKeys::TicketKeys(time::MonotonicTime now)
    : keys_(std::make_shared<const Keys>(Keys{RandomKey()})), next_(now + kLife) {}

TicketKeys::TicketKeys(const std::vector<std::string>& keys) {
  Keys fixed;
  fixed.reserve(keys.size());
  for (const std::string& bytes : keys) fixed.push_back(TicketKey::From(bytes));
  PILLION_CHECK(!fixed.empty());
  keys_ = std::make_shared<const Keys>(std::move(fixed));
}

bool TicketKeys::RotateIfDue(time::MonotonicTime now) {
  if (now < next_) return false;
  next_ = now + kLife;
  auto next = std::make_shared<const Keys>(Keys{RandomKey(), keys()->front()});
  const std::lock_guard<std::mutex> lock(mutex_);
  keys_ = std::move(next);
  return true;
}

}  // namespace pillion::tls
