#include "sidecar/config/contract/contract.h"

#include <gtest/gtest.h>

namespace pillion::config::contract {
namespace {

constexpr char kListener[] = "envoy.config.listener.v3.Listener";

TEST(ContractTest, AFieldHasItsName) {
  EXPECT_EQ(FieldName(kListener, 1), "name");
  EXPECT_EQ(FieldName(kListener, 26), "bind_to_port");
}

TEST(ContractTest, AFieldHasItsNumber) {
  EXPECT_EQ(FieldNumber(kListener, "name"), 1);
  EXPECT_EQ(FieldNumber(kListener, "bind_to_port"), 26);
}

TEST(ContractTest, TheFirstAndTheLastMessageAreFound) {
  EXPECT_EQ(FieldNumber("envoy.admin.v3.BootstrapConfigDump", "bootstrap"), 1);
  EXPECT_EQ(FieldNumber("envoy.type.v3.TokenBucket", "tokens_per_fill"), 2);
}

TEST(ContractTest, WhatDoesNotExistHasNoName) {
  EXPECT_EQ(FieldName(kListener, 999), std::nullopt);
  EXPECT_EQ(FieldName("envoy.config.listener.v3.Listen", 1), std::nullopt);
  EXPECT_EQ(FieldNumber(kListener, "nam"), std::nullopt);
  EXPECT_EQ(FieldNumber("", "name"), std::nullopt);
}

TEST(ContractTest, MessagesAreKnown) {
  EXPECT_TRUE(HasMessage(kListener));
  EXPECT_FALSE(HasMessage("envoy.config.listener.v3.Listeners"));
}

}  // namespace
}  // namespace pillion::config::contract
