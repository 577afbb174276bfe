#include "sidecar/main/tls_keeper.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "sidecar/config/filters.h"
#include "sidecar/jwt/key_set.h"
#include "sidecar/jwt/test_signer.h"
#include "sidecar/tls/test_certificates.h"
#include "sidecar/tls/test_pair.h"

namespace pillion {
namespace {

using time::MonotonicTime;

class TlsKeeperTest : public ::testing::Test {
 protected:
  TlsKeeperTest() {
    folder_ = std::filesystem::path(::testing::TempDir()) / ("tls_keeper_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
    tls_->common.certificates = {{.chain = File("chain.pem"), .key = File("key.pem"), .password = {}}};
  }
  ~TlsKeeperTest() override { std::filesystem::remove_all(folder_); }
  config::DataSource File(const std::string& name) const {
    return {.text = "", .file = (folder_ / name).string()};
  }
  // As a whole new file: at the time of a test two writes may fall into one tick of the file's clock.
  void Write(const std::string& name, const std::string& text) const {
    const std::string next = (folder_ / (name + ".next")).string();
    std::ofstream(next) << text;
    std::filesystem::rename(next, folder_ / name);
  }
  void WritePair(const tls::Issued& pair) const {
    Write("chain.pem", pair.certificate);
    Write("key.pem", pair.key);
  }
  static std::shared_ptr<config::Snapshot> With(const std::shared_ptr<config::ServerTls>& tls) {
    auto listener = std::make_shared<config::Listener>();
    listener->chains.emplace_back().tls = tls;
    auto snapshot = std::make_shared<config::Snapshot>();
    snapshot->listeners["l"] = {listener, {}};
    return snapshot;
  }
  void Poll() {
    now_ = keeper_.next_poll();
    keeper_.Poll(now_);
  }
  std::string Serial() const {
    const auto entries = keeper_.entries();
    return entries.empty() || entries[0].certificates.empty() ? "" : entries[0].certificates[0].serial;
  }
  tls::Issued Issue(int64_t serial) { return authority_.Issue({.names = "DNS:a", .serial = serial}); }

  std::filesystem::path folder_;
  tls::TestAuthority authority_{"authority"};
  std::shared_ptr<config::ServerTls> tls_ = std::make_shared<config::ServerTls>();
  std::vector<std::string> told_;
  MonotonicTime now_{std::chrono::hours(1)};
  TlsKeeper keeper_{now_, [this](const std::string& why) { told_.push_back(why); }};
};

TEST_F(TlsKeeperTest, FilesAreReadAndFollowed) {
  WritePair(Issue(16));
  keeper_.Update(With(tls_));
  const auto first = tls_->credentials->Get();
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(Serial(), "10");
  Poll();
  EXPECT_EQ(tls_->credentials->Get(), first);  // nothing has changed
  EXPECT_EQ(keeper_.rotations(), 1u);
  WritePair(Issue(17));
  Poll();
  EXPECT_NE(tls_->credentials->Get(), first);
  EXPECT_EQ(Serial(), "11");
  EXPECT_EQ(keeper_.rotations(), 2u);
  EXPECT_TRUE(told_.empty());
}

// Else a pair that is half written at that moment would take a chain down that nobody has changed.
TEST_F(TlsKeeperTest, AChainThatIsPutInFrontLeavesTheOthersAlone) {
  WritePair(Issue(16));
  keeper_.Update(With(tls_));
  const auto first = tls_->credentials->Get();
  ASSERT_NE(first, nullptr);
  Write("key.pem", Issue(17).key);
  const auto in_front = std::make_shared<config::ServerTls>();
  const std::shared_ptr<config::Snapshot> both = With(in_front);
  auto listener = std::make_shared<config::Listener>(*both->listeners["l"].listener);
  listener->chains.emplace_back().tls = tls_;
  both->listeners["l"].listener = listener;
  keeper_.Update(both);
  EXPECT_EQ(tls_->credentials->Get(), first);
  const auto entries = keeper_.entries();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[1].owner, "listener l, filter chain 1");
  EXPECT_EQ(entries[1].rotations, 1u);
  EXPECT_EQ(entries[1].failure, "");
}

// A listener that enforces one.
std::shared_ptr<config::Snapshot> WithDomain(const config::TokenDomain& domain) {
  auto http = std::make_shared<config::HttpServer>();
  config::TokenDomains domains;
  domains.all = {domain};
  http->http.filters = std::make_shared<const std::vector<config::FilterEntry>>(
      std::vector<config::FilterEntry>{{.name = "t",
                                        .kind = config::FilterKind::kIdempotency,
                                        .options = std::make_shared<const config::FilterOptions>(domains)}});
  auto listener = std::make_shared<config::Listener>();
  listener->chains.emplace_back().http = http;
  auto snapshot = std::make_shared<config::Snapshot>();
  snapshot->listeners["l"] = {listener, {}};
  return snapshot;
}

TEST_F(TlsKeeperTest, TheKeysOfUsersAreReadAndFollowed) {
  auto principal = std::make_shared<config::KeyPrincipal>();
  principal->jwks = File("jwks");
  config::TokenDomain domain;
  domain.id = 7;
  domain.keys.principal = principal;
  keeper_.Update(WithDomain(domain));
  EXPECT_EQ(principal->keys->Get(), nullptr);
  ASSERT_EQ(told_.size(), 1u);
  EXPECT_EQ(told_[0].find("keys of users in "), 0u) << told_[0];
  EXPECT_NE(told_[0].find("No such file"), std::string::npos) << told_[0];
  const jwt::TestSigner signer(jwt::KeyKind::kP256);
  Write("jwks", signer.Set());
  Poll();
  const auto first = principal->keys->Get();
  ASSERT_NE(first, nullptr);
  Poll();
  keeper_.Update(WithDomain(domain));
  EXPECT_EQ(principal->keys->Get(), first);
  Write("jwks", R"({"keys":[]})");
  Poll();
  ASSERT_EQ(told_.size(), 2u);
  EXPECT_NE(told_[1].find("jwks: keys: expected one that verifies signatures"), std::string::npos)
      << told_[1];
  EXPECT_NE(told_[1].find("; what was there before stays in use"), std::string::npos) << told_[1];
  EXPECT_EQ(principal->keys->Get(), first);
  Write("jwks", R"({"keys":[)" + signer.Jwk() + ',' + signer.Jwk() + "]}");
  Poll();
  EXPECT_EQ(principal->keys->Get()->size(), 2u);
  EXPECT_EQ(told_.size(), 2u);
}

config::TokenDomain DomainOf(const std::shared_ptr<config::KeyPrincipal>& principal) {
  config::TokenDomain domain;
  domain.id = 7;
  domain.keys.principal = principal;
  return domain;
}

TEST_F(TlsKeeperTest, AllListenersOfADomainGetWhatIsInItsFiles) {
  const std::string digits(64, 'a');
  Write("jwks", jwt::TestSigner(jwt::KeyKind::kP256).Set());
  Write("key", digits);
  const auto make = [&] {
    auto principal = std::make_shared<config::KeyPrincipal>();
    principal->jwks = File("jwks");
    config::TokenDomain domain = DomainOf(principal);
    auto store = std::make_shared<config::TokenStore>();
    store->key = File("key");
    domain.store = store;
    return domain;
  };
  const config::TokenDomain first = make();
  const config::TokenDomain second = make();
  auto snapshot = WithDomain(first);
  snapshot->listeners["m"] = WithDomain(second)->listeners["l"];
  keeper_.Update(snapshot);
  for (const config::TokenDomain* domain : {&first, &second}) {
    EXPECT_NE(domain->keys.principal->keys->Get(), nullptr);
    EXPECT_NE(domain->store->secrets->Get(), nullptr);
  }
  EXPECT_EQ(keeper_.entries().size(), 3u) << "one file of users' keys, and two stores";
}

// Connections that were there when a listener was pushed keep its old configuration while they drain.
TEST_F(TlsKeeperTest, KeysThatAreTakenBackAreTakenBackForConnectionsThatDrainToo) {
  const jwt::TestSigner signer(jwt::KeyKind::kP256);
  Write("jwks", signer.Set());
  auto before = std::make_shared<config::KeyPrincipal>();
  auto after = std::make_shared<config::KeyPrincipal>();
  before->jwks = after->jwks = File("jwks");
  keeper_.Update(WithDomain(DomainOf(before)));
  keeper_.Update(WithDomain(DomainOf(after)));
  Write("jwks", R"({"keys":[)" + signer.Jwk() + ',' + signer.Jwk() + "]}");
  Poll();
  EXPECT_EQ(after->keys->Get()->size(), 2u);
  EXPECT_EQ(before->keys->Get()->size(), 2u);
  after.reset();
  before.reset();
  keeper_.Update(std::make_shared<config::Snapshot>());
  EXPECT_TRUE(keeper_.entries().empty()) << "nobody verifies any more";
}

TEST_F(TlsKeeperTest, APushWhileTheFileOfUsersCannotBeReadGoesOnWithWhatThereWas) {
  Write("jwks", jwt::TestSigner(jwt::KeyKind::kP256).Set());
  auto before = std::make_shared<config::KeyPrincipal>();
  auto after = std::make_shared<config::KeyPrincipal>();
  before->jwks = after->jwks = File("jwks");
  keeper_.Update(WithDomain(DomainOf(before)));
  Write("jwks", "{");
  Poll();
  keeper_.Update(WithDomain(DomainOf(after)));
  EXPECT_NE(after->keys->Get(), nullptr);
  EXPECT_EQ(after->keys->Get(), before->keys->Get());
}

TEST_F(TlsKeeperTest, KeysOfUsersThatStandInTheConfigurationAreNotKept) {
  auto principal = std::make_shared<config::KeyPrincipal>();
  principal->jwks.text = "read when it was parsed";
  config::TokenDomain domain;
  domain.keys.principal = principal;
  keeper_.Update(WithDomain(domain));
  EXPECT_TRUE(keeper_.entries().empty());
}

TEST_F(TlsKeeperTest, WhatOpensAStoreOfTokensIsReadAndFollowed) {
  auto store = std::make_shared<config::TokenStore>();
  store->password = File("password");
  store->key = File("key");
  config::TokenDomain domain;
  domain.id = 7;
  domain.store = store;
  const auto snapshot = WithDomain(domain);
  Write("password", "secret\n");
  keeper_.Update(snapshot);
  EXPECT_EQ(store->secrets->Get(), nullptr);
  ASSERT_EQ(told_.size(), 1u);
  EXPECT_EQ(told_[0].find("token store of domain 0000000000000007: "), 0u) << told_[0];
  EXPECT_NE(told_[0].find("No such file"), std::string::npos) << told_[0];
  Write("key", "0123");
  Poll();
  ASSERT_EQ(told_.size(), 2u);
  EXPECT_NE(told_[1].find("key: expected a key of 32 bytes, or 64 hexadecimal digits in lower case"),
            std::string::npos)
      << told_[1];
  Write("key", std::string(63, '0') + "1\n");
  Poll();
  const auto first = store->secrets->Get();
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->password, "secret") << "without the end of its line";
  EXPECT_EQ(first->key[31], 1);
  Poll();
  EXPECT_EQ(store->secrets->Get(), first);
  Write("password", "other");
  Poll();
  EXPECT_EQ(store->secrets->Get()->password, "other");
  Write("key", "");
  Poll();
  EXPECT_EQ(store->secrets->Get()->key[31], 1) << "what was there stays in use";
  EXPECT_EQ(told_.size(), 3u);
}

TEST_F(TlsKeeperTest, OneIdentityHasOneContext) {
  WritePair(Issue(16));
  const auto snapshot = With(tls_);
  auto listener = std::make_shared<config::Listener>(*snapshot->listeners["l"].listener);
  const auto twin = std::make_shared<config::ServerTls>();
  twin->common.certificates = tls_->common.certificates;
  listener->chains.emplace_back().tls = twin;
  const auto stranger = std::make_shared<config::ServerTls>();  // asks for a certificate
  stranger->common.certificates = tls_->common.certificates;
  stranger->common.validation.trusted_ca.text = authority_.pem();
  listener->chains.emplace_back().tls = stranger;
  snapshot->listeners["l"].listener = listener;
  for (const char* name : {"a", "b"}) {
    auto cluster = std::make_shared<config::Cluster>();
    auto client = std::make_shared<config::ClientTls>();
    client->common.certificates = tls_->common.certificates;
    cluster->tls = client;
    snapshot->clusters[name] = {cluster, nullptr};
  }
  keeper_.Update(snapshot);
  for (int round = 0; round < 2; ++round) {
    const auto first = tls_->credentials->Get();
    ASSERT_NE(first, nullptr);
    EXPECT_EQ(twin->credentials->Get(), first);
    EXPECT_NE(stranger->credentials->Get(), first);
    const auto client = snapshot->clusters["a"].cluster->tls->credentials->Get();
    ASSERT_NE(client, nullptr);
    EXPECT_EQ(snapshot->clusters["b"].cluster->tls->credentials->Get(), client);
    EXPECT_EQ(client->certificates().front().serial, round == 0 ? "10" : "11");
    WritePair(Issue(17));
    Poll();
  }
}

TEST_F(TlsKeeperTest, OldPrivateKeysDoNotStayInMemory) {
  WritePair(Issue(16));
  keeper_.Update(With(tls_));
  EXPECT_EQ(keeper_.remembered(), 1u);
  auto connection = tls_->credentials->Get();
  WritePair(Issue(17));
  Poll();
  EXPECT_EQ(keeper_.remembered(), 2u);  // a new connection may still be given what this one has
  connection.reset();
  Poll();
  EXPECT_EQ(keeper_.remembered(), 1u);
  keeper_.Update(std::make_shared<config::Snapshot>());
  tls_->credentials->Set(nullptr);
  Poll();
  EXPECT_EQ(keeper_.remembered(), 0u);
}

// The files of a cluster are followed as those of a listener, and the CA that it trusts too.
TEST_F(TlsKeeperTest, ClustersAreKeptToo) {
  WritePair(Issue(16));
  Write("ca.pem", authority_.pem());
  const auto snapshot = std::make_shared<config::Snapshot>();
  const auto tls = std::make_shared<config::ClientTls>();
  tls->common.certificates = tls_->common.certificates;
  tls->common.validation.trusted_ca = File("ca.pem");
  auto cluster = std::make_shared<config::Cluster>();
  cluster->tls = tls;
  snapshot->clusters["c"] = {cluster, nullptr};
  keeper_.Update(snapshot);
  const auto first = tls->credentials->Get();
  ASSERT_NE(first, nullptr);
  tls::TestAuthority other("other");
  Write("ca.pem", other.pem());
  Poll();
  const auto second = tls->credentials->Get();
  EXPECT_NE(second, first);
  WritePair(Issue(17));
  Poll();
  EXPECT_NE(tls->credentials->Get(), second);
  EXPECT_EQ(keeper_.rotations(), 3u);
}

// A ticket lives through one turn of the keys, and not through two.
TEST_F(TlsKeeperTest, TicketKeysAreTurnedOverByPolls) {
  WritePair(Issue(16));
  keeper_.Update(With(tls_));
  const auto client = [&] {
    tls::ClientSettings of_client;
    of_client.common.validation.trusted_ca = authority_.pem();
    of_client.sni = "a";
    return tls::Good(tls::ClientCredentials::Make(of_client));
  }();
  const auto resumes = [&] {
    tls::TestPair pair(client, tls_->credentials->Get());
    pair.Handshake();
    tls::ReadAll(*pair.client, *pair.client_below);  // the ticket
    return pair.client->security()->resumed;
  };
  const auto wait = [&](time::Duration passed) {
    now_ += passed;
    keeper_.Poll(now_);
  };
  EXPECT_FALSE(resumes());
  EXPECT_TRUE(resumes());
  wait(tls::TicketKeys::kLife);
  EXPECT_TRUE(resumes());  // and gets a ticket of the new key
  wait(tls::TicketKeys::kLife);
  wait(tls::TicketKeys::kLife);
  EXPECT_FALSE(resumes());
}

TEST_F(TlsKeeperTest, HalfOfANewPairLeavesTheOldOneInUseAndIsToldOnce) {
  WritePair(Issue(16));
  keeper_.Update(With(tls_));
  const auto first = tls_->credentials->Get();
  const tls::Issued next = Issue(17);
  Write("chain.pem", next.certificate);
  Poll();
  Poll();
  EXPECT_EQ(tls_->credentials->Get(), first);
  ASSERT_EQ(told_.size(), 1u);
  EXPECT_EQ(told_[0],
            "listener l, filter chain 0: tls_certificates[0].private_key: expected the key of the first "
            "certificate of "
            "certificate_chain; what was there before stays in use");
  EXPECT_EQ(keeper_.failures(), 1u);
  Write("key.pem", next.key);
  Poll();
  EXPECT_EQ(Serial(), "11");
  EXPECT_EQ(keeper_.entries()[0].failure, "");
}

TEST_F(TlsKeeperTest, AFileThatIsMissingComesLater) {
  keeper_.Update(With(tls_));
  EXPECT_EQ(tls_->credentials->Get(), nullptr);
  ASSERT_EQ(told_.size(), 1u);
  EXPECT_NE(told_[0].find("chain.pem: No such file"), std::string::npos) << told_[0];
  WritePair(Issue(16));
  Poll();
  EXPECT_NE(tls_->credentials->Get(), nullptr);
}

TEST_F(TlsKeeperTest, ALinkThatLeadsElsewhereIsFollowed) {
  std::filesystem::create_directories(folder_ / "1");
  std::filesystem::create_directories(folder_ / "2");
  for (const int64_t serial : {1, 2}) {
    const tls::Issued pair = Issue(15 + serial);
    Write(std::to_string(serial) + "/chain.pem", pair.certificate);
    Write(std::to_string(serial) + "/key.pem", pair.key);
  }
  std::filesystem::create_directory_symlink(folder_ / "1", folder_ / "now");
  tls_->common.certificates = {{.chain = File("now/chain.pem"), .key = File("now/key.pem"), .password = {}}};
  keeper_.Update(With(tls_));
  EXPECT_EQ(Serial(), "10");
  std::filesystem::create_directory_symlink(folder_ / "2", folder_ / "next");
  std::filesystem::rename(folder_ / "next", folder_ / "now");
  Poll();
  EXPECT_EQ(Serial(), "11");
}

TEST_F(TlsKeeperTest, SecretsAreTakenWhenTheyComeAndChange) {
  tls_->common.certificates.clear();
  tls_->common.certificate_secrets = {{.name = "own", .pushed = true}};
  tls_->common.validation_secret = {.name = "ca", .pushed = true};
  tls_->settings.require_client_certificate = true;
  keeper_.Update(With(tls_));
  EXPECT_EQ(tls_->credentials->Get(), nullptr);
  EXPECT_EQ(told_.back(), "listener l, filter chain 0: secret own: it has not come yet");
  auto snapshot = With(tls_);
  const auto secret = [&](int64_t serial) {
    auto made = std::make_shared<config::Secret>();
    const tls::Issued pair = Issue(serial);
    made->certificate = {.chain = {pair.certificate, ""}, .key = {pair.key, ""}, .password = {}};
    return made;
  };
  auto ca = std::make_shared<config::Secret>();
  ca->validation.emplace();
  snapshot->secrets[{true, "own"}] = secret(16);
  snapshot->secrets[{true, "ca"}] = ca;
  keeper_.Update(snapshot);
  // A check that says nothing must not let everybody in.
  EXPECT_EQ(told_.back(), "listener l, filter chain 0: secret : expected a trusted_ca or hashes");
  ca->validation->trusted_ca.text = authority_.pem();
  auto next = std::make_shared<config::Snapshot>(*snapshot);
  next->secrets[{true, "ca"}] = std::make_shared<config::Secret>(*ca);
  keeper_.Update(next);
  const auto first = tls_->credentials->Get();
  ASSERT_NE(first, nullptr) << told_.back();
  keeper_.Update(std::make_shared<config::Snapshot>(*next));
  EXPECT_EQ(tls_->credentials->Get(), first);
  auto renewed = std::make_shared<config::Snapshot>(*next);
  renewed->secrets[{true, "own"}] = secret(17);
  keeper_.Update(renewed);
  EXPECT_EQ(Serial(), "11");
  auto wrong = std::make_shared<config::Snapshot>(*renewed);
  wrong->secrets[{true, "own"}] = ca;
  keeper_.Update(wrong);
  EXPECT_EQ(Serial(), "11");
  EXPECT_NE(told_.back().find("expected a tls_certificate"), std::string::npos);
}

TEST_F(TlsKeeperTest, WhatStandsInTheConfigurationCanBeCheckedAlone) {
  const tls::Issued pair = Issue(16);
  config::CommonTls tls;
  tls.certificates = {{.chain = {pair.certificate, ""}, .key = {pair.key, ""}, .password = {}}};
  tls.validation.trusted_ca.text = authority_.pem();
  EXPECT_EQ(TlsProblem(tls), "");
  tls.certificates[0].key.text = Issue(17).key;
  EXPECT_EQ(
      TlsProblem(tls),
      "tls_certificates[0].private_key: expected the key of the first certificate of certificate_chain");
  tls.certificates[0].key = {"", "/nowhere"};  // not looked at here
  EXPECT_EQ(TlsProblem(tls), "");
  tls.validation.trusted_ca.text = "no";
  EXPECT_EQ(TlsProblem(tls), "validation_context.trusted_ca: expected at least one PEM certificate");
}

}  // namespace
}  // namespace pillion
