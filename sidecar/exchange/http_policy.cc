#include "sidecar/exchange/http_policy.h"

#include <string_view>
#include <vector>

#include "sidecar/base/text.h"
#include "sidecar/exchange/client_certificate.h"
#include "sidecar/filter/client_address.h"

namespace pillion::exchange {
namespace {

using config::HttpPolicy;
using http::Known;

constexpr std::string_view kForwardedFor = "x-forwarded-for";
constexpr std::string_view kForwardedProto = "x-forwarded-proto";

RequestError Refused(ErrorKind kind, std::string_view detail) {
  return {kind, Side::kClient, Outcome::kNotSent, detail};
}

// RFC 9110 section 10.1.1.
RequestVerdict JudgeExpect(const HttpPolicy& policy, http::RequestHead& head) {
  bool known = false;
  bool unknown = false;
  for (size_t i = 0; i < head.headers.size(); ++i) {
    if (head.headers[i].known != Known::kExpect) continue;
    ForEachListElement(head.headers[i].value, [&](std::string_view expectation) {
      (EqualsIgnoreCase(expectation, "100-continue") ? known : unknown) = true;
    });
  }
  if (unknown) return {.error = Refused(ErrorKind::kExpectation, "an expectation that nobody here meets")};
  if (!known) return {};  // an empty list expects nothing
  if (!policy.answer_100_continue || head.version == http::Version::kHttp10) return {};
  head.headers.Remove(Known::kExpect);
  return {.error = {}, .redirect = false, .send_continue = true};
}

// False: there is one, and it is refused.
bool JudgeNames(config::UnderscoreNames rule, http::HeaderList& headers) {
  std::vector<std::string> names;
  for (size_t i = 0; i < headers.size(); ++i) {
    if (headers[i].name.find('_') != std::string_view::npos) names.emplace_back(headers[i].name);
  }
  if (names.empty()) return true;
  if (rule == config::UnderscoreNames::kReject) return false;
  for (const std::string& name : names) headers.Remove(name);
  return true;
}

// All fields of that name as one list.
std::string Joined(const http::HeaderList& headers, std::string_view name) {
  std::string list;
  for (size_t i = 0; i < headers.size(); ++i) {
    if (!EqualsIgnoreCase(headers[i].name, name)) continue;
    if (!list.empty()) list += ", ";
    list += headers[i].value;
  }
  return list;
}

void Forward(const HttpPolicy& policy, const Arrival& arrival, http::RequestHead& head) {
  if (!policy.skip_xff_append) {
    std::string list = Joined(head.headers, kForwardedFor);
    if (!list.empty()) list += ", ";
    list += arrival.peer.ip();
    head.headers.Remove(kForwardedFor);
    head.headers.Add(kForwardedFor, list);
  }
  if (policy.trusted_hops > 0 && head.headers.Find(kForwardedProto)) return;
  head.headers.Remove(kForwardedProto);
  // Not the request's scheme, which is the client's to write.
  head.headers.Add(kForwardedProto, arrival.security != nullptr ? "https" : "http");
}

RequestVerdict ApplyRules(const HttpPolicy& policy, http::RequestHead& head) {
  RequestVerdict verdict;
  if (policy.underscore_names != config::UnderscoreNames::kAllow &&
      !JudgeNames(policy.underscore_names, head.headers)) {
    return {.error = Refused(ErrorKind::kMalformed, "a field name with an underscore")};
  }
  switch (http::Canonicalize(policy.path, head.path)) {
    case http::PathVerdict::kRefused:
      return {.error = Refused(ErrorKind::kPathRefused, "a path that readers disagree about")};
    case http::PathVerdict::kRedirect:
      verdict.redirect = true;
      break;
    case http::PathVerdict::kKept:
    case http::PathVerdict::kChanged:
      break;
  }
  if (!policy.via.empty()) head.headers.Add(Known::kVia, policy.via);
  return verdict;
}

}  // namespace

RequestVerdict ApplyToRequest(const HttpPolicy& policy, const Arrival& arrival, http::RequestHead& head) {
  if (policy.use_remote_address) Forward(policy, arrival, head);  // also for the log of what is refused below
  if (policy.client_certificate.mode != config::ForwardClientCertificates::kSanitize ||
      head.headers.Has(Known::kForwardedClientCert)) {
    ForwardClientCertificate(policy.client_certificate, arrival.security, head.headers);
  }
  if (head.version == http::Version::kHttp10 && !arrival.restored) {
    if (!policy.accept_http10) return {.error = Refused(ErrorKind::kHttp10, "HTTP/1.0 is not taken here")};
    if (!head.has_authority && !policy.default_host_for_http10.empty()) {
      head.has_authority = true;
      head.authority = policy.default_host_for_http10;
    }
  }
  RequestVerdict expect;
  if (head.headers.Has(Known::kExpect)) expect = JudgeExpect(policy, head);
  if (policy.plain || expect.error) return expect;
  RequestVerdict verdict = ApplyRules(policy, head);
  verdict.send_continue = expect.send_continue && !verdict.error && !verdict.redirect;
  return verdict;
}

void ApplyToResponse(const HttpPolicy& policy, bool upstream, http::ResponseHead& head) {
  switch (policy.server) {
    case config::ServerField::kPassThrough:
      break;
    case config::ServerField::kAddIfAbsent:
      if (!head.headers.Has(Known::kServer)) head.headers.Add(Known::kServer, policy.server_name);
      break;
    case config::ServerField::kOverwrite:
      head.headers.Set(Known::kServer, policy.server_name);
      break;
  }
  if (upstream && !policy.via.empty()) head.headers.Add(Known::kVia, policy.via);
}

}  // namespace pillion::exchange
