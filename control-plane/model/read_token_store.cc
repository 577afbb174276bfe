#include "control-plane/model/read_token_store.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "sidecar/config/field_path.h"
#include "sidecar/net/address.h"

namespace pillion::control {
namespace {

using config::ElementPath;
using std::chrono::milliseconds;
using Store = kube::policy::v1alpha1::IdempotencyPolicySpec::Store;

constexpr int kMaxAddresses = 8;
constexpr int32_t kMaxReplicas = 8;

// A name that ends in a number is meant to be an IP address (WHATWG URL, "ends in a number"): 10.0.0.300.
bool IsName(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  const std::string_view last = text.substr(text.rfind('.') + 1);
  return IsDnsSubdomain(text) && last.find_first_not_of("0123456789") != std::string_view::npos;
}

std::optional<StoreAddress> ParseStoreAddress(const std::string& text) {
  if (const auto ip = net::Address::ParseWithPort(text)) {
    if (!ip->names_one()) return std::nullopt;
    return StoreAddress{.host = ip->ip(), .port = ip->port(), .is_name = false};
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  StoreAddress address{.host = absl::AsciiStrToLower(text.substr(0, colon)), .port = 0, .is_name = true};
  const std::string_view digits = std::string_view(text).substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), address.port);
  const bool good = error == std::errc() && end == digits.end() && address.port != 0 && IsName(address.host);
  return good ? std::optional(std::move(address)) : std::nullopt;
}

void ReadAddresses(const Store& store, TokenStoreRule& rule, Report& report) {
  if (store.addresses_size() < 1 || store.addresses_size() > kMaxAddresses)
    report.Add("spec.store.addresses", "expected 1 to 8 of host:port");
  for (int i = 0; i < store.addresses_size(); ++i) {
    const std::string path = ElementPath("spec.store.addresses", static_cast<size_t>(i));
    std::optional<StoreAddress> address = ParseStoreAddress(store.addresses(i));
    if (!address.has_value()) {
      report.Add(path, "expected host:port, the host an IP address (IPv6 in brackets) or a DNS name");
    } else if (std::ranges::find(rule.addresses, *address) != rule.addresses.end()) {
      report.Add(path, "expected each address once");
    } else {
      rule.addresses.push_back(*std::move(address));
    }
  }
}

std::string ReadFile(const std::string& file, const std::string& path, Report& report) {
  if (file.find('\0') != std::string::npos) report.Add(path, "expected the path of a file at the sidecars");
  return file;
}

StoreTls ReadTls(const Store::Tls& tls, Report& report) {
  StoreTls result{
      .ca_file = ReadFile(tls.ca_file(), "spec.store.tls.ca_file", report),
      .certificate_file = ReadFile(tls.certificate_file(), "spec.store.tls.certificate_file", report),
      .private_key_file = ReadFile(tls.private_key_file(), "spec.store.tls.private_key_file", report),
      .server_name = absl::AsciiStrToLower(tls.server_name())};
  if (result.ca_file.empty())
    report.Add("spec.store.tls", "expected caFile: without it anybody could be the server");
  if (result.certificate_file.empty() != result.private_key_file.empty())
    report.Add("spec.store.tls", "expected both certificateFile and privateKeyFile, or neither");
  if (!result.server_name.empty() && (!IsName(result.server_name) || result.server_name.ends_with('.')))
    report.Add("spec.store.tls.server_name", "expected a DNS name");
  return result;
}

std::string Shown(milliseconds time) {
  return time.count() % 1000 == 0 ? std::to_string(time.count() / 1000) + "s"
                                  : std::to_string(time.count()) + "ms";
}

// Both may be.
struct Bounds {
  milliseconds least;
  milliseconds most;
};

std::optional<milliseconds> ReadTime(const std::string& text, Bounds bounds, const std::string& path,
                                     Report& report) {
  const std::optional<milliseconds> time = ParseGatewayDuration(text);
  if (time.has_value() && *time >= bounds.least && *time <= bounds.most) return time;
  report.Add(path, "expected a duration from " + Shown(bounds.least) + " to " + Shown(bounds.most));
  return std::nullopt;
}

// Who must have a record before its request runs, and what is thought of it where nobody must.
void ReadReplicas(const Store& store, TokenStoreRule& rule, Report& report) {
  if (store.has_replicas()) {
    if (store.replicas() < 0 || store.replicas() > kMaxReplicas)
      report.Add("spec.store.replicas", "expected 0 to 8");
    rule.replicas = static_cast<uint32_t>(store.replicas());
  }
  if (store.has_replica_wait()) {
    rule.replica_wait = ReadTime(store.replica_wait(), {milliseconds(1), milliseconds(1000)},
                                 "spec.store.replica_wait", report);
  }
  if (!store.has_unconfirmed_doubt()) return;
  rule.unconfirmed_doubt = ReadTime(store.unconfirmed_doubt(), {milliseconds(0), std::chrono::seconds(60)},
                                    "spec.store.unconfirmed_doubt", report);
  if (rule.replicas != 0u)
    report.Add("spec.store.unconfirmed_doubt",
               "expected only with replicas: 0, where records may be lost that no replica has confirmed");
}

}  // namespace

TokenStoreRule ReadTokenStore(const Store& store, Report& report) {
  TokenStoreRule rule;
  ReadAddresses(store, rule, report);
  if (store.has_tls()) rule.tls = ReadTls(store.tls(), report);
  rule.user = store.user();
  if (rule.user.find_first_of(std::string_view(" \t\r\n\0", 5)) != std::string::npos)
    report.Add("spec.store.user", "expected a name without spaces");
  rule.password_file = ReadFile(store.password_file(), "spec.store.password_file", report);
  if (!rule.user.empty() && rule.password_file.empty())
    report.Add("spec.store.user", "expected passwordFile with it: nobody logs in without");
  rule.key_file = ReadFile(store.key_file(), "spec.store.key_file", report);
  if (store.has_lease())
    rule.lease = ReadTime(store.lease(), {std::chrono::seconds(1), std::chrono::seconds(60)},
                          "spec.store.lease", report);
  ReadReplicas(store, rule, report);
  rule.bypass = store.on_down() == Store::Bypass;
  rule.trust_unseen_settings = store.trust_unseen_settings();
  return rule;
}

}  // namespace pillion::control
