#include "control-plane/cli/status_text.h"

#include <gtest/gtest.h>

namespace pillion::control {
namespace {

v1::TypeStatus& AddType(v1::NodeStatus& node, const std::string& url) {
  v1::TypeStatus& type = *node.add_types();
  type.set_type_url("type.googleapis.com/envoy.config." + url);
  type.set_sent_version("00000000000000aa");
  type.mutable_sent_at()->set_seconds(990);
  return type;
}

TEST(StatusTextTest, SaysWhatEachNodeHoldsAndWhyItRejected) {
  v1::GetStatusResponse status;
  status.mutable_config()->set_revision(3);
  status.mutable_config()->mutable_loaded_at()->set_seconds(400);
  status.mutable_config()->add_problems("f.yaml:1:2: spec: expected rules");
  v1::NodeStatus& node = *status.add_nodes();
  node.set_node_id("n1");
  node.set_cluster("web");
  node.set_connected(true);
  node.mutable_connected_at()->set_seconds(880);
  node.add_problems("node.metadata.app: expected ip:port");
  v1::TypeStatus& acked = AddType(node, "cluster.v3.Cluster");
  acked.set_acked_version("00000000000000aa");
  acked.mutable_acked_at()->set_seconds(991);
  acked.set_nacked_version("0000000000000001");
  acked.mutable_nacked_at()->set_seconds(900);
  acked.set_error_detail("of long ago");
  v1::TypeStatus& rejected = AddType(node, "route.v3.RouteConfiguration");
  rejected.set_nacked_version("00000000000000aa");
  rejected.mutable_nacked_at()->set_seconds(992);
  rejected.set_error_detail("routes[0]: no");
  AddType(node, "listener.v3.Listener").set_in_flight(true);
  v1::NodeStatus& gone = *status.add_nodes();
  gone.set_node_id("n2");
  gone.mutable_disconnected_at()->set_seconds(1000 - 3 * 3600);
  EXPECT_EQ(StatusText(status, 1000),
            "configuration 3, loaded 10m ago: 0 services, 0 endpoints, 0 routes, 0 policies\n"
            "  f.yaml:1:2: spec: expected rules\n"
            "\n"
            "NODE  CLUSTER  CONNECTED  TYPE                STATE     SENT              ACKED             "
            "REJECTED       "
            "   SENT AGO\n"
            "n1    web      2m         Cluster             ACKED     00000000000000aa  00000000000000aa      "
            "           "
            "   10s\n"
            "n1    web      2m         RouteConfiguration  REJECTED  00000000000000aa                    "
            "00000000000000aa"
            "  10s\n"
            "n1    web      2m         Listener            SENT      00000000000000aa                        "
            "            "
            "  10s\n"
            "n2             gone 3h\n"
            "\n"
            "n1: node.metadata.app: expected ip:port\n"
            "\n"
            "n1 rejected RouteConfiguration 00000000000000aa:\n"
            "  routes[0]: no\n");
}

TEST(StatusTextTest, SaysThatNobodyIsThere) {
  EXPECT_NE(StatusText({}, 0).find("no sidecar has connected yet"), std::string::npos);
}

TEST(StatusTextTest, SaysHowFarPoliciesOfTokensHaveCome) {
  v1::GetStatusResponse status;
  const auto add = [&](const std::string& service, uint32_t endpoints, bool stamping) {
    v1::TokenStatus& one = *status.add_tokens();
    one.set_service(service);
    one.set_domain("00000000000000ab");
    one.set_endpoints(endpoints);
    one.set_stamping(stamping);
  };
  add("shop/a", 0, false);
  add("shop/b", 3, true);
  add("shop/c", 3, false);
  status.mutable_tokens(2)->add_missing("10.0.0.1:15006");
  status.mutable_tokens(2)->add_missing("10.0.0.2:15006");
  add("shop/d", 2, true);
  status.mutable_tokens(3)->set_keys_refused(true);
  add("shop/e", 1, true);
  status.mutable_tokens(4)->add_routes("HTTPRoute shop/r");
  status.mutable_tokens(4)->add_routes("GRPCRoute shop/s");
  add("shop/f", 1, true);
  status.mutable_tokens(5)->add_routes("HTTPRoute shop/r");
  status.mutable_tokens(5)->set_of_service(true);
  const std::string text = StatusText(status, 1000);
  EXPECT_NE(text.find("tokens of shop/e by HTTPRoute shop/r, GRPCRoute shop/s (domain 00000000000000ab): "),
            std::string::npos);
  EXPECT_NE(
      text.find("tokens of shop/f, its own and by HTTPRoute shop/r (domain 00000000000000ab): stamping"),
      std::string::npos);
  EXPECT_NE(
      text.find("tokens of shop/d (domain 00000000000000ab): stamping, all 2 endpoints enforce them; keys "
                "of apps are refused (503) until one endpoint is ready, not several\n"),
      std::string::npos);
  EXPECT_NE(
      text.find("tokens of shop/a (domain 00000000000000ab): no endpoint is ready, no request is stamped\n"),
      std::string::npos);
  EXPECT_NE(text.find("tokens of shop/b (domain 00000000000000ab): stamping, all 3 endpoints enforce them\n"),
            std::string::npos);
  EXPECT_NE(
      text.find("tokens of shop/c (domain 00000000000000ab): not stamping yet, of 3 endpoints some do not "
                "enforce them: 10.0.0.1:15006 10.0.0.2:15006\n"),
      std::string::npos);
}

}  // namespace
}  // namespace pillion::control
