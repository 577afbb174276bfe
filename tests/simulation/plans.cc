#include "tests/simulation/plans.h"

#include <algorithm>

#include "sidecar/session/wire.h"

namespace pillion::simulation {
namespace {

constexpr uint64_t kFirstRelay = 10001;
constexpr auto kLastChange = std::chrono::milliseconds(120);
constexpr size_t kStoriesPerTls = 10;
// Of one end: what is sealed and has not left, and a record that is being read.
constexpr size_t kTlsRoom = size_t{5} * 16384;

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

// Asked for with Upgrade, or with Extended CONNECT.
void MakeTunnel(bool http2, Plan& plan, Random& random) {
  plan.kind = Kind::kTunnel;
  plan.post = plan.chunked = false;
  plan.request_bytes = SomeBytes(random);
  plan.last = OneOf(random, {LastToEnd::kNobody, LastToEnd::kClient, LastToEnd::kApp});
  plan.app = AppManner::kAnswer;
  if (Up(random, 4) == 0) {
    plan.app = OneOf(random, {AppManner::kCutShort, AppManner::kCutShort, AppManner::kFailFirst,
                              AppManner::kNever, AppManner::kHangUp, AppManner::kReset});
  }
  if (Up(random, 3) == 0) {
    plan.client =
        OneOf(random, {ClientManner::kSlowReader, http2 ? ClientManner::kPipelined : ClientManner::kPlain,
                       ClientManner::kLeavesInRequest, ClientManner::kLeavesInResponse});
  }
}

Plan MakeHttp1Plan(uint64_t id, bool stormy, Random& random) {
  Plan plan = MakePlan(id, stormy, random);
  if (Up(random, 10) == 0) {
    MakeTunnel(false, plan, random);
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
  if (Up(random, 6) == 0) {
    MakeTunnel(true, plan, random);
    return plan;
  }
  if (Up(random, 5) == 0)
    plan.client = OneOf(random, {ClientManner::kSlowReader, ClientManner::kSlowReader,
                                 ClientManner::kLeavesInRequest, ClientManner::kLeavesInResponse});
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

time::Duration SomeTime(Random& random) {
  return std::chrono::microseconds(random.Next() % std::chrono::microseconds(kLastChange).count());
}

void Insert(const Disturbance& one, Script& script) {
  auto& all = script.disturbances;
  all.insert(std::upper_bound(all.begin(), all.end(), one,
                              [](const Disturbance& a, const Disturbance& b) { return a.after < b.after; }),
             one);
}

void Disturb(bool stormy, Script& script, Random& random) {
  const size_t hosts = script.mood.two_ways ? 3 : 2;
  const size_t count = Up(random, 2) == 0 ? 0 : 1 + Up(random, 6);
  for (size_t i = 0; i < count; ++i) {
    Disturbance one{.after = SomeTime(random),
                    .host = Up(random, hosts),
                    .trouble = Up(random, 4) == 0 ? Trouble::kRestart : Trouble::kChange,
                    .on_arrival = Up(random, 2) == 0};
    if (stormy && Up(random, 2) == 0) one.patience = std::chrono::milliseconds(Up(random, 8000));
    Insert(one, script);
  }
  if (count > 0) {  // no story is left with a hole in its configuration
    for (size_t host = 0; host < hosts; ++host)
      script.disturbances.push_back({kLastChange, host, Trouble::kChange});
  }
}

EndPlan MakeEnd(Random& random) {
  EndPlan end;
  end.bytes = SomeBytes(random);
  end.slow_writer = Up(random, 4) == 0;
  if (Up(random, 4) == 0) end.reads = Pace::kSlow;
  if (Up(random, 20) == 0) end.reads = Pace::kDeaf;
  end.manner = OneOf(random, {EndManner::kAtOnce, EndManner::kAtOnce, EndManner::kLast});
  if (Up(random, 8) == 0) {
    end.manner = EndManner::kReset;
    end.reset_after = Up(random, 3) == 0 ? end.bytes : Up(random, end.bytes + 1);
  }
  return end;
}

RelayPlan MakeRelay(uint64_t id, bool proxied, Random& random) {
  RelayPlan plan;
  plan.id = id;
  plan.client = MakeEnd(random);
  plan.app = MakeEnd(random);
  if (proxied && Up(random, 4) != 0) plan.proxy_version = 1 + static_cast<int>(Up(random, 2));
  if (plan.proxy_version != 0 && Up(random, 6) == 0) {
    plan.fault = OneOf(random, {HeaderFault::kWrongWord, HeaderFault::kTooLong, HeaderFault::kUnfinished,
                                HeaderFault::kCutShort});
    plan.client.manner = EndManner::kLast;
  }
  // Where a header may come the sidecar waits for a first byte.
  plan.listens_first =
      Up(random, 4) == 0 && (!proxied || plan.proxy_version != 0) && plan.fault == HeaderFault::kNone;
  // More than there is room for on the way.
  if (plan.client.reads == Pace::kDeaf) plan.app.bytes += 200000;
  if (plan.app.reads == Pace::kDeaf) plan.client.bytes += 200000;
  return plan;
}

void MakeRelays(Script& script, Random& random, Ledger& ledger) {
  Mood& mood = script.mood;
  mood.relay_idle = std::chrono::seconds(20 + Up(random, 20));
  mood.relay_buffer_bytes = 1024 + Up(random, Up(random, 2) == 0 ? 5000 : 100000);
  mood.shared_port = Up(random, 3) == 0;
  mood.proxy_headers = Up(random, 3) == 0;
  ledger.relay_idle = mood.relay_idle;
  // Three legs of the network; of each sidecar what it may hold, and a read that crosses that line.
  ledger.relay_room =
      3 * script.faults.buffer_bytes + 2 * (mood.relay_buffer_bytes + session::ReadScratch::kBytes);
  const size_t clients = Up(random, 2) == 0 ? 0 : 1 + Up(random, 3);
  for (size_t i = 0; i < clients; ++i) {
    std::deque<uint64_t> ids;
    const size_t count = 1 + Up(random, 3);
    for (size_t n = 0; n < count; ++n) {
      ids.push_back(kFirstRelay + i * 100 + n);
      ledger.relays[ids.back()].plan = MakeRelay(ids.back(), mood.proxy_headers, random);
    }
    script.relay_clients.push_back(std::move(ids));
  }
}

void ChangeCertificates(bool stormy, Script& script, Random& random) {
  const size_t hosts = script.mood.two_ways ? 3 : 2;
  const bool heals = !script.disturbances.empty();
  for (size_t i = 1 + Up(random, 4); i > 0; --i) {
    Disturbance one{.after = SomeTime(random),
                    .host = Up(random, hosts + 1),
                    .trouble = Trouble::kCertificate,
                    .on_arrival = Up(random, 2) == 0};
    one.proof = OneOf(random, {Proof::kFirst, Proof::kSecond, Proof::kSecond});
    if (stormy && heals && one.host < hosts && Up(random, 4) == 0) one.proof = Proof::kUntrusted;
    Insert(one, script);
  }
}

// A story with TLS takes 20 ms of CPU, one without 2 ms: handshakes are dear.
void EncryptPartOf(const Options& options, Script& script, Random& random, Ledger& ledger) {
  const bool encrypted = Up(random, kStoriesPerTls) == 0;
  const bool older = Up(random, 4) == 0;
  if (options.identities == nullptr || (!encrypted && !options.always_tls)) return;
  TlsMood& tls = script.mood.tls;
  tls.identity = older ? &options.identities->tls12 : &options.identities->tls13;
  tls.clients = Up(random, 2) == 0;
  tls.apps = Up(random, 2) == 0;
  tls.mesh = (!tls.clients && !tls.apps) || Up(random, 3) != 0;
  tls.resume = Up(random, 2) == 0;
  if (tls.clients || tls.apps) ledger.sealed_room = kTlsRoom;
  for (const bool leg : {tls.clients, tls.mesh, tls.apps}) ledger.relay_room += leg ? 2 * kTlsRoom : 0;
  if (Up(random, 2) == 0) ChangeCertificates(options.stormy, script, random);
  if (!tls.mesh) return;
  // The headers that clients write would be inside, where no listener looks for them.
  script.mood.proxy_headers = false;
  for (auto& [id, fate] : ledger.relays) {
    fate.plan.proxy_version = 0;
    fate.plan.fault = HeaderFault::kNone;
  }
}

}  // namespace

Script MakeScript(const Options& options, Random& random, Ledger& ledger) {
  const bool stormy = options.stormy;
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
  MakeRelays(script, random, ledger);
  EncryptPartOf(options, script, random, ledger);
  script.mood.short_turns = Up(random, 3) == 0;
  return script;
}

std::string Describe(const TlsMood& tls) {
  if (tls.identity == nullptr) return "";
  return std::string(", TLS") + (tls.clients ? " of clients" : "") + (tls.mesh ? " of sidecars" : "") +
         (tls.apps ? " of apps" : "") + (tls.resume ? ", resumed" : "");
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
  static constexpr const char* kLast[] = {"", ", the client ends last", ", the app ends last"};
  return std::to_string(plan.id) + (plan.post ? " POST" : " GET") + kKinds[static_cast<size_t>(plan.kind)] +
         " " + std::to_string(plan.request_bytes) + (plan.chunked ? " chunked" : "") + " -> " +
         std::to_string(plan.response_bytes) + (plan.response_chunked ? " chunked" : "") +
         (plan.trailers ? " trailers" : "") + ", app: " + kApps[static_cast<size_t>(plan.app)] +
         ", client: " + kClients[static_cast<size_t>(plan.client)] + ", rounds " +
         std::to_string(plan.rounds) + kLast[static_cast<size_t>(plan.last)];
}

std::string Describe(const RelayPlan& plan) {
  const auto end = [](const EndPlan& end) {
    static constexpr const char* kManners[] = {"ends at once", "ends last", "resets"};
    static constexpr const char* kPaces[] = {"", ", reads slowly", ", deaf"};
    return std::to_string(end.bytes) + " bytes, " + kManners[static_cast<size_t>(end.manner)] +
           (end.manner == EndManner::kReset ? " after " + std::to_string(end.reset_after) : "") +
           kPaces[static_cast<size_t>(end.reads)] + (end.slow_writer ? ", writes slowly" : "");
  };
  static constexpr const char* kFaults[] = {"", " with a wrong word", " too long", " unfinished",
                                            " cut short"};
  const std::string proxied = plan.proxy_version == 0 ? ""
                                                      : ", PROXY " + std::to_string(plan.proxy_version) +
                                                            kFaults[static_cast<size_t>(plan.fault)];
  return "relay " + std::to_string(plan.id) + proxied + (plan.listens_first ? ", listens first" : "") +
         ", client: " + end(plan.client) + "; app: " + end(plan.app);
}

}  // namespace pillion::simulation
