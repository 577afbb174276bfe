#include "control-plane/cli/status_text.h"

#include <algorithm>
#include <vector>

#include "control-plane/cli/align.h"

namespace pillion::control {
namespace {

std::string Age(const google::protobuf::Timestamp& at, int64_t now_seconds) {
  const int64_t age = std::max<int64_t>(now_seconds - at.seconds(), 0);
  if (age < 120) return std::to_string(age) + "s";
  if (age < int64_t{2} * 3600) return std::to_string(age / 60) + "m";
  return std::to_string(age / 3600) + "h";
}

bool Later(const google::protobuf::Timestamp& a, const google::protobuf::Timestamp& b) {
  return a.seconds() != b.seconds() ? a.seconds() > b.seconds() : a.nanos() > b.nanos();
}

std::string ShortType(const std::string& url) {
  const size_t dot = url.rfind('.');
  return dot == std::string::npos ? url : url.substr(dot + 1);
}

bool RejectedNow(const v1::TypeStatus& type) {
  return !type.nacked_version().empty() &&
         (type.acked_version().empty() || Later(type.nacked_at(), type.acked_at()));
}

std::string State(const v1::TypeStatus& type) {
  if (type.in_flight()) return "SENT";
  if (RejectedNow(type)) return "REJECTED";
  return type.sent_version().empty() ? "NOTHING SENT" : "ACKED";
}

void AddNode(const v1::NodeStatus& node, int64_t now_seconds, std::vector<Row>& rows) {
  const std::string connection = node.connected() ? Age(node.connected_at(), now_seconds)
                                                  : "gone " + Age(node.disconnected_at(), now_seconds);
  if (node.types().empty()) rows.push_back({node.node_id(), node.cluster(), connection});
  for (const v1::TypeStatus& type : node.types()) {
    const bool rejected = RejectedNow(type);
    rows.push_back({node.node_id(), node.cluster(), connection, ShortType(type.type_url()), State(type),
                    type.sent_version(), type.acked_version(), rejected ? type.nacked_version() : "",
                    type.sent_version().empty() ? "" : Age(type.sent_at(), now_seconds)});
  }
}

std::string TokenLine(const v1::TokenStatus& one) {
  std::string line = "tokens of " + one.service();
  if (one.routes_size() > 0) {
    line += one.of_service() ? ", its own and by " : " by ";
    for (int i = 0; i < one.routes_size(); ++i) line += (i > 0 ? ", " : "") + one.routes(i);
  }
  line += " (domain " + one.domain() + "): ";
  if (one.endpoints() == 0) {
    line += "no endpoint is ready, no request is stamped";
  } else if (one.stamping()) {
    line += "stamping, all " + std::to_string(one.endpoints()) + " endpoints enforce them";
  } else {
    line +=
        "not stamping yet, of " + std::to_string(one.endpoints()) + " endpoints some do not enforce them:";
    for (const std::string& address : one.missing()) {
      line += ' ';
      line += address;
    }
  }
  if (one.keys_refused()) line += "; keys of apps are refused (503) until one endpoint is ready, not several";
  return line + "\n";
}

}  // namespace

std::string StatusText(const v1::GetStatusResponse& status, int64_t now_seconds) {
  const v1::ConfigStatus& config = status.config();
  std::string text = "configuration " + std::to_string(config.revision()) + ", loaded " +
                     Age(config.loaded_at(), now_seconds) + " ago: " + std::to_string(config.services()) +
                     " services, " + std::to_string(config.endpoints()) + " endpoints, " +
                     std::to_string(config.routes()) + " routes, " + std::to_string(config.policies()) +
                     " policies\n";
  for (const std::string& problem : config.problems()) text += "  " + problem + "\n";
  for (const v1::TokenStatus& one : status.tokens()) text += TokenLine(one);
  if (status.nodes().empty()) return text + "no sidecar has connected yet\n";
  std::vector<Row> rows = {
      {"NODE", "CLUSTER", "CONNECTED", "TYPE", "STATE", "SENT", "ACKED", "REJECTED", "SENT AGO"}};
  for (const v1::NodeStatus& node : status.nodes()) AddNode(node, now_seconds, rows);
  text += "\n" + Align(rows);
  for (const v1::NodeStatus& node : status.nodes()) {
    for (const std::string& problem : node.problems()) text += "\n" + node.node_id() + ": " + problem + "\n";
    for (const v1::TypeStatus& type : node.types()) {
      if (!RejectedNow(type)) continue;
      text += "\n" + node.node_id() + " rejected " + ShortType(type.type_url()) + " " +
              type.nacked_version() + ":\n  " + type.error_detail() + "\n";
    }
  }
  return text;
}

}  // namespace pillion::control
