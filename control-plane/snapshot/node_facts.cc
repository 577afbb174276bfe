#include "control-plane/snapshot/node_facts.h"

#include <arpa/inet.h>

#include <charconv>
#include <string_view>

#include "control-plane/model/report.h"

namespace pillion::control {
namespace {

constexpr char kDefaultOutbound[] = "127.0.0.1:15001";

std::optional<SocketAddress> ParseAddress(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view ip = text.substr(0, colon);
  if (ip.starts_with("[") && ip.ends_with("]")) ip = ip.substr(1, ip.size() - 2);
  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port == 0) return std::nullopt;
  const std::string literal(ip);
  in6_addr parsed;
  const int family = literal.find(':') == std::string::npos ? AF_INET : AF_INET6;
  if (inet_pton(family, literal.c_str(), &parsed) != 1) return std::nullopt;
  if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&parsed)) return std::nullopt;
  char canonical[INET6_ADDRSTRLEN];
  return SocketAddress{inet_ntop(family, &parsed, canonical, sizeof(canonical)), port};
}

// Reads the fields of one Node's metadata.
class Reader {
 public:
  Reader(const envoy::config::core::v3::Node& node, std::vector<std::string>& problems)
      : fields_(node.metadata().fields()), problems_(problems) {}

  std::string Text(const std::string& key, const std::string& otherwise) {
    const auto field = fields_.find(key);
    if (field == fields_.end()) return otherwise;
    if (field->second.has_string_value()) return field->second.string_value();
    problems_.push_back("node.metadata." + key + ": expected a string");
    return otherwise;
  }
  std::string Label(const std::string& key, const std::string& otherwise) {
    std::string text = Text(key, otherwise);
    if (text.empty() || IsDnsLabel(text)) return text;
    problems_.push_back("node.metadata." + key + ": expected a DNS label");
    return otherwise;
  }
  std::optional<SocketAddress> Endpoint(const std::string& key, const std::string& otherwise) {
    const std::string text = Text(key, otherwise);
    if (text.empty() || text == "none") return std::nullopt;
    std::optional<SocketAddress> address = ParseAddress(text);
    if (!address.has_value()) problems_.push_back("node.metadata." + key + ": expected ip:port");
    return address;
  }
  // Bootstraps are YAML: both true and "true" are written.
  bool Flag(const std::string& key) {
    const auto field = fields_.find(key);
    if (field == fields_.end()) return false;
    if (field->second.has_bool_value()) return field->second.bool_value();
    if (field->second.string_value() == "true") return true;
    if (field->second.string_value() != "false") {
      problems_.push_back("node.metadata." + key + ": expected true or false");
    }
    return false;
  }

 private:
  const google::protobuf::Map<std::string, google::protobuf::Value>& fields_;
  std::vector<std::string>& problems_;
};

}  // namespace

NodeFacts ReadNode(const envoy::config::core::v3::Node& node) {
  NodeFacts facts;
  Reader reader(node, facts.problems);
  facts.id = node.id();
  facts.cluster = node.cluster();
  facts.zone = node.locality().zone();
  // A cluster that is no DNS label cannot be a Service; that is no error, foreign nodes call theirs what they
  // like.
  const std::string beside = IsDnsLabel(node.cluster()) ? node.cluster() : "";
  facts.service = {reader.Label("namespace", "default"), reader.Label("service", beside)};
  facts.outbound = reader.Endpoint("outbound_listener", kDefaultOutbound);
  const std::string interception = reader.Text("interception", "none");
  if (interception == "redirect") {
    facts.interception = Interception::kRedirect;
  } else if (interception != "none") {
    facts.problems.push_back("node.metadata.interception: expected redirect or none");
  }
  const std::optional<SocketAddress> inbound = reader.Endpoint("inbound_listener", "");
  const std::optional<SocketAddress> known_as = reader.Endpoint("inbound_address", "");
  const std::optional<SocketAddress> app = reader.Endpoint("app", "");
  if (inbound.has_value() && app.has_value()) {
    facts.local = LocalApp{*inbound, known_as, *app};
  } else if (inbound.has_value() || app.has_value()) {
    facts.problems.push_back("node.metadata: expected both inbound_listener and app, or neither");
  } else if (known_as.has_value()) {
    facts.problems.push_back("node.metadata.inbound_address: expected only with inbound_listener");
  }
  facts.access_log = reader.Text("access_log", "");
  facts.explain = reader.Flag("explain");
  return facts;
}

}  // namespace pillion::control
