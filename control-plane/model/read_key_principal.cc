#include "control-plane/model/read_key_principal.h"

#include <string>

#include "sidecar/base/text.h"
#include "sidecar/config/field_path.h"
#include "sidecar/jwt/key_set.h"

namespace pillion::control {
namespace {

// As sidecars have it (sidecar/config/parse_tokens.cc).
constexpr size_t kMaxClaimBytes = 256;
constexpr size_t kMaxIssuerBytes = 1024;
constexpr int kMaxAudiences = 32;

}  // namespace

KeyPrincipalRule ReadKeyPrincipal(const kube::policy::v1alpha1::IdempotencyPolicySpec::Principal& principal,
                                  Report& report) {
  KeyPrincipalRule rule;
  if (!principal.claim().empty()) rule.claim = principal.claim();
  if (rule.claim.size() > kMaxClaimBytes)
    report.Add("spec.principal.claim", "expected at most " + std::to_string(kMaxClaimBytes) + " bytes");
  rule.issuer = principal.issuer();
  if (rule.issuer.empty())
    report.Add("spec.principal", "expected issuer: the same claim of another issuer is another user");
  if (rule.issuer.size() > kMaxIssuerBytes)
    report.Add("spec.principal.issuer", "expected at most " + std::to_string(kMaxIssuerBytes) + " bytes");
  if (principal.audiences_size() > kMaxAudiences)
    report.Add("spec.principal.audiences", "expected at most " + std::to_string(kMaxAudiences));
  for (int i = 0; i < principal.audiences_size(); ++i) {
    if (principal.audiences(i).empty())
      report.Add(config::ElementPath("spec.principal.audiences", static_cast<size_t>(i)), "expected a name");
    rule.audiences.push_back(principal.audiences(i));
  }
  rule.jwks = principal.jwks();
  rule.jwks_file = principal.jwks_file();
  if (rule.jwks.empty() == rule.jwks_file.empty())
    report.Add("spec.principal", "expected jwks or jwksFile, one of them");
  if (rule.jwks_file.find('\0') != std::string::npos)
    report.Add("spec.principal.jwks_file", "expected the path of a file at the sidecars");
  if (rule.jwks.empty()) return rule;
  const auto keys = jwt::KeySet::Parse(rule.jwks);
  if (!keys.ok()) report.Add("spec.principal.jwks", std::string(FromAbsl(keys.status().message())));
  return rule;
}

}  // namespace pillion::control
