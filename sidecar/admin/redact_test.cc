#include "sidecar/admin/redact.h"

#include <gtest/gtest.h>

#include <string>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "pillion/sidecar/v1/idempotency.pb.h"

namespace pillion::admin {
namespace {

TEST(Redact, KeysAndPasswordsAreNotShownHoweverDeepTheyStand) {
  envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext tls;
  auto& certificate = *tls.mutable_common_tls_context()->add_tls_certificates();
  certificate.mutable_certificate_chain()->set_inline_string("the chain");
  certificate.mutable_private_key()->set_inline_bytes("hush 1");
  certificate.mutable_password()->set_inline_string("hush 2");
  envoy::config::cluster::v3::Cluster cluster;
  cluster.mutable_transport_socket()->mutable_typed_config()->PackFrom(tls);
  RedactKeys(cluster);
  EXPECT_EQ(cluster.SerializeAsString().find("hush"), std::string::npos);
  EXPECT_NE(cluster.SerializeAsString().find("the chain"), std::string::npos);
}

TEST(Redact, WhatOpensAStoreOfTokensIsNotShownButWhereItStands) {
  sidecar::v1::Idempotency filter;
  auto& store = *filter.add_domains()->mutable_store();
  store.set_user("somebody");
  store.mutable_key()->set_inline_bytes("hush 1");
  store.mutable_password()->set_inline_string("hush 2");
  auto& other = *filter.add_domains()->mutable_store();
  other.mutable_key()->set_filename("/its/file");
  envoy::config::listener::v3::Listener listener;
  listener.add_filter_chains()->add_filters()->mutable_typed_config()->PackFrom(filter);
  RedactKeys(listener);
  EXPECT_EQ(listener.SerializeAsString().find("hush"), std::string::npos);
  EXPECT_NE(listener.SerializeAsString().find("somebody"), std::string::npos);
  EXPECT_NE(listener.SerializeAsString().find("/its/file"), std::string::npos);
}

}  // namespace
}  // namespace pillion::admin
