// Requests with keys of applications, driven through the filter, for tests.
#ifndef PILLION_SIDECAR_FILTERS_IDEMPOTENCY_KEYS_FIXTURE_H_
#define PILLION_SIDECAR_FILTERS_IDEMPOTENCY_KEYS_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "sidecar/filter/filter_drive.h"
#include "sidecar/filters/idempotency/idempotency.h"
#include "sidecar/idempotency/local_table.h"
#include "sidecar/idempotency/token.h"

namespace pillion::filters {

class KeysFixture : public ::testing::Test {
 protected:
  static constexpr idempotency::DomainTime kStart{1'700'000'000'000};
  static constexpr idempotency::DomainId kDomain = 7;

  explicit KeysFixture(config::KeySource source) {
    domain_.id = kDomain;
    domain_.keys.source = source;
    domain_.keys.records = 8;
    domain_.keys.of.grpc_methods = {"/pay.Pay/Charge"};
    domain_.holder->incarnation = {1, 2, 3};
    domain_.holder->table = std::make_shared<idempotency::LocalTable>(domain_.terms);
    domain_.keys.holder->table = std::make_shared<idempotency::LocalTable>(domain_.terms);
  }
  // An app's, without a sidecar's word. `key` nullopt: without one.
  std::unique_ptr<filter::FilterDrive> WithKey(const std::optional<std::string>& key,
                                               const char* method = "POST") {
    auto drive = std::make_unique<filter::FilterDrive>(filter_, config::FilterKind::kIdempotency,
                                                       config::TokenDomains{{domain_}});
    drive->head.method = http::ParseMethod(method);
    drive->head.method_text = method;
    if (key) drive->head.headers.Add("Idempotency-Key", *key);
    drive->now = time::MonotonicTime(now_ - kStart);
    drive->wall = time::WallTime(now_);
    return drive;
  }
  // The same with a sidecar's: of `token`, or that the key stands for it.
  static std::unique_ptr<filter::FilterDrive> Stamp(std::unique_ptr<filter::FilterDrive> drive,
                                                    const std::optional<idempotency::Token>& token = {}) {
    using Says = filter::TokenState::Says;
    auto fields = std::make_unique<filter::TokenState>();
    fields->says = token ? Says::kToken : Says::kAppKey;
    if (token) fields->taken = token->array();
    fields->domain = kDomain;
    drive->state.token = std::move(fields);
    return drive;
  }
  // "executed", or what it is told instead: status and verdict; "passed": nothing protects it.
  static std::string Outcome(filter::FilterDrive& drive, std::string_view body = "body") {
    drive.Request(body, 0);
    if (drive.passage == filter::Passage::kAnswered) {
      const std::string verdict = drive.LocalField("pillion-dedup");
      return std::to_string(drive.local_response.status) + " " + verdict.substr(0, verdict.find(';'));
    }
    EXPECT_EQ(drive.sent, body);
    if (drive.state.chain == nullptr) return "passed";
    drive.Response(201, {{"content-type", "text/plain"}, {"set-cookie", "a=1"}, {"set-cookie", "b=2"}},
                   "done", 0);
    return drive.ResponseField("pillion-dedup");
  }
  static std::string Outcome(std::unique_ptr<filter::FilterDrive> drive, std::string_view body = "body") {
    return Outcome(*drive, body);
  }
  config::TokenDomain domain_;
  idempotency::DomainTime now_ = kStart;
  Random random_{1};
  idempotency::WorkerStores stores_;
  Idempotency filter_{stores_};
};

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_IDEMPOTENCY_KEYS_FIXTURE_H_
