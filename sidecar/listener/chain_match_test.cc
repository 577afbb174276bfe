#include "sidecar/listener/chain_match.h"

#include <gtest/gtest.h>

#include <string>

namespace pillion::listener {
namespace {

using config::FilterChainMatch;

net::Address At(const std::string& ip, uint16_t port) { return *net::Address::Parse(ip, port); }
config::CidrRange Range(const std::string& ip, uint32_t bits) { return {At(ip, 0), bits}; }

class ChainMatchTest : public ::testing::Test {
 protected:
  ChainMatchTest() {
    listener_.inspect_tls = true;
    listener_.inspect_http = true;
    facts_.destination = At("10.1.2.3", 443);
    facts_.direct_source = facts_.source = At("10.9.9.9", 5000);
  }
  FilterChainMatch& Chain() { return listener_.chains.emplace_back().match; }
  void Tls(const std::string& name, std::vector<std::string> protocols = {}) {
    facts_.tls = true;
    facts_.server_name = name;
    facts_.protocols = std::move(protocols);
  }
  void Plain(std::vector<std::string> protocols = {}) {
    facts_.tls = false;
    facts_.protocols = std::move(protocols);
  }
  std::string Choose() const {
    const ChainChoice choice = ChooseChain(listener_, facts_);
    switch (choice.kind) {
      case ChainChoice::Kind::kChain:
        return std::to_string(choice.chain);
      case ChainChoice::Kind::kNone:
        return "none";
      case ChainChoice::Kind::kAskTls:
        return "ask tls";
      case ChainChoice::Kind::kAskHttp:
        return "ask http";
    }
    return "?";
  }
  config::Listener listener_;
  ConnectionFacts facts_;
};

TEST_F(ChainMatchTest, AChainWithoutCriteriaTakesAllAndAsksForNothing) {
  Chain();
  EXPECT_EQ(Choose(), "0");
}

TEST_F(ChainMatchTest, NothingThatMatchesIsTheDefaultOrNone) {
  Chain().destination_port = 80;
  EXPECT_EQ(Choose(), "none");
  listener_.default_chain.emplace();
  EXPECT_EQ(Choose(), "1");
}

TEST_F(ChainMatchTest, APortThatDecidesNeedsNoInspection) {
  Chain().destination_port = 443;
  Chain().server_names = {"a.example"};
  EXPECT_EQ(Choose(), "0");
  facts_.destination = At("10.1.2.3", 80);
  EXPECT_EQ(Choose(), "ask tls");
}

TEST_F(ChainMatchTest, TheLongestPrefixWins) {
  Chain();
  Chain().destinations = {Range("10.0.0.0", 8), Range("192.168.0.0", 16)};
  Chain().destinations = {Range("10.1.2.0", 23)};
  Chain().destinations = {Range("0.0.0.0", 0)};
  EXPECT_EQ(Choose(), "2");
  facts_.destination = At("10.1.4.3", 443);
  EXPECT_EQ(Choose(), "1");
  facts_.destination = At("11.1.4.3", 443);
  EXPECT_EQ(Choose(), "3");
  facts_.destination = At("fe80::1", 443);
  EXPECT_EQ(Choose(), "0") << "no IPv4 range holds it";
}

TEST_F(ChainMatchTest, NamesExactThenLongestSuffixThenNone) {
  Chain().server_names = {"*.example"};
  Chain().server_names = {"a.b.example", "x.org"};
  Chain().server_names = {"*.b.example"};
  Chain();
  EXPECT_EQ(Choose(), "ask tls");
  const std::pair<const char*, const char*> cases[] = {
      {"a.b.example", "1"}, {"x.org", "1"},         {"c.b.example", "2"}, {"d.c.b.example", "2"},
      {"b.example", "0"},   {"other.example", "0"}, {"example", "3"},     {"", "3"}};
  for (const auto& [name, chain] : cases) {
    Tls(name);
    EXPECT_EQ(Choose(), chain) << name;
  }
  Plain();
  EXPECT_EQ(Choose(), "3");
}

TEST_F(ChainMatchTest, TransportAndProtocols) {
  Chain().transport = FilterChainMatch::Transport::kTls;
  auto& http = Chain();
  http.transport = FilterChainMatch::Transport::kPlain;
  http.application_protocols = {"http/1.1", "h2c"};
  Chain().transport = FilterChainMatch::Transport::kPlain;
  EXPECT_EQ(Choose(), "ask tls");
  facts_.tls = false;
  EXPECT_EQ(Choose(), "ask http");
  Plain({"http/1.1"});
  EXPECT_EQ(Choose(), "1");
  Plain({"http/1.0"});
  EXPECT_EQ(Choose(), "2");
  Tls("", {"h2"});
  EXPECT_EQ(Choose(), "0");
}

TEST_F(ChainMatchTest, WhatIsNotInspectedIsPlainAndUnnamed) {
  listener_.inspect_tls = listener_.inspect_http = false;
  Chain().transport = FilterChainMatch::Transport::kPlain;
  EXPECT_EQ(Choose(), "0");
}

// Envoy's rule: a chain that was more specific early is not given up for one that would match in the end.
TEST_F(ChainMatchTest, ThereIsNoWayBack) {
  auto& named = Chain();
  named.server_names = {"a.example"};
  named.sources = {Range("1.0.0.0", 8)};
  Chain();
  Tls("a.example");
  EXPECT_EQ(Choose(), "none");
}

TEST_F(ChainMatchTest, Sources) {
  Chain().source = FilterChainMatch::Source::kLocal;
  Chain().source = FilterChainMatch::Source::kExternal;
  EXPECT_EQ(Choose(), "1");
  facts_.source = At("127.0.0.9", 1);
  EXPECT_EQ(Choose(), "0");
  facts_.source = At("10.1.2.3", 1);
  EXPECT_EQ(Choose(), "0") << "its own address";
}

TEST_F(ChainMatchTest, TheAddressThatAProxyToldIsNotThePeersOwn) {
  Chain().direct_sources = {Range("10.9.0.0", 16)};
  auto& told = Chain();
  told.direct_sources = {Range("10.9.9.0", 24)};
  told.sources = {Range("8.8.8.8", 32)};
  told.source_ports = {53};
  EXPECT_EQ(Choose(), "none");
  facts_.source = At("8.8.8.8", 53);
  EXPECT_EQ(Choose(), "1");
  facts_.source = At("8.8.8.8", 54);
  EXPECT_EQ(Choose(), "none");
}

}  // namespace
}  // namespace pillion::listener
