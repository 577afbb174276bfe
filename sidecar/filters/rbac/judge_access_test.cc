#include "sidecar/filters/rbac/judge_access.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "sidecar/base/random.h"
#include "sidecar/config/filters.h"
#include "sidecar/config/parse_listener.h"

namespace {

size_t allocations = 0;

}  // namespace

// NOLINTBEGIN(misc-new-delete-overloads): the others call these.
void* operator new(size_t size) {
  ++allocations;
  void* const memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
// NOLINTEND(misc-new-delete-overloads)

namespace pillion::filters {
namespace {

namespace access = config::access;
using config::AccessCondition;
using config::StringMatch;
using Whose = access::Address::Whose;
using Kind = StringMatch::Kind;

net::Address At(const char* ip, uint16_t port = 0) { return *net::Address::Parse(ip, port); }

StringMatch Text(Kind kind, const std::string& text) {
  StringMatch match;
  match.kind = kind;
  match.text = text;
  return match;
}

// A request, and whether conditions hold of it.
struct Asked {
  http::RequestHead head;
  config::HttpPolicy policy;
  net::Address peer = At("192.0.2.1", 999);
  net::Address direct_peer = At("198.51.100.1", 998);
  net::Address destination = At("203.0.113.1", 443);
  net::Security security;
  bool tls = false;

  AccessFacts facts() const {
    return {head, policy, peer, direct_peer, destination, tls ? &security : nullptr};
  }
  bool Is(const AccessCondition& condition) const { return Matches(condition, facts()); }
  bool IsFrom(Whose whose, const char* range) const {
    return Is({access::Address{whose, *net::CidrRange::Parse(range)}});
  }
  bool HasName(Kind kind, const std::string& name) const { return Is({access::Identity{Text(kind, name)}}); }
};

TEST(JudgeAccess, AddressesAreTheirOwners) {
  const Asked asked;
  const std::pair<Whose, const char*> owners[] = {{Whose::kPeer, "192.0.2.1"},
                                                  {Whose::kDirectPeer, "198.51.100.1"},
                                                  {Whose::kDestination, "203.0.113.1"},
                                                  {Whose::kClient, "192.0.2.1"}};
  for (const auto& [whose, ip] : owners) {
    EXPECT_TRUE(asked.IsFrom(whose, ip));
    EXPECT_FALSE(asked.IsFrom(whose, "203.0.113.2"));
    EXPECT_TRUE(asked.IsFrom(whose, "0.0.0.0/0"));
    EXPECT_FALSE(asked.IsFrom(whose, "::/0")) << "another family";
  }
}

TEST(JudgeAccess, AnAddressThatIsNotKnownLiesInNoRange) {
  Asked asked;
  asked.destination = net::Address();
  EXPECT_FALSE(asked.IsFrom(Whose::kDestination, "0.0.0.0/0"));
  EXPECT_FALSE(asked.IsFrom(Whose::kDestination, "::/0"));
  EXPECT_FALSE(asked.Is({access::Ports{{.start = 0, .end = 65536}}}));
}

TEST(JudgeAccess, TheClientIsWhomTrustedProxiesTell) {
  Asked asked;
  asked.head.headers.Add("x-forwarded-for", "10.0.0.1, 10.0.0.2");
  asked.head.headers.Add("X-Forwarded-For", "10.0.0.3");
  EXPECT_TRUE(asked.IsFrom(Whose::kClient, "192.0.2.1")) << "nobody is trusted";
  asked.policy.trusted_hops = 1;
  EXPECT_TRUE(asked.IsFrom(Whose::kClient, "10.0.0.2"));
  asked.policy.trusted_hops = 2;
  EXPECT_TRUE(asked.IsFrom(Whose::kClient, "10.0.0.1"));
  asked.policy.trusted_hops = 3;
  EXPECT_TRUE(asked.IsFrom(Whose::kClient, "192.0.2.1")) << "there are not so many";
  asked.policy.trusted_hops = 1;
  EXPECT_TRUE(asked.IsFrom(Whose::kPeer, "192.0.2.1")) << "whatever proxies say";
  for (const char* odd : {"somebody", "10.0.0.1:80", "10.0.0.1.2",
                          "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc"}) {
    asked.head.headers.Remove("x-forwarded-for");
    asked.head.headers.Add("x-forwarded-for", std::string(odd) + ", 10.0.0.3");
    EXPECT_TRUE(asked.IsFrom(Whose::kClient, "192.0.2.1")) << odd;
  }
  asked.head.headers.Remove("x-forwarded-for");
  asked.head.headers.Add("x-forwarded-for", "::ffff:10.0.0.9, 10.0.0.3");
  EXPECT_TRUE(asked.IsFrom(Whose::kClient, "10.0.0.9")) << "an IPv4 address, however it is written";
}

TEST(JudgeAccess, PortsAreARangeWithoutItsEnd) {
  Asked asked;
  const auto within = [&](int64_t start, int64_t end) {
    return asked.Is({access::Ports{{.start = start, .end = end}}});
  };
  EXPECT_TRUE(within(443, 444));
  EXPECT_TRUE(within(0, 65536));
  EXPECT_FALSE(within(442, 443));
  EXPECT_FALSE(within(444, 500));
}

TEST(JudgeAccess, ThePathIsMatchedWithoutItsQuery) {
  Asked asked;
  asked.head.path = "/a/b?c=/d";
  const auto path = [&](Kind kind, const char* text) { return asked.Is({access::Path{Text(kind, text)}}); };
  EXPECT_TRUE(path(Kind::kExact, "/a/b"));
  EXPECT_FALSE(path(Kind::kExact, "/a/b?c=/d"));
  EXPECT_FALSE(path(Kind::kSuffix, "/d"));
  EXPECT_FALSE(path(Kind::kContains, "?"));
  EXPECT_TRUE(path(Kind::kPrefix, "/a"));
  asked.head.path = "/a/b";
  EXPECT_TRUE(path(Kind::kExact, "/a/b"));
}

TEST(JudgeAccess, EachValueOfAFieldIsMatchedByItself) {
  Asked asked;
  asked.head.headers.Add("x-role", "guest");
  asked.head.headers.Add("x-role", "admin");
  const StringMatch admin = Text(Kind::kExact, "admin");
  EXPECT_TRUE(asked.Is({config::HeaderMatch{.name = "x-role", .value = admin}}));
  EXPECT_FALSE(asked.Is({config::HeaderMatch{.name = "x-role", .invert = true, .value = admin}}));
  EXPECT_FALSE(asked.Is({config::HeaderMatch{.name = "x-none", .invert = true, .value = admin}}))
      << "what is not there is no other value";
}

TEST(JudgeAccess, OnlyWhatMutualTlsHasProvenIsAnIdentity) {
  Asked asked;
  const AccessCondition anybody{access::Identity{}};
  EXPECT_FALSE(asked.Is(anybody)) << "plain text";
  asked.tls = true;
  EXPECT_FALSE(asked.Is(anybody)) << "no certificate";
  asked.security.has_peer_certificate = true;
  net::PeerCertificate& shown = asked.security.peer_certificate;
  shown.subject = "CN=ann";
  shown.uri_names = {"spiffe://td/ann", "spiffe://td/other"};
  shown.dns_names = {"ann.example"};
  EXPECT_FALSE(asked.Is(anybody)) << "nobody has verified it";
  EXPECT_FALSE(asked.HasName(Kind::kExact, "spiffe://td/ann"));
  shown.verified = true;
  EXPECT_TRUE(asked.Is(anybody));
  for (const char* name : {"spiffe://td/ann", "spiffe://td/other", "ann.example", "CN=ann"})
    EXPECT_TRUE(asked.HasName(Kind::kExact, name)) << name;
  EXPECT_TRUE(asked.HasName(Kind::kPrefix, "spiffe://td/"));
  for (const char* name : {"spiffe://td/an", "spiffe://td/anna", "ann", ""})
    EXPECT_FALSE(asked.HasName(Kind::kExact, name)) << name;
}

TEST(JudgeAccess, HostsThatTlsIsAskedForHaveNoCase) {
  Asked asked;
  access::ServerName name{Text(Kind::kExact, "a.example")};
  name.text.ignore_case = true;
  const AccessCondition host{name};
  EXPECT_FALSE(asked.Is(host)) << "plain text";
  asked.tls = true;
  EXPECT_FALSE(asked.Is(host)) << "it asks for none";
  asked.security.server_name = "A.Example";
  EXPECT_TRUE(asked.Is(host));
}

TEST(JudgeAccess, RulesDoWhatTheyAreFor) {
  const Asked asked;
  config::AccessRules rules;
  using Action = config::AccessRules::Action;
  const auto allows = [&](Action action) {
    rules.action = action;
    return Allows(rules, Matches(rules, asked.facts()));
  };
  EXPECT_FALSE(allows(Action::kAllow)) << "no policy, nobody";
  EXPECT_TRUE(allows(Action::kDeny));
  EXPECT_TRUE(allows(Action::kLog));
  const AccessCondition yes{access::Always{}};
  access::Not negation;
  negation.of = {yes};
  const AccessCondition no{negation};
  // Both sides must match, in one policy.
  rules.policies = {{{{yes}}, {{no}}}, {{{no}}, {{yes}}}};
  EXPECT_FALSE(allows(Action::kAllow));
  rules.policies.push_back({{{no, yes}}, {{yes, no}}});
  EXPECT_TRUE(allows(Action::kAllow));
  EXPECT_FALSE(allows(Action::kDeny));
  EXPECT_TRUE(allows(Action::kLog));
}

TEST(JudgeAccess, AJudgementTakesNoMemory) {
  Asked asked;
  asked.tls = true;
  asked.security.has_peer_certificate = asked.security.peer_certificate.verified = true;
  asked.security.peer_certificate.uri_names = {"spiffe://a-trust-domain/a-namespace/an-account"};
  asked.head.path = "/a/path/that/is/longer/than/a/small/string?and=a&query";
  asked.head.headers.Add("x-forwarded-for", "2001:db8:1111:2222:3333:4444:5555:6666, 2001:db8::1");
  asked.policy.trusted_hops = 1;
  access::All all;
  all.of.push_back({access::Identity{Text(Kind::kPrefix, "spiffe://a-trust-domain/")}});
  all.of.push_back({access::Path{Text(Kind::kSuffix, "/than/a/small/string")}});
  all.of.push_back({access::Address{Whose::kClient, *net::CidrRange::Parse("2001:db8::/32")}});
  all.of.push_back({config::HeaderMatch{.name = "x-forwarded-for", .value = Text(Kind::kContains, "2001")}});
  const AccessCondition condition{std::move(all)};
  const AccessFacts facts = asked.facts();
  const size_t before = allocations;
  EXPECT_GT(before, 0u) << "they are counted";
  EXPECT_TRUE(Matches(condition, facts));
  EXPECT_EQ(allocations, before);
}

// --- random rules, as they are written, against a plain reading of them ------------------------------------

constexpr uint64_t kFields = 6;  // x-0 .. x-5, which a request has or not

struct Plain {
  uint32_t fields;  // a bit each
  std::string path;
  uint16_t port;

  template <typename Leaf>
  bool Field(const Leaf& header) const {
    const bool there = (fields >> (header.name().back() - '0') & 1) != 0;
    return there != header.invert_match();
  }
  bool Holds(const envoy::config::rbac::v3::Permission& one) const {
    if (one.has_and_rules()) {
      for (const auto& rule : one.and_rules().rules()) {
        if (!Holds(rule)) return false;
      }
      return true;
    }
    if (one.has_or_rules()) {
      for (const auto& rule : one.or_rules().rules()) {
        if (Holds(rule)) return true;
      }
      return false;
    }
    if (one.has_not_rule()) return !Holds(one.not_rule());
    if (one.has_header()) return Field(one.header());
    if (one.has_url_path()) return one.url_path().path().exact() == path;
    if (one.has_destination_port()) return one.destination_port() == port;
    return one.any();
  }
  bool Holds(const envoy::config::rbac::v3::Principal& one) const {
    if (one.has_and_ids()) {
      for (const auto& id : one.and_ids().ids()) {
        if (!Holds(id)) return false;
      }
      return true;
    }
    if (one.has_or_ids()) {
      for (const auto& id : one.or_ids().ids()) {
        if (Holds(id)) return true;
      }
      return false;
    }
    if (one.has_not_id()) return !Holds(one.not_id());
    if (one.has_header()) return Field(one.header());
    if (one.has_url_path()) return one.url_path().path().exact() == path;
    return one.any();
  }
  bool Allows(const envoy::config::rbac::v3::RBAC& rules) const {
    bool matches = false;
    for (const auto& [name, policy] : rules.policies()) {
      bool permitted = false;
      bool known = false;
      for (const auto& one : policy.permissions()) permitted = permitted || Holds(one);
      for (const auto& one : policy.principals()) known = known || Holds(one);
      matches = matches || (permitted && known);
    }
    return matches == (rules.action() == envoy::config::rbac::v3::RBAC::ALLOW);
  }
};

class RandomRules {
 public:
  explicit RandomRules(uint64_t seed) : random_(seed) {}

  envoy::config::rbac::v3::RBAC Make() {
    envoy::config::rbac::v3::RBAC rules;
    if (Draw(2) == 0) rules.set_action(envoy::config::rbac::v3::RBAC::DENY);
    const uint64_t policies = Draw(3);
    for (uint64_t i = 0; i < policies; ++i) {
      auto& policy = (*rules.mutable_policies())["p" + std::to_string(i)];
      for (uint64_t n = 1 + Draw(2); n > 0; --n) Fill(*policy.add_permissions(), 4);
      for (uint64_t n = 1 + Draw(2); n > 0; --n) Fill(*policy.add_principals(), 4);
    }
    return rules;
  }
  uint64_t Draw(uint64_t below) { return Below(random_.Next(), below); }

 private:
  template <typename Condition>
  void FillLeaf(Condition& one) {
    switch (Draw(8)) {
      case 0:
        one.set_any(true);
        break;
      case 1:
        one.mutable_url_path()->mutable_path()->set_exact(Draw(2) == 0 ? "/a" : "/b");
        break;
      default:
        one.mutable_header()->set_name("x-" + std::to_string(Draw(kFields)));
        one.mutable_header()->set_present_match(true);
        one.mutable_header()->set_invert_match(Draw(2) == 0);
    }
  }
  void Fill(envoy::config::rbac::v3::Permission& one, int depth) {
    const uint64_t kind = depth == 0 ? 4 : Draw(6);
    if (kind == 0 || kind == 1) {
      auto& set = kind == 0 ? *one.mutable_and_rules() : *one.mutable_or_rules();
      for (uint64_t n = 1 + Draw(3); n > 0; --n) Fill(*set.add_rules(), depth - 1);
    } else if (kind == 2) {
      Fill(*one.mutable_not_rule(), depth - 1);
    } else if (kind == 3) {
      one.set_destination_port(Draw(2) == 0 ? 80 : 443);
    } else {
      FillLeaf(one);
    }
  }
  void Fill(envoy::config::rbac::v3::Principal& one, int depth) {
    const uint64_t kind = depth == 0 ? 4 : Draw(6);
    if (kind == 0 || kind == 1) {
      auto& set = kind == 0 ? *one.mutable_and_ids() : *one.mutable_or_ids();
      for (uint64_t n = 1 + Draw(3); n > 0; --n) Fill(*set.add_ids(), depth - 1);
    } else if (kind == 2) {
      Fill(*one.mutable_not_id(), depth - 1);
    } else {
      FillLeaf(one);
    }
  }
  Random random_;
};

// As a listener of these rules reads them.
config::Validated<config::Listener> Read(const envoy::config::rbac::v3::RBAC& rules) {
  envoy::extensions::filters::http::rbac::v3::RBAC filter;
  *filter.mutable_rules() = rules;
  envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager manager;
  manager.set_stat_prefix("s");
  manager.mutable_route_config()->set_name("r");
  auto& first = *manager.add_http_filters();
  first.set_name("rbac");
  first.mutable_typed_config()->PackFrom(filter);
  auto& last = *manager.add_http_filters();
  last.set_name("router");
  last.mutable_typed_config()->PackFrom(envoy::extensions::filters::http::router::v3::Router());
  envoy::config::listener::v3::Listener listener;
  listener.set_name("l");
  auto& address = *listener.mutable_address()->mutable_socket_address();
  address.set_address("127.0.0.1");
  address.set_port_value(80);
  auto& chain = *listener.add_filter_chains()->add_filters();
  chain.set_name("http");
  chain.mutable_typed_config()->PackFrom(manager);
  return config::ParseListener(listener, "1", config::Origin::kPushed);
}
std::shared_ptr<const config::Listener> Parse(const envoy::config::rbac::v3::RBAC& rules) {
  const auto parsed = Read(rules);
  for (const auto& error : parsed.errors) ADD_FAILURE() << error.path << ": " << error.message;
  return parsed.value;
}

TEST(JudgeAccess, RandomRulesSayWhatAPlainReadingOfThemSays) {
  RandomRules random(20261130);
  std::array<int, 2> said{};
  for (int round = 0; round < 1500; ++round) {
    const auto written = random.Make();
    const auto listener = Parse(written);
    ASSERT_NE(listener, nullptr);
    const auto& options = *listener->chain(0).http->http.filters->at(0).options;
    const config::AccessRules& rules = *std::get<config::AccessControl>(options).rules;
    for (int i = 0; i < 16; ++i) {
      const Plain plain{static_cast<uint32_t>(random.Draw(1 << kFields)), random.Draw(2) == 0 ? "/a" : "/b",
                        static_cast<uint16_t>(random.Draw(2) == 0 ? 80 : 443)};
      Asked asked;
      for (uint64_t field = 0; field < kFields; ++field) {
        if ((plain.fields >> field & 1) != 0) asked.head.headers.Add("X-" + std::to_string(field), "v");
      }
      asked.head.path = plain.path + "?q";
      asked.destination = At("203.0.113.1", plain.port);
      const bool expected = plain.Allows(written);
      ++said[expected ? 1 : 0];
      ASSERT_EQ(Allows(rules, Matches(rules, asked.facts())), expected) << written.DebugString();
    }
  }
  EXPECT_GT(said[0], 5000) << "both answers are common";
  EXPECT_GT(said[1], 5000);
}

// Names of hosts have no case, so that their expressions are read without; what they say then must hold.
TEST(JudgeAccess, AnExpressionOfServerNamesThatCannotBeReadWithoutCaseIsRefused) {
  const auto rules = [](const std::string& regex) {
    envoy::config::rbac::v3::RBAC rules;
    auto& policy = (*rules.mutable_policies())["p"];
    policy.add_permissions()->mutable_requested_server_name()->mutable_safe_regex()->set_regex(regex);
    policy.add_principals()->set_any(true);
    return rules;
  };
  EXPECT_EQ(Read(rules("\\Qa.example")).errors.size(), 1U) << "the quotation would not end";
  EXPECT_EQ(Read(rules(std::string(4096, 'a'))).errors.size(), 1U) << "too long then";
  EXPECT_NE(Parse(rules("\\Qa.example\\E")), nullptr);
  EXPECT_NE(Parse(rules(std::string(4000, 'a'))), nullptr);
}

}  // namespace
}  // namespace pillion::filters
