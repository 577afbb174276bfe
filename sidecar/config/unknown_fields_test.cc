#include "sidecar/config/unknown_fields.h"

#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace pillion::config {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::listener::v3::Listener;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using envoy::extensions::upstreams::http::v3::HttpProtocolOptions;

void AddUnknown(google::protobuf::Message& message, int number) {
  message.GetReflection()->MutableUnknownFields(&message)->AddVarint(number, 1);
}

std::vector<std::string> Lines(const google::protobuf::Message& message) {
  std::vector<std::string> lines;
  for (const UnknownField& field : UnknownFields(message)) lines.push_back(field.path + ": " + field.message);
  return lines;
}

using Expected = std::vector<std::string>;

TEST(UnknownFieldsTest, AKnownMessageHasNone) {
  Listener listener;
  listener.set_name("a");
  listener.add_filter_chains()->add_filters()->mutable_typed_config()->PackFrom(HttpConnectionManager());
  EXPECT_EQ(Lines(listener), Expected{});
}

TEST(UnknownFieldsTest, AFieldOfEnvoyIsNamed) {
  Listener listener;
  AddUnknown(listener, 26);
  EXPECT_EQ(Lines(listener), Expected{"26: field bind_to_port of envoy.config.listener.v3.Listener is not "
                                      "implemented"});
}

TEST(UnknownFieldsTest, AFieldOfNobodyKeepsItsNumber) {
  Listener listener;
  AddUnknown(listener, 777);
  EXPECT_EQ(Lines(listener),
            Expected{"777: field number 777 of envoy.config.listener.v3.Listener is not implemented"});
}

TEST(UnknownFieldsTest, ARepeatedFieldIsListedOnce) {
  Listener listener;
  AddUnknown(listener, 26);
  AddUnknown(listener, 26);
  EXPECT_EQ(UnknownFields(listener).size(), 1u);
}

TEST(UnknownFieldsTest, ListsAndAnyAreLookedInto) {
  HttpConnectionManager http;
  AddUnknown(*http.mutable_route_config()->add_virtual_hosts()->add_routes()->mutable_match(), 7);
  AddUnknown(http, 22);
  Listener listener;
  listener.add_filter_chains();
  auto* chain = listener.add_filter_chains();
  AddUnknown(*chain, 6);
  chain->add_filters()->mutable_typed_config()->PackFrom(http);
  EXPECT_EQ(
      Lines(listener),
      (Expected{"filter_chains[1].6: field transport_socket of envoy.config.listener.v3.FilterChain is not "
                "implemented",
                "filter_chains[1].filters[0].typed_config.22: field via of "
                "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager is not "
                "implemented",
                "filter_chains[1].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].match.7: "
                "field query_parameters of envoy.config.route.v3.RouteMatch is not implemented"}));
}

TEST(UnknownFieldsTest, MapsAreLookedInto) {
  HttpProtocolOptions options;
  AddUnknown(options, 5);
  Cluster cluster;
  (*cluster.mutable_typed_extension_protocol_options())["k"].PackFrom(options);
  EXPECT_EQ(Lines(cluster),
            Expected{"typed_extension_protocol_options[\"k\"].5: field auto_config of "
                     "envoy.extensions.upstreams.http.v3.HttpProtocolOptions is not implemented"});
}

TEST(UnknownFieldsTest, AnAnyThatCannotBeParsedIsListed) {
  Listener listener;
  auto* any = listener.add_filter_chains()->add_filters()->mutable_typed_config();
  any->PackFrom(Listener());
  any->set_value("\xff");
  EXPECT_EQ(Lines(listener), Expected{"filter_chains[0].filters[0].typed_config.value: expected a serialized "
                                      "envoy.config.listener.v3.Listener"});
}

TEST(UnknownFieldsTest, AnAnyOfAForeignTypeIsLeftAlone) {
  Listener listener;
  auto* any = listener.add_filter_chains()->add_filters()->mutable_typed_config();
  any->set_type_url("type.googleapis.com/no.such.Type");
  any->set_value("\xff");
  EXPECT_EQ(Lines(listener), Expected{});
}

TEST(UnknownFieldsTest, AnyInsideAnyEndsAtTheLimit) {
  google::protobuf::Any any;
  for (int i = 0; i < 3 * kMaxMessageDepth; ++i) {
    google::protobuf::Any outer;
    outer.PackFrom(any);
    any = outer;
  }
  ASSERT_EQ(UnknownFields(any).size(), 1u);
  EXPECT_EQ(UnknownFields(any)[0].message, "expected at most 100 levels of messages");
}

}  // namespace
}  // namespace pillion::config
