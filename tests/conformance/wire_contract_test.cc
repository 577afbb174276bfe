// Everything of ours under envoy.* has the names, numbers and types of the v3 xDS wire format.
#include "tests/conformance/wire_contract.h"

#include <gmock/gmock.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/descriptor_database.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "google/rpc/status.pb.h"

namespace pillion::conformance {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;
using testing::ElementsAre;
using testing::IsEmpty;

WireContract Contract() {
  return ReadWireContract("tests/conformance/xds-wire-contract.tsv",
                          "tests/conformance/xds-enum-contract.tsv");
}

// Every file of ours that is linked in; the pool itself cannot be listed, its database can.
std::vector<const FileDescriptor*> EnvoyFiles() {
  std::vector<std::string> names;
  EXPECT_TRUE(DescriptorPool::internal_generated_database()->FindAllFileNames(&names));
  std::vector<const FileDescriptor*> files;
  for (const std::string& name : names) {
    if (name.starts_with("envoy/")) files.push_back(DescriptorPool::generated_pool()->FindFileByName(name));
  }
  return files;
}

TEST(WireContractTest, OurFilesAgreeWithTheContract) {
  const WireContract contract = Contract();
  const std::vector<const FileDescriptor*> files = EnvoyFiles();
  ASSERT_GE(files.size(), 16u) << "are the messages linked in?";
  for (const FileDescriptor* file : files)
    EXPECT_THAT(Disagreements(*file, contract), IsEmpty()) << file->name();
}

TEST(WireContractTest, AFileLiesUnderItsPackage) {
  for (const FileDescriptor* file : EnvoyFiles()) {
    std::string folder = file->package() + ".";
    for (char& c : folder) c = c == '.' ? '/' : c;
    EXPECT_TRUE(file->name().starts_with(folder)) << file->name() << " has package " << file->package();
  }
}

TEST(WireContractTest, TheStreamHasItsPathAndBothDirections) {
  const auto* service = DescriptorPool::generated_pool()->FindServiceByName(
      "envoy.service.discovery.v3.AggregatedDiscoveryService");
  ASSERT_NE(service, nullptr);
  const auto* method = service->FindMethodByName("StreamAggregatedResources");
  ASSERT_NE(method, nullptr);
  EXPECT_TRUE(method->client_streaming());
  EXPECT_TRUE(method->server_streaming());
  EXPECT_EQ(method->input_type(), envoy::service::discovery::v3::DiscoveryRequest::descriptor());
  EXPECT_EQ(method->output_type(), envoy::service::discovery::v3::DiscoveryResponse::descriptor());
}

// google.rpc.Status is not in the table: it is the three fields that gRPC and xDS agree on.
TEST(WireContractTest, AStatusHasItsNumbers) {
  const auto* status = google::rpc::Status::descriptor();
  ASSERT_EQ(status->field_count(), 3);
  EXPECT_EQ(TypeInContract(*status->FindFieldByNumber(1)), "int32");
  EXPECT_EQ(TypeInContract(*status->FindFieldByNumber(2)), "string");
  EXPECT_EQ(TypeInContract(*status->FindFieldByNumber(3)), "repeated google.protobuf.Any");
}

std::vector<std::string> DisagreementsOf(const std::string& file_text) {
  google::protobuf::FileDescriptorProto proto;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(file_text, &proto));
  DescriptorPool pool;
  const FileDescriptor* file = pool.BuildFile(proto);
  EXPECT_NE(file, nullptr);
  return Disagreements(*file, Contract());
}

constexpr char kHead[] = R"(name: "t.proto" package: "envoy.config.core.v3" syntax: "proto3" )";

TEST(WireContractTest, ARightMessageIsAccepted) {
  EXPECT_THAT(DisagreementsOf(std::string(kHead) +
                              R"(message_type { name: "Locality"
                                   field { name: "region" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL } })"),
              IsEmpty());
}

TEST(WireContractTest, AnUnknownMessageIsReported) {
  EXPECT_THAT(DisagreementsOf(std::string(kHead) + R"(message_type { name: "Nowhere" })"),
              ElementsAre("envoy.config.core.v3.Nowhere: no such message in the contract"));
}

TEST(WireContractTest, EachWrongFactOfAFieldIsReported) {
  EXPECT_THAT(DisagreementsOf(std::string(kHead) + R"(message_type { name: "Locality"
            field { name: "region" number: 7 type: TYPE_STRING label: LABEL_OPTIONAL }
            field { name: "zone" number: 2 type: TYPE_BYTES label: LABEL_OPTIONAL }
            field { name: "sub_zone" number: 3 type: TYPE_STRING label: LABEL_OPTIONAL oneof_index: 0 }
            field { name: "planet" number: 4 type: TYPE_STRING label: LABEL_REPEATED }
            oneof_decl { name: "one" } })"),
              ElementsAre("envoy.config.core.v3.Locality.region: number 7, not 1",
                          "envoy.config.core.v3.Locality.zone: type bytes, not string",
                          "envoy.config.core.v3.Locality.sub_zone: in oneof 'one', not ''",
                          "envoy.config.core.v3.Locality.planet: no such field in the contract"));
}

TEST(WireContractTest, AMissingOneofIsReported) {
  EXPECT_THAT(DisagreementsOf(std::string(kHead) +
                              R"(message_type { name: "Node" field {
              name: "user_agent_version" number: 7 type: TYPE_STRING label: LABEL_OPTIONAL } })"),
              ElementsAre("envoy.config.core.v3.Node.user_agent_version: in oneof '', not "
                          "'user_agent_version_type'"));
}

TEST(WireContractTest, AWrongEnumIsReported) {
  EXPECT_THAT(DisagreementsOf(std::string(kHead) + R"(
        enum_type { name: "HealthStatus" value { name: "UNKNOWN" number: 0 } value { name: "HEALTHY" number: 2 }
                    value { name: "UNWELL" number: 9 } }
        enum_type { name: "Mood" value { name: "FINE" number: 0 } })"),
              ElementsAre("envoy.config.core.v3.HealthStatus.HEALTHY: number 2, not 1",
                          "envoy.config.core.v3.HealthStatus.UNWELL: no such value in the contract",
                          "envoy.config.core.v3.Mood: no such enum in the contract"));
}

}  // namespace
}  // namespace pillion::conformance
