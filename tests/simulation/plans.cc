#include "tests/simulation/plans.h"

#include <algorithm>

namespace pillion::simulation {
namespace {

size_t Up(Random& random, size_t bound) { return random.Next() % bound; }

size_t SomeBytes(Random& random) {
  switch (Up(random, 8)) {
    case 0:
      return 0;
    case 1:
    case 2:
      return Up(random, 100);
    case 3:
    case 4:
    case 5:
      return Up(random, 5000);
    case 6:
      return Up(random, 30000);
    default:
      return Up(random, 200000);
  }
}

template <typename T>
T OneOf(Random& random, std::initializer_list<T> all) {
  return all.begin()[Up(random, all.size())];
}

AppManner HowTheAppActs(bool stormy, Random& random) {
  if (Up(random, 2) == 0) return AppManner::kAnswer;
  if (Up(random, 4) != 0) {
    return OneOf(random, {AppManner::kCloseAfter, AppManner::kUntilClose, AppManner::kContinue,
                          AppManner::kHints, AppManner::kEarly, AppManner::kSlow});
  }
  if (stormy && Up(random, 2) == 0) return AppManner::kCloseSilently;
  return OneOf(random,
               {AppManner::kFailFirst, AppManner::kEarlyClose, AppManner::kNever, AppManner::kHangUp,
                AppManner::kReset, AppManner::kEarlyReset, AppManner::kRubbish, AppManner::kCutShort});
}

Plan MakePlan(uint64_t id, bool stormy, Random& random) {
  Plan plan;
  plan.id = id;
  plan.post = Up(random, 2) == 0;
  plan.chunked = plan.post && Up(random, 2) == 0;
  plan.request_bytes = plan.post ? SomeBytes(random) : 0;
  plan.response_bytes = SomeBytes(random);
  plan.response_chunked = Up(random, 3) == 0;
  plan.trailers = Up(random, 3) == 0;
  plan.app = HowTheAppActs(stormy, random);
  return plan;
}

Plan MakeHttp1Plan(uint64_t id, bool stormy, Random& random) {
  Plan plan = MakePlan(id, stormy, random);
  if (Up(random, 10) == 0) {
    plan.kind = Kind::kTunnel;
    plan.app = AppManner::kAnswer;
    plan.post = plan.chunked = false;
    plan.request_bytes = SomeBytes(random);
    return plan;
  }
  if (Up(random, 3) != 0) return plan;
  plan.client = OneOf(random, {ClientManner::kHalfClose, ClientManner::kPipelined, ClientManner::kPipelined,
                               ClientManner::kExpects, ClientManner::kSlowReader,
                               ClientManner::kLeavesInRequest, ClientManner::kLeavesInResponse});
  return plan;
}

Plan MakeHttp2Plan(uint64_t id, bool stormy, Random& random) {
  Plan plan = MakePlan(id, stormy, random);
  if (Up(random, 8) == 0)
    plan.client = OneOf(random, {ClientManner::kLeavesInRequest, ClientManner::kLeavesInResponse});
  if (Up(random, 2) == 0) return plan;
  plan.kind = Kind::kGrpc;
  plan.post = plan.chunked = true;
  plan.request_bytes = SomeBytes(random);
  plan.app = AppManner::kAnswer;
  if (Up(random, 3) == 0)
    plan.app = OneOf(random, {AppManner::kEarly, AppManner::kRefuse, AppManner::kGoAway, AppManner::kReset,
                              AppManner::kNever});
  if (Up(random, 2) == 0) plan.rounds = static_cast<uint32_t>(1 + Up(random, 5));
  return plan;
}

config::RetryPolicy MakePolicy(Random& random) {
  config::RetryPolicy policy;
  policy.on = static_cast<uint32_t>(Up(random, 1 << 13));
  policy.max_retries = static_cast<uint32_t>(1 + Up(random, 3));
  policy.status_codes = {503};
  if (Up(random, 3) == 0) policy.per_try_timeout = std::chrono::milliseconds(100 + Up(random, 2000));
  policy.non_idempotent = Up(random, 4) == 0;
  return policy;
}

void Disturb(bool stormy, Script& script, Random& random) {
  const size_t hosts = script.mood.two_ways ? 3 : 2;
  const size_t count = Up(random, 2) == 0 ? 0 : 1 + Up(random, 6);
  for (size_t i = 0; i < count; ++i) {
    Disturbance one{std::chrono::microseconds(Up(random, 120000)), Up(random, hosts), Up(random, 4) == 0, {}};
    if (stormy && Up(random, 2) == 0) one.patience = std::chrono::milliseconds(Up(random, 8000));
    script.disturbances.push_back(one);
  }
  std::sort(script.disturbances.begin(), script.disturbances.end(),
            [](const Disturbance& a, const Disturbance& b) { return a.after < b.after; });
  if (count > 0) {  // no story is left with a hole in its configuration
    for (size_t host = 0; host < hosts; ++host)
      script.disturbances.push_back({std::chrono::milliseconds(120), host, false, {}});
  }
}

}  // namespace

Script MakeScript(bool stormy, Random& random, Ledger& ledger) {
  Script script;
  script.faults.buffer_bytes = 2000 + Up(random, 100000);
  if (stormy) {
    script.faults.reset_percent = static_cast<double>(Up(random, 4));
    script.faults.connect_refused_percent = static_cast<double>(Up(random, 10));
    script.faults.connect_lost_percent = Up(random, 4) == 0 ? 2 : 0;
  }
  script.mood.harmless = !stormy;
  script.mood.two_ways = Up(random, 2) == 0;
  if (Up(random, 2) == 0) script.mood.retry = MakePolicy(random);
  if (Up(random, 4) == 0) script.mood.drain_timeout = std::chrono::milliseconds(1 + Up(random, 50));
  Disturb(stormy, script, random);
  script.mood.lasting_weights = script.disturbances.empty() && Up(random, 2) == 0;
  const size_t http1 = 1 + Up(random, 4);
  const size_t http2 = Up(random, 3);
  for (size_t i = 0; i < http1 + http2; ++i) {
    std::deque<uint64_t> ids;
    const size_t count = 1 + Up(random, 5);
    for (size_t n = 0; n < count; ++n) {
      const uint64_t id = 1 + i * 100 + n;
      ids.push_back(id);
      ledger.fates[id].plan =
          i < http1 ? MakeHttp1Plan(id, stormy, random) : MakeHttp2Plan(id, stormy, random);
    }
    (i < http1 ? script.http1_clients : script.http2_clients).push_back(std::move(ids));
  }
  return script;
}

std::string Describe(const Plan& plan) {
  static constexpr const char* kApps[] = {
      "answers", "closes after", "until close", "100",           "103",           "early",
      "slow",    "refuses",      "goaway",      "fails first",   "early, closes", "closes silently",
      "never",   "hangs up",     "resets",      "early, resets", "rubbish",       "cuts short"};
  static constexpr const char* kClients[] = {
      "plain",        "half-closes",       "pipelined",         "expects",
      "reads slowly", "leaves in request", "leaves in response"};
  static constexpr const char* kKinds[] = {"", " tunnel", " grpc"};
  return std::to_string(plan.id) + (plan.post ? " POST" : " GET") + kKinds[static_cast<size_t>(plan.kind)] +
         " " + std::to_string(plan.request_bytes) + (plan.chunked ? " chunked" : "") + " -> " +
         std::to_string(plan.response_bytes) + (plan.response_chunked ? " chunked" : "") +
         (plan.trailers ? " trailers" : "") + ", app: " + kApps[static_cast<size_t>(plan.app)] +
         ", client: " + kClients[static_cast<size_t>(plan.client)] + ", rounds " +
         std::to_string(plan.rounds);
}

}  // namespace pillion::simulation
