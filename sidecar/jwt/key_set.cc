#include "sidecar/jwt/key_set.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "sidecar/jwt/base64url.h"
#include "sidecar/jwt/json.h"
#include "sidecar/jwt/native_key.h"

namespace pillion::jwt {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

struct Named {
  std::string_view name;
  Algorithm algorithm;
};
constexpr std::array<Named, 10> kAlgorithms = {{{"RS256", Algorithm::kRs256},
                                                {"RS384", Algorithm::kRs384},
                                                {"RS512", Algorithm::kRs512},
                                                {"PS256", Algorithm::kPs256},
                                                {"PS384", Algorithm::kPs384},
                                                {"PS512", Algorithm::kPs512},
                                                {"ES256", Algorithm::kEs256},
                                                {"ES384", Algorithm::kEs384},
                                                {"ES512", Algorithm::kEs512},
                                                {"EdDSA", Algorithm::kEdDsa}}};

absl::Status Error(const std::string& where, std::string_view what) {
  return absl::InvalidArgumentError(where + ": " + std::string(what));
}

// One JWK.
class KeyReader {
 public:
  KeyReader(const Struct& jwk, std::string where) : jwk_(jwk), where_(std::move(where)) {}

  // Adds nothing where no signature of ours can be verified with it.
  absl::Status Read(std::vector<Key>& keys) {
    const std::string* const type = Text("kty");
    if (type == nullptr) return Error(where_ + ".kty", "expected a string");
    if (*type == "oct" || jwk_.fields().contains("d"))
      return Error(where_, "expected a public key: this is a secret, and signs");
    if (!IsForSignatures()) return absl::OkStatus();
    std::optional<KeyKind> kind;
    Key::Native native;
    if (*type == "RSA") {
      kind = KeyKind::kRsa;
      native = Rsa();
    } else if (*type == "EC" || *type == "OKP") {
      kind = KindOfCurve(*type);
      if (kind) native = *type == "EC" ? Ec(*kind) : EdKey();
    }
    if (!error_.ok() || !kind) return error_;
    Key key(*kind, std::move(native));
    if (const std::string* const id = Text("kid")) key.SetId(*id);
    if (const std::string* const name = Text("alg")) {
      const auto algorithm = ParseAlgorithm(*name);
      if (!algorithm || KindFor(*algorithm) != *kind) return error_;  // meant for something else
      key.SetAlgorithm(*algorithm);
    }
    if (error_.ok()) keys.push_back(std::move(key));
    return error_;
  }

 private:
  // What stands there must be a string.
  const std::string* Text(const std::string& name) {
    const std::string* const text = FindText(jwk_, name);
    if (text == nullptr && jwk_.fields().contains(name)) Fail(name, "expected a string");
    return text;
  }
  void Fail(const std::string& name, std::string_view what) {
    if (error_.ok()) error_ = Error(where_ + '.' + name, what);
  }
  // Bytes of base64url; "" with an error.
  std::string Number(const std::string& name) {
    const std::string* const text = Text(name);
    auto bytes = text == nullptr ? std::nullopt : DecodeBase64Url(*text);
    if (bytes && !bytes->empty()) return *std::move(bytes);
    Fail(name, "expected base64url without padding");
    return "";
  }

  // RFC 7517 sections 4.2 and 4.3.
  bool IsForSignatures() {
    const std::string* const use = Text("use");
    if (use != nullptr && *use != "sig") return false;
    const Value* const operations = FindMember(jwk_, "key_ops");
    if (operations == nullptr) return true;
    return std::ranges::any_of(operations->list_value().values(),
                               [](const Value& one) { return one.string_value() == "verify"; });
  }

  std::optional<KeyKind> KindOfCurve(const std::string& type) {
    const std::string* const curve = Text("crv");
    if (curve == nullptr) {
      Fail("crv", "expected a string");
      return std::nullopt;
    }
    if (type == "OKP") return *curve == "Ed25519" ? std::optional(KeyKind::kEd25519) : std::nullopt;
    if (*curve == "P-256") return KeyKind::kP256;
    if (*curve == "P-384") return KeyKind::kP384;
    return *curve == "P-521" ? std::optional(KeyKind::kP521) : std::nullopt;
  }

  Key::Native Rsa() {
    std::string modulus = Number("n");
    const std::string exponent = Number("e");
    if (!error_.ok()) return nullptr;
    modulus.erase(0, modulus.find_first_not_of('\0'));  // some write one zero too many
    const size_t bits = modulus.empty()
                            ? 0
                            : 8 * (modulus.size() - 1) +
                                  static_cast<size_t>(std::bit_width(static_cast<uint8_t>(modulus[0])));
    if (bits < kMinRsaBits || bits > kMaxRsaBits) {
      Fail("n", "expected 2048 to 8192 bits");
      return nullptr;
    }
    Key::Native key = exponent.size() <= kMaxExponentBytes ? MakeRsaKey(modulus, exponent) : nullptr;
    if (key == nullptr) Fail("e", "expected an odd number of at most 8 bytes, beside a modulus that is one");
    return key;
  }

  Key::Native Ec(KeyKind curve) {
    const Point point = {Number("x"), Number("y")};
    Key::Native key = error_.ok() ? MakeEcKey(curve, point) : nullptr;
    if (key == nullptr) Fail("x", "expected, with y, a point of the curve, of its full length");
    return key;
  }

  Key::Native EdKey() {
    const std::string point = Number("x");
    Key::Native key = error_.ok() ? MakeEd25519Key(point) : nullptr;
    if (key == nullptr) Fail("x", "expected 32 bytes");
    return key;
  }

  const Struct& jwk_;
  const std::string where_;
  absl::Status error_;
};

}  // namespace

std::optional<Algorithm> ParseAlgorithm(std::string_view name) {
  const auto* const found = std::ranges::find(kAlgorithms, name, &Named::name);
  return found == kAlgorithms.end() ? std::nullopt : std::optional(found->algorithm);
}

KeyKind KindFor(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kEs256:
      return KeyKind::kP256;
    case Algorithm::kEs384:
      return KeyKind::kP384;
    case Algorithm::kEs512:
      return KeyKind::kP521;
    case Algorithm::kEdDsa:
      return KeyKind::kEd25519;
    default:
      return KeyKind::kRsa;
  }
}

absl::StatusOr<KeySet> KeySet::Parse(std::string_view json) {
  if (json.size() > kMaxBytes) return absl::InvalidArgumentError("expected at most 1 MiB");
  const auto object = ReadObject(json);
  if (!object)
    return absl::InvalidArgumentError("expected a JWK set: a JSON object with no member twice in it");
  const Value* const all = FindMember(*object, "keys");
  if (all == nullptr || all->kind_case() != Value::kListValue)
    return Error("keys", "expected an array of JWK (RFC 7517 section 5)");
  const auto& jwks = all->list_value().values();
  if (static_cast<size_t>(jwks.size()) > kMaxKeys) return Error("keys", "expected at most 100");
  KeySet set;
  for (int i = 0; i < jwks.size(); ++i) {
    const std::string where = "keys[" + std::to_string(i) + ']';
    if (jwks[i].kind_case() != Value::kStructValue) return Error(where, "expected an object");
    absl::Status read = KeyReader(jwks[i].struct_value(), where).Read(set.keys_);
    if (!read.ok()) return read;
  }
  if (set.keys_.empty())
    return Error("keys", "expected one that verifies signatures: RSA, EC on P-256, P-384 or P-521, Ed25519");
  return set;
}

}  // namespace pillion::jwt
