#include "sidecar/tls/verifier.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "sidecar/base/text.h"
#include "sidecar/tls/spiffe.h"

namespace pillion::tls {
namespace {

std::string Lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = AsciiLower(c);
  return result;
}

net::TlsFailure ClassOf(int error) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
    case X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD:
    case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD:
      return net::TlsFailure::kExpired;
    case X509_V_ERR_CERT_REVOKED:
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
    case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
      return net::TlsFailure::kRevoked;
    default:
      return net::TlsFailure::kUntrusted;
  }
}

// A DNS name in a certificate may stand for one label (RFC 6125 section 6.4.3).
bool WildcardMatches(std::string_view pattern, std::string_view name) {
  if (!pattern.starts_with("*.")) return false;
  const size_t dot = name.find('.');
  return dot != std::string_view::npos && dot > 0 && EqualsIgnoreCase(pattern.substr(1), name.substr(dot));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Verifier>> Verifier::Make(const Validation& from) {
  std::shared_ptr<Verifier> made(new Verifier());
  if (!from.trusted_ca.empty()) {
    if (absl::Status read = made->ReadStore(from); !read.ok()) return read;
  } else if (!from.crl.empty() || !from.names.empty()) {
    return absl::InvalidArgumentError(
        "validation_context.trusted_ca: expected one; names and revocation lists need it");
  }
  for (const NameMatcher& how : from.names) {
    Matcher matcher{.how = how, .regex = nullptr};
    if (how.match == NameMatcher::Match::kRegex) {
      re2::RE2::Options options;
      options.set_log_errors(false);
      options.set_encoding(re2::RE2::Options::EncodingLatin1);  // a name need not be UTF-8
      options.set_case_sensitive(!how.ignore_case);
      matcher.regex = std::make_unique<re2::RE2>(how.text, options);
      if (!matcher.regex->ok()) {
        return absl::InvalidArgumentError(
            "validation_context.match_typed_subject_alt_names: expected a regular expression: " +
            matcher.regex->error());
      }
    }
    made->matchers_.push_back(std::move(matcher));
  }
  made->certificate_sha256_.insert(from.certificate_sha256.begin(), from.certificate_sha256.end());
  made->spki_sha256_.insert(from.spki_sha256.begin(), from.spki_sha256.end());
  made->check_time_ = !from.allow_expired;
  return made;
}

absl::Status Verifier::ReadStore(const Validation& from) {
  auto trusted = ReadCertificates(from.trusted_ca, "validation_context.trusted_ca", kMaxTrustedCas);
  if (!trusted.ok()) return trusted.status();
  trusted_ = std::move(*trusted);
  store_ = StorePtr(X509_STORE_new());
  for (const X509Ptr& one : trusted_) X509_STORE_add_cert(store_.get(), one.get());
  // An intermediate in the bundle is an anchor like any other.
  unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;
  if (from.allow_expired) flags |= X509_V_FLAG_NO_CHECK_TIME;
  if (!from.crl.empty()) {
    auto lists = ReadCrls(from.crl, "validation_context.crl");
    if (!lists.ok()) return lists.status();
    for (const CrlPtr& one : *lists) X509_STORE_add_crl(store_.get(), one.get());
    flags |= X509_V_FLAG_CRL_CHECK;
    if (!from.only_leaf_crl) flags |= X509_V_FLAG_CRL_CHECK_ALL;
  }
  X509_VERIFY_PARAM* param = X509_STORE_get0_param(store_.get());
  X509_VERIFY_PARAM_set_flags(param, flags);
  if (from.max_depth) X509_VERIFY_PARAM_set_depth(param, static_cast<int>(*from.max_depth));
  ERR_clear_error();  // the same CA twice is no fault
  return absl::OkStatus();
}

void Verifier::Install(SSL_CTX* ctx) const {
  if (store_ != nullptr) SSL_CTX_set1_cert_store(ctx, store_.get());
}

bool Verifier::Matcher::Matches(const std::string& name) const {
  if (regex != nullptr) return re2::RE2::FullMatch(name, *regex);
  const bool dns = how.kind == NameMatcher::Kind::kDns;
  const bool fold = how.ignore_case || dns;  // RFC 4343: DNS names have no case
  const std::string held = fold ? Lower(name) : name;
  const std::string wanted = fold ? Lower(how.text) : how.text;
  switch (how.match) {
    case NameMatcher::Match::kExact:
      return held == wanted || (dns && WildcardMatches(held, wanted));
    case NameMatcher::Match::kPrefix:
      return held.starts_with(wanted);
    case NameMatcher::Match::kSuffix:
      return held.ends_with(wanted);
    case NameMatcher::Match::kContains:
      return held.find(wanted) != std::string::npos;
    case NameMatcher::Match::kRegex:
      break;
  }
  return false;
}

bool Verifier::NameAllowed(const X509* leaf) const {
  const AlternativeNames names = NamesOf(leaf);
  return std::ranges::any_of(matchers_, [&](const Matcher& matcher) {
    const std::vector<std::string>* held = &names.dns;
    if (matcher.how.kind == NameMatcher::Kind::kUri) held = &names.uri;
    if (matcher.how.kind == NameMatcher::Kind::kEmail) held = &names.email;
    if (matcher.how.kind == NameMatcher::Kind::kIp) held = &names.ip;
    return std::ranges::any_of(*held, [&](const std::string& name) { return matcher.Matches(name); });
  });
}

bool Verifier::Pinned(const X509* leaf) const {
  return certificate_sha256_.contains(Sha256Of(leaf)) || spki_sha256_.contains(SpkiSha256Of(leaf));
}

Verdict Verifier::Judge(X509_STORE_CTX* store) const {
  using net::TlsFailure;
  X509* leaf = X509_STORE_CTX_get0_cert(store);
  if (leaf == nullptr) return {TlsFailure::kNoCertificate, "the peer sent no certificate"};
  if (store_ != nullptr) {
    if (X509_verify_cert(store) != 1) {
      const int error = X509_STORE_CTX_get_error(store);
      return {ClassOf(error), X509_verify_cert_error_string(error)};
    }
    if (const std::string_view problem = SvidLeafProblem(leaf); !problem.empty())
      return {TlsFailure::kSpiffe, problem};
    const STACK_OF(X509)* chain = X509_STORE_CTX_get0_chain(store);
    for (int i = 1; i < sk_X509_num(chain); ++i) {
      if (const std::string_view problem = SvidSignerProblem(sk_X509_value(chain, i)); !problem.empty())
        return {TlsFailure::kSpiffe, problem};
    }
    if (!matchers_.empty() && !NameAllowed(leaf))
      return {TlsFailure::kWrongName, "no subject alternative name of the peer is allowed"};
  } else if (check_time_ && (X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0 ||
                             X509_cmp_current_time(X509_get0_notBefore(leaf)) > 0)) {
    return {TlsFailure::kExpired, "certificate has expired or is not yet valid"};
  }
  const bool pins = !certificate_sha256_.empty() || !spki_sha256_.empty();
  if (pins && !Pinned(leaf)) return {TlsFailure::kPin, "neither the certificate nor its key is pinned"};
  return {};
}

}  // namespace pillion::tls
