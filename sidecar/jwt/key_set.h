// The public keys that JWT are verified with: a JWK set (RFC 7517, RFC 7518 section 6, RFC 8037). Immutable;
// any thread.
#ifndef PILLION_SIDECAR_JWT_KEY_SET_H_
#define PILLION_SIDECAR_JWT_KEY_SET_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

struct evp_pkey_st;

namespace pillion::jwt {

// RFC 7518 section 3, RFC 8037 section 3.1. What is not here is refused: "none", and HMAC, whose keys sign
// for all who could verify.
enum class Algorithm : uint8_t {
  kRs256,
  kRs384,
  kRs512,
  kPs256,
  kPs384,
  kPs512,
  kEs256,
  kEs384,
  kEs512,
  kEdDsa
};
std::optional<Algorithm> ParseAlgorithm(std::string_view name);

// A key's kind, as far as algorithms ask for it.
enum class KeyKind : uint8_t { kRsa, kP256, kP384, kP521, kEd25519 };
KeyKind KindFor(Algorithm algorithm);

class Key {
 public:
  struct Free {
    void operator()(evp_pkey_st* key) const;
  };
  using Native = std::unique_ptr<evp_pkey_st, Free>;
  Key(KeyKind kind, Native native) : kind_(kind), native_(std::move(native)) {}

  // Whether `algorithm` may be verified with it: a key is of one kind, and may be meant for one algorithm.
  bool Fits(Algorithm algorithm) const {
    return KindFor(algorithm) == kind_ && (!algorithm_ || *algorithm_ == algorithm);
  }
  // `signature` as JWS has it: of ECDSA two numbers of the curve's length (RFC 7518 section 3.4).
  bool Verifies(Algorithm algorithm, std::string_view text, std::string_view signature) const;

  const std::string& id() const { return id_; }
  void SetId(std::string id) { id_ = std::move(id); }
  void SetAlgorithm(Algorithm algorithm) { algorithm_ = algorithm; }

 private:
  KeyKind kind_;
  Native native_;
  std::string id_;  // "": it has none
  std::optional<Algorithm> algorithm_;
};

class KeySet {
 public:
  static constexpr size_t kMaxBytes = size_t{1024} * 1024;
  static constexpr size_t kMaxKeys = 100;

  // Keys that verify no signature of ours are left out (RFC 7517 section 5): other kinds and curves, and
  // those meant for something else. Errors, in words that begin with the member at fault: what is no set, has
  // none that is left, has one that is broken, too weak or too large, or one that is a secret.
  static absl::StatusOr<KeySet> Parse(std::string_view json);

  // Calls use(key) for each that may have made a signature of `algorithm`: those of that `id`, or, where
  // there are none, those without one; with `id` null, all. As long as it returns true.
  template <typename Use>
  void ForEach(Algorithm algorithm, const std::string* id, Use use) const {
    const auto has_id = [&](const Key& key) { return key.Fits(algorithm) && key.id() == *id; };
    const bool known = id != nullptr && std::ranges::any_of(keys_, has_id);
    for (const Key& key : keys_) {
      const bool named = id == nullptr || key.id() == (known ? *id : std::string());
      if (named && key.Fits(algorithm) && !use(key)) return;
    }
  }
  size_t size() const { return keys_.size(); }

 private:
  std::vector<Key> keys_;
};

}  // namespace pillion::jwt

#endif  // PILLION_SIDECAR_JWT_KEY_SET_H_
