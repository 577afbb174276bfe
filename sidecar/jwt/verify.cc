#include "sidecar/jwt/verify.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "sidecar/jwt/base64url.h"
#include "sidecar/jwt/json.h"

namespace pillion::jwt {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

struct Parts {
  std::string_view header;
  std::string_view claims;
  std::string_view signature;
  std::string_view text;  // that is signed
};

std::optional<Parts> Split(std::string_view token) {
  const size_t first = token.find('.');
  const size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos)
    return std::nullopt;
  return Parts{token.substr(0, first), token.substr(first + 1, second - first - 1), token.substr(second + 1),
               token.substr(0, second)};
}

// nullopt: one of them has made it.
std::optional<Problem> FindSigner(const KeySet& keys, const Struct& header, std::string_view text,
                                  std::string_view signature) {
  const std::string* const name = FindText(header, "alg");
  if (name == nullptr) return Problem::kHeader;
  if (FindMember(header, "crit") != nullptr) return Problem::kCritical;
  const auto algorithm = ParseAlgorithm(*name);
  if (!algorithm) return Problem::kAlgorithm;
  const std::string* const id = FindText(header, "kid");
  if (id == nullptr && FindMember(header, "kid") != nullptr) return Problem::kHeader;
  size_t fit = 0;
  keys.ForEach(*algorithm, id, [&](const Key&) { return ++fit <= kMaxKeysTried; });
  if (fit == 0) return Problem::kNoKey;
  if (fit > kMaxKeysTried) return Problem::kManyKeys;
  bool good = false;
  keys.ForEach(*algorithm, id, [&](const Key& key) {
    good = key.Verifies(*algorithm, text, signature);
    return !good;
  });
  return good ? std::nullopt : std::optional(Problem::kSignature);
}

// A NumericDate; nullopt: it is none.
std::optional<double> Date(const Value* value) {
  if (value == nullptr || value->kind_case() != Value::kNumberValue) return std::nullopt;
  return value->number_value();
}

std::optional<Problem> CheckTimes(const Struct& claims, std::chrono::sys_seconds now) {
  const auto time = static_cast<double>(now.time_since_epoch().count());
  const auto leeway = static_cast<double>(kLeeway.count());
  const auto expires = Date(FindMember(claims, "exp"));
  if (!expires) return Problem::kNoExpiry;
  if (time >= *expires + leeway) return Problem::kExpired;
  const Value* const begins = FindMember(claims, "nbf");
  if (begins == nullptr) return std::nullopt;
  const auto from = Date(begins);
  if (!from || time + leeway < *from) return Problem::kNotYet;
  return std::nullopt;
}

// A string, or an array of them (RFC 7519 section 4.1.3).
bool IsFor(const Value* audience, const std::vector<std::string>& wanted) {
  if (wanted.empty()) return true;
  if (audience == nullptr) return false;
  const auto is_wanted = [&](const Value& one) {
    return one.kind_case() == Value::kStringValue &&
           std::ranges::find(wanted, one.string_value()) != wanted.end();
  };
  return is_wanted(*audience) || std::ranges::any_of(audience->list_value().values(), is_wanted);
}

}  // namespace

std::string_view ToString(Problem problem) {
  switch (problem) {
    case Problem::kTooLarge:
      return "it is larger than 16 KiB";
    case Problem::kNotThreeParts:
      return "it is no compact JWS: three parts with dots between them";
    case Problem::kEncoding:
      return "one of its parts is not base64url without padding";
    case Problem::kHeader:
      return "its header is no JSON object with alg, or has a member twice";
    case Problem::kCritical:
      return "its header has crit, and no extension is understood";
    case Problem::kAlgorithm:
      return "its alg is none that is accepted";
    case Problem::kNoKey:
      return "no key that is known is of its kid and fits its alg";
    case Problem::kManyKeys:
      return "it has no kid, and too many keys fit its alg";
    case Problem::kSignature:
      return "its signature does not fit";
    case Problem::kClaims:
      return "its claims are no JSON object, or have a member twice";
    case Problem::kNoExpiry:
      return "it has no exp that is a number";
    case Problem::kExpired:
      return "it has expired";
    case Problem::kNotYet:
      return "it is not valid yet";
    case Problem::kIssuer:
      return "it is of another issuer";
    case Problem::kAudience:
      return "it is for another audience";
    case Problem::kNoClaim:
      return "the claim that is wanted is not a string of 1 to 512 bytes";
  }
  return "";
}

std::variant<Struct, Problem> ReadSigned(std::string_view token, const KeySet& keys) {
  if (token.size() > kMaxTokenBytes) return Problem::kTooLarge;
  const auto parts = Split(token);
  if (!parts) return Problem::kNotThreeParts;
  const auto header_text = DecodeBase64Url(parts->header);
  const auto claims_text = DecodeBase64Url(parts->claims);
  const auto signature = DecodeBase64Url(parts->signature);
  if (!header_text || !claims_text || !signature) return Problem::kEncoding;
  const auto header = ReadObject(*header_text);
  if (!header) return Problem::kHeader;
  if (const auto problem = FindSigner(keys, *header, parts->text, *signature)) return *problem;
  auto claims = ReadObject(*claims_text);
  if (!claims) return Problem::kClaims;
  return *std::move(claims);
}

std::variant<std::string, Problem> Verify(std::string_view token, const KeySet& keys, const Terms& terms,
                                          std::chrono::sys_seconds now) {
  const auto read = ReadSigned(token, keys);
  if (const auto* const problem = std::get_if<Problem>(&read)) return *problem;
  const Struct& claims = std::get<Struct>(read);
  if (const auto problem = CheckTimes(claims, now)) return *problem;
  const std::string* const issuer = FindText(claims, "iss");
  if (!terms.issuer.empty() && (issuer == nullptr || *issuer != terms.issuer)) return Problem::kIssuer;
  if (!IsFor(FindMember(claims, "aud"), terms.audiences)) return Problem::kAudience;
  const std::string* const claim = FindText(claims, terms.claim);
  if (claim == nullptr || claim->empty() || claim->size() > kMaxClaimBytes) return Problem::kNoClaim;
  return *claim;
}

}  // namespace pillion::jwt
