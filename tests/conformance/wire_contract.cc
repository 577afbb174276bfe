#include "tests/conformance/wire_contract.h"

#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace pillion::conformance {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

// The table has a row per field, so it cannot list a message without any.
bool EmptyInEnvoyToo(const std::string& message) {
  return message == "envoy.config.cluster.v3.Cluster.CommonLbConfig.LocalityWeightedLbConfig" ||
         message == "envoy.config.core.v3.AggregatedConfigSource" ||
         message == "envoy.config.route.v3.RateLimit.Action.RemoteAddress" ||
         message == "envoy.config.route.v3.RouteMatch.ConnectMatcher" ||
         message == "envoy.config.route.v3.RouteMatch.GrpcRouteMatchOptions" ||
         message == "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector" ||
         message == "envoy.extensions.filters.listener.original_dst.v3.OriginalDst" ||
         message == "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate" ||
         message == "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate" ||
         message == "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer" ||
         message == "envoy.extensions.filters.common.fault.v3.FaultDelay.HeaderDelay" ||
         message == "envoy.extensions.filters.http.cors.v3.Cors" ||
         message == "envoy.extensions.filters.http.fault.v3.FaultAbort.HeaderAbort" ||
         message == "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb" ||
         message == "envoy.type.v3.HashPolicy.SourceIp" ||
         message ==
             "envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.LocalityWeightedLbConfig";
}

std::vector<std::vector<std::string>> ReadRows(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  std::vector<std::vector<std::string>> rows;
  std::string line;
  std::getline(file, line);  // column names
  while (std::getline(file, line)) {
    std::vector<std::string> row;
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, '\t');) row.push_back(cell);
    rows.push_back(row);
  }
  return rows;
}

std::string PlainType(const FieldDescriptor& field) {
  if (field.message_type() != nullptr) return field.message_type()->full_name();
  if (field.enum_type() != nullptr) return field.enum_type()->full_name() + " (enum)";
  return field.type_name();
}

void CompareField(const FieldDescriptor& field, const WireContract& contract, std::vector<std::string>& out) {
  const std::string& name = field.full_name();
  const auto it = contract.fields.find({field.containing_type()->full_name(), field.name()});
  if (it == contract.fields.end()) {
    out.push_back(name + ": no such field in the contract");
    return;
  }
  const FieldFact& fact = it->second;
  if (field.number() != fact.number) {
    out.push_back(name + ": number " + std::to_string(field.number()) + ", not " +
                  std::to_string(fact.number));
  }
  if (const std::string type = TypeInContract(field); type != fact.type) {
    out.push_back(name + ": type " + type + ", not " + fact.type);
  }
  const std::string oneof = field.real_containing_oneof() ? field.real_containing_oneof()->name() : "";
  if (oneof != fact.oneof) out.push_back(name + ": in oneof '" + oneof + "', not '" + fact.oneof + "'");
}

void CompareEnum(const EnumDescriptor& type, const WireContract& contract, std::vector<std::string>& out) {
  const auto facts = contract.enums.find(type.full_name());
  if (facts == contract.enums.end()) {
    out.push_back(type.full_name() + ": no such enum in the contract");
    return;
  }
  for (int i = 0; i < type.value_count(); ++i) {
    const auto& value = *type.value(i);
    const auto fact = facts->second.find(value.name());
    if (fact == facts->second.end()) {
      out.push_back(type.full_name() + "." + value.name() + ": no such value in the contract");
    } else if (fact->second != value.number()) {
      out.push_back(type.full_name() + "." + value.name() + ": number " + std::to_string(value.number()) +
                    ", not " + std::to_string(fact->second));
    }
  }
}

void CompareMessage(const Descriptor& message, const WireContract& contract, std::vector<std::string>& out) {
  if (message.options().map_entry()) return;
  if (!contract.messages.contains(message.full_name()) && !EmptyInEnvoyToo(message.full_name())) {
    out.push_back(message.full_name() + ": no such message in the contract");
    return;
  }
  for (int i = 0; i < message.field_count(); ++i) CompareField(*message.field(i), contract, out);
  for (int i = 0; i < message.enum_type_count(); ++i) CompareEnum(*message.enum_type(i), contract, out);
  for (int i = 0; i < message.nested_type_count(); ++i)
    CompareMessage(*message.nested_type(i), contract, out);
}

}  // namespace

WireContract ReadWireContract(const std::string& fields_tsv, const std::string& enums_tsv) {
  WireContract contract;
  for (const auto& row : ReadRows(fields_tsv)) {
    EXPECT_EQ(row.size(), 7u) << row[0];
    contract.messages.insert(row[0]);
    contract.fields[{row[0], row[1]}] = {.number = std::stoi(row[2]), .type = row[3], .oneof = row[4]};
  }
  for (const auto& row : ReadRows(enums_tsv)) {
    EXPECT_EQ(row.size(), 3u) << row[0];
    contract.enums[row[0]][row[1]] = std::stoi(row[2]);
  }
  return contract;
}

std::string TypeInContract(const FieldDescriptor& field) {
  if (field.is_map()) {
    return "map<" + PlainType(*field.message_type()->map_key()) + ", " +
           PlainType(*field.message_type()->map_value()) + ">";
  }
  return (field.is_repeated() ? "repeated " : "") + PlainType(field);
}

std::vector<std::string> Disagreements(const FileDescriptor& file, const WireContract& contract) {
  std::vector<std::string> out;
  for (int i = 0; i < file.message_type_count(); ++i) CompareMessage(*file.message_type(i), contract, out);
  for (int i = 0; i < file.enum_type_count(); ++i) CompareEnum(*file.enum_type(i), contract, out);
  return out;
}

}  // namespace pillion::conformance
