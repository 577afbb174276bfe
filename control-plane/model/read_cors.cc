// The filter CORS of HTTPRoutes (Gateway API v1, HTTPCORSFilter).
#include <algorithm>
#include <charconv>

#include "control-plane/model/read.h"
#include "sidecar/base/text.h"
#include "sidecar/config/field_path.h"

namespace pillion::control {
namespace {

using config::ElementPath;
using config::FieldPath;
using Texts = google::protobuf::RepeatedPtrField<std::string>;

constexpr int kMaxMethods = 16;
// The Gateway API's.
constexpr int kMaxOrigins = 64;
constexpr int kMaxHeaders = 64;
constexpr char kAll[] = "*";

// What can be in the Origin field of a browser, with the `*`; false: nothing that could.
bool ReadOrigin(std::string_view text, CorsOrigin& origin) {
  const std::string_view scheme = text.starts_with("https://") ? "https://" : "http://";
  if (!text.starts_with(scheme)) return false;
  text.remove_prefix(scheme.size());
  const std::string_view host = text.substr(0, text.find(':'));
  origin.any_host = host == kAll || host.starts_with("*.");
  if (host != kAll && !IsDnsSubdomain(origin.any_host ? host.substr(2) : host)) return false;
  origin.text = std::string(scheme) + std::string(host);
  if (host.size() == text.size()) return true;
  const std::string_view digits = text.substr(host.size() + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port == 0) return false;
  if (port != (scheme == "https://" ? 443 : 80)) origin.text += ":" + std::to_string(port);
  return true;
}

void CheckCount(const Texts& texts, int most, const std::string& path, Report& report) {
  if (texts.size() > most) report.Add(path, "expected at most " + std::to_string(most));
  if (texts.size() > 1 && std::ranges::find(texts, kAll) != texts.end())
    report.Add(path, "expected * alone, or none");
}

// Methods, or names of fields in lower case.
std::vector<std::string> ReadTokens(const Texts& texts, const char* what, const std::string& path,
                                    Report& report) {
  std::vector<std::string> tokens(texts.begin(), texts.end());
  for (int i = 0; i < texts.size(); ++i) {
    if (!IsToken(texts[i]))
      report.Add(ElementPath(path, static_cast<size_t>(i)), std::string("expected ") + what + ", or *");
  }
  return tokens;
}

std::vector<std::string> ReadNames(const Texts& texts, const std::string& path, Report& report) {
  CheckCount(texts, kMaxHeaders, path, report);
  std::vector<std::string> names = ReadTokens(texts, "the name of a header", path, report);
  for (std::string& name : names) std::ranges::transform(name, name.begin(), AsciiLower);
  return names;
}

}  // namespace

CorsRule ReadCors(const kube::gateway::v1::HTTPCORSFilter& message, const std::string& path, Report& report) {
  CorsRule rule;
  const std::string origins_path = FieldPath(path, "allow_origins");
  if (message.allow_origins().empty()) report.Add(path, "expected allowOrigins, * for all");
  CheckCount(message.allow_origins(), kMaxOrigins, origins_path, report);
  for (int i = 0; i < message.allow_origins_size(); ++i) {
    std::string text = message.allow_origins(i);
    std::ranges::transform(text, text.begin(), AsciiLower);
    CorsOrigin origin{.text = kAll, .any_host = false};
    if (text != kAll && !ReadOrigin(text, origin)) {
      report.Add(ElementPath(origins_path, static_cast<size_t>(i)),
                 "expected http:// or https://, a host, maybe with *. in front, and maybe a port; or *");
    }
    rule.origins.push_back(std::move(origin));
  }
  const std::string methods_path = FieldPath(path, "allow_methods");
  CheckCount(message.allow_methods(), kMaxMethods, methods_path, report);
  rule.methods = ReadTokens(message.allow_methods(), "a method", methods_path, report);
  rule.headers = ReadNames(message.allow_headers(), FieldPath(path, "allow_headers"), report);
  rule.exposed = ReadNames(message.expose_headers(), FieldPath(path, "expose_headers"), report);
  rule.credentials = message.allow_credentials();
  if (rule.credentials && std::ranges::find(rule.exposed, kAll) != rule.exposed.end())
    report.Add(FieldPath(path, "expose_headers"),
               "expected names beside allowCredentials: a browser takes * as one");
  if (message.has_max_age()) {
    if (message.max_age() < 1) report.Add(FieldPath(path, "max_age"), "expected at least 1");
    rule.max_age_s = static_cast<uint32_t>(std::max(message.max_age(), 1));
  }
  return rule;
}

}  // namespace pillion::control
