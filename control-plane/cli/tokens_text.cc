#include "control-plane/cli/tokens_text.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "control-plane/cli/align.h"

namespace pillion::control {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;
using google::protobuf::Value;

std::optional<Value> Parse(const std::string& json) {
  Value value;
  if (!google::protobuf::util::JsonStringToMessage(json, &value).ok()) return std::nullopt;
  return value;
}

std::string Shown(const Value& value) {
  if (value.has_number_value()) return std::to_string(static_cast<uint64_t>(value.number_value()));
  return value.string_value();
}

std::string FieldOf(const Struct& object, const std::string& name) {
  const auto found = object.fields().find(name);
  return found == object.fields().end() ? "" : Shown(found->second);
}

const ListValue& ListOf(const Struct& object, const std::string& name) {
  const auto found = object.fields().find(name);
  return found == object.fields().end() ? ListValue::default_instance() : found->second.list_value();
}

std::string VerdictsOf(const Struct& route) {
  const auto found = route.fields().find("verdicts");
  if (found == route.fields().end()) return "";
  const std::map<std::string, Value> sorted(found->second.struct_value().fields().begin(),
                                            found->second.struct_value().fields().end());
  std::string text;
  for (const auto& [verdict, count] : sorted) {
    if (!text.empty()) text += ' ';
    text += verdict;
    text += '=';
    text += Shown(count);
  }
  return text;
}

}  // namespace

std::optional<std::string> TokensText(const std::string& json) {
  const std::optional<Value> page = Parse(json);
  if (!page || !page->has_struct_value() || !page->struct_value().fields().contains("domains"))
    return std::nullopt;
  const std::vector<std::string> columns = {"domain",  "in_flight", "completed", "tombstone",
                                            "unknown", "waiters",   "detached",  "bytes"};
  std::vector<Row> domains = {
      {"DOMAIN", "IN-FLIGHT", "COMPLETED", "TOMBSTONE", "UNKNOWN", "WAITERS", "DETACHED", "BYTES"}};
  for (const Value& one : ListOf(page->struct_value(), "domains").values()) {
    Row& row = domains.emplace_back();
    for (const std::string& column : columns) row.push_back(FieldOf(one.struct_value(), column));
  }
  const std::vector<std::string> of_stores = {"domain",   "workers", "ready", "held",   "waiting",
                                              "detached", "claimed", "doubt", "refused"};
  std::vector<Row> stores = {{"STORE OF", "WORKERS", "READY", "HELD", "WAITING", "DETACHED", "CLAIMED",
                              "DOUBT", "REFUSED", "TROUBLE"}};
  for (const Value& one : ListOf(page->struct_value(), "stores").values()) {
    Row& row = stores.emplace_back();
    for (const std::string& column : of_stores) row.push_back(FieldOf(one.struct_value(), column));
    const std::string trouble = FieldOf(one.struct_value(), "trouble");
    row.push_back(trouble.empty() ? "-" : trouble);
  }
  std::vector<Row> routes = {{"LISTENER", "ROUTE", "CLUSTER", "ATTEMPTS", "VERDICTS"}};
  for (const Value& one : ListOf(page->struct_value(), "routes").values()) {
    const Struct& route = one.struct_value();
    const std::string attempts = FieldOf(route, "attempts_with_token");
    routes.push_back({FieldOf(route, "listener"), FieldOf(route, "route"), FieldOf(route, "cluster"),
                      attempts.empty() ? "-" : attempts, VerdictsOf(route)});
  }
  std::string text;
  if (domains.size() > 1) text += Align(domains) + '\n';
  if (stores.size() > 1) text += Align(stores) + '\n';
  if (text.empty()) text = "No records: this sidecar enforces no domain.\n\n";
  text += routes.size() > 1 ? Align(routes) : "No route has seen a token.\n";
  return text;
}

std::optional<std::string> TokenText(const std::string& json) {
  const std::optional<Value> page = Parse(json);
  if (!page || !page->has_list_value()) return std::nullopt;
  if (page->list_value().values().empty())
    return "No record: it was never here, never ran, or its time is over.\n";
  std::string text;
  for (const Value& one : page->list_value().values()) {
    const Struct& record = one.struct_value();
    std::vector<Row> rows;
    for (const auto& [name, shown] :
         std::initializer_list<std::pair<std::string, std::string>>{{"domain", "domain:"},
                                                                    {"state", "state:"},
                                                                    {"execution", "execution:"},
                                                                    {"status", "the app's status:"},
                                                                    {"answer_bytes", "answer, bytes:"},
                                                                    {"kept_for_ms", "kept for, ms:"}}) {
      const std::string value = FieldOf(record, name);
      if (!value.empty()) rows.push_back({shown, value});
    }
    if (!text.empty()) text += '\n';
    text += Align(rows);
  }
  return text;
}

}  // namespace pillion::control
