#include "tests/simulation/tokens/schedule.h"

#include <algorithm>
#include <array>

#include "sidecar/base/random.h"
#include "tests/simulation/tokens/redis/redis_deployment.h"

namespace pillion::simulation::tokens {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using Kind = Trouble::Kind;

class Drawing {
 public:
  Drawing(Schedule& schedule, Ledger& ledger, Mode mode, uint64_t seed)
      : schedule_(schedule), ledger_(ledger), shared_(mode == Mode::kShared), random_(seed) {}

  void All() {
    Settings& settings = schedule_.settings;
    settings.replicas = 2 + Up(2);
    settings.outbounds = Up(8) == 0 ? 2 : 1;
    settings.conflict = Up(12) == 0;
    settings.keeps_answers = Up(12) != 0;
    settings.own_retry = Up(3) == 0;
    settings.tells_timeout = Up(3) == 0;
    schedule_.network = {.reset_percent = 0,
                         .connect_refused_percent = 0,
                         .late_ack_percent = 20,
                         .cut_percent = Up(3) == 0 ? 20.0 : 0.0,
                         .max_delay = Up(4) == 0 ? milliseconds(20) : microseconds(500)};
    schedule_.gentle = Up(5) == 0;
    if (shared_) DrawStore();
    Asks();
    if (schedule_.gentle) {
      settings.conflict = false;
      settings.keeps_answers = true;
      Gentle();
    } else {
      const size_t troubles = 2 + Up(3);
      while (schedule_.troubles.size() < troubles)
        Add(shared_ ? SharedKind() : static_cast<Kind>(Up(kKinds)));
    }
    if (shared_) KeepClocksWithinSkew();
  }

 private:
  static constexpr size_t kKinds = static_cast<size_t>(Kind::kLarge) + 1;

  uint64_t Up(uint64_t bound) { return Below(random_.Next(), bound); }
  time::Duration Within(milliseconds most) { return DrawUpTo<time::Duration>(most, random_); }
  uint64_t NewItem() {
    ledger_.items.emplace_back();
    Work& work = ledger_.items.back().work;
    // Most schedules are about what happens while it runs.
    work.takes = Up(3) == 0 ? Within(milliseconds(2)) : Within(milliseconds(200));
    work.answer_bytes = Up(4) == 0 ? Up(kMaxResponseBytes - 300) : 0;
    work.closes_after = Up(10) == 0;
    if (Up(8) == 0) work.status = std::array<uint16_t, 6>{200, 409, 422, 500, 503, 412}.at(Up(6));
    return ledger_.items.size() - 1;
  }
  void Asks() {
    const size_t count = 1 + Up(3);
    for (size_t i = 0; i < count; ++i) {
      Ask ask;
      ask.id = NewItem();
      ask.outbound = Up(schedule_.settings.outbounds);
      ask.after = Within(milliseconds(i == 0 ? 50 : shared_ && Up(3) == 0 ? 3000 : 600));
      ask.body_bytes = Up(4) == 0 ? Up(kMaxRequestBytes) : 0;
      ask.chunked = Up(4) == 0;
      ask.reuses = Up(2) == 0;
      ledger_.items.back().work.grpc = Up(5) == 0;
      schedule_.asks.push_back(ask);
    }
  }
  size_t Replica() { return Up(schedule_.settings.replicas); }
  void Cut(uint16_t port, size_t host) {
    testing::SimNetwork::Cut cut;
    cut.to = At(port, host);
    cut.connection = static_cast<uint32_t>(Up(2));
    cut.answers = Up(2) == 0;
    // The first request of a connection between sidecars is over after about 400 bytes, either way.
    cut.after = Up(4) == 0 ? Up(3000) : Up(500);
    schedule_.cuts.push_back(cut);
    schedule_.troubles.push_back({.kind = Kind::kCut});
  }
  void Hole(uint16_t port, size_t host, milliseconds most) {
    schedule_.troubles.push_back({.kind = Kind::kHole,
                                  .after = Within(milliseconds(500)),
                                  .lasts = Within(most),
                                  .at = At(port, host)});
  }
  void Gentle() {
    schedule_.network.max_delay = microseconds(500);
    for (Item& item : ledger_.items) item.work.closes_after = false;
    if (shared_ && Up(3) == 0) return GentleDeath();
    Cut(kInboundPort, Replica());
    if (Up(2) == 0) {
      Cut(kInboundPort, Replica());
    } else {
      Sends();
    }
    if (Up(3) == 0) Hole(kInboundPort, Replica(), milliseconds(100));
    if (Up(4) == 0)
      schedule_.troubles.push_back({.kind = Kind::kClock,
                                    .host = Replica(),
                                    .after = Within(milliseconds(500)),
                                    .step = Within(2 * kSkew) * 9 / 10 - kSkew * 9 / 10});
  }
  // Another replica tells what is stored.
  void GentleDeath() {
    schedule_.asks.resize(1);
    ledger_.items.resize(1);
    schedule_.troubles.push_back({.kind = Kind::kDies, .lasts = Within(milliseconds(3000))});
  }

  // A token is sent several times, to where it went first and elsewhere, soon and when it is nearly, or just,
  // too late.
  void Sends() {
    schedule_.troubles.push_back({.kind = Kind::kSends});
    PeerToken token;
    token.id = NewItem();
    if (Up(4) == 0) token.minted = Within(milliseconds(6000)) - milliseconds(3000);
    const size_t number = schedule_.tokens.size();
    schedule_.tokens.push_back(token);
    const size_t home = Replica();
    const time::Duration first = Within(milliseconds(400));
    const size_t count = 2 + Up(3);
    for (size_t i = 0; i < count; ++i) {
      Send send;
      send.token = number;
      send.replica = i == 0 || Up(shared_ ? 2 : 4) != 0 ? home : Replica();
      send.after = first;
      if (i > 0) {
        const auto most = std::array{milliseconds(5), milliseconds(150), milliseconds(1500),
                                     milliseconds(3000), milliseconds(6500)}
                              .at(Up(5));
        send.after += Within(most);
      }
      send.other = i > 0 && Up(5) == 0;
      if (Up(6) == 0) send.deadline = Up(3) == 0 ? time::Duration(0) : Within(milliseconds(600));
      send.leaves = Up(6) == 0;
      schedule_.sends.push_back(send);
    }
  }

  void Timed(Kind kind, milliseconds lasts) {
    const bool of_client =
        kind == Kind::kClientCrash || kind == Kind::kClientDomain || (kind == Kind::kPause && Up(3) == 0);
    Trouble trouble{
        .kind = kind,
        .host = of_client ? schedule_.settings.replicas + Up(schedule_.settings.outbounds) : Replica(),
        .after = Within(milliseconds(600)),
        .lasts = Within(lasts)};
    if (kind == Kind::kClock) {
      const milliseconds most = Up(2) == 0 ? kSkew : milliseconds(20'000);
      trouble.step = Within(2 * most) - most;
    }
    schedule_.troubles.push_back(trouble);
  }

  void Add(Kind kind) {
    switch (kind) {
      case Kind::kCut: {
        const size_t hop = Up(8);
        if (shared_ && Up(3) == 0) {
          CutStore();
        } else if (hop == 0) {
          Cut(kOutboundPort, Up(schedule_.settings.outbounds));
        } else {
          Cut(hop < 3 ? kAppPort : kInboundPort, Replica());
        }
        return;
      }
      case Kind::kHole:
        Hole(Up(3) == 0 ? kAppPort : kInboundPort, Replica(), milliseconds(2500));
        return;
      case Kind::kPause:
      case Kind::kCrash:
      case Kind::kClientCrash:
      case Kind::kDrain:
      case Kind::kAppDown:
      case Kind::kClock:
      case Kind::kDomain:
      case Kind::kClientDomain:
      case Kind::kUnnamed:
      case Kind::kUnlisted:
      case Kind::kShed:
      case Kind::kPressure:
        Timed(kind, Up(shared_ ? 2 : 4) == 0 ? milliseconds(2500) : milliseconds(300));
        // Where one side of a rollout has come and the other has not, something should break as well.
        if (kind == Kind::kDomain || kind == Kind::kCrash || kind == Kind::kUnlisted)
          Cut(kInboundPort, schedule_.troubles.back().host);
        return;
      case Kind::kSends:
        Sends();
        return;
      default:
        IsOfStore(kind) ? StrikeStore(kind) : AddSetting(kind);
    }
  }

  void AddSetting(Kind kind) {
    if (schedule_.Has(kind)) return;
    Settings& settings = schedule_.settings;
    schedule_.troubles.push_back({.kind = kind});
    switch (kind) {
      case Kind::kNone:
        settings.enforcing = settings.replicas - 1;
        return;
      case Kind::kTight:
        settings.records = static_cast<uint32_t>(1 + Up(4));
        settings.bytes = Up(2) == 0 ? 300 + Up(3000) : 1 << 20;
        settings.max_waiters = static_cast<uint32_t>(1 + Up(2));
        settings.max_detached = static_cast<uint32_t>(Up(3));
        return;
      case Kind::kRefuse:
        schedule_.network.connect_refused_percent = 20;
        schedule_.network.connect_lost_percent = 10;
        schedule_.network.reset_percent = 3;
        settings.poor = Up(2) == 0;
        return;
      case Kind::kPerTry:
        settings.own_retry = true;
        settings.per_try = milliseconds(10) + Within(milliseconds(200));
        return;
      case Kind::kLeaves:
        for (Ask& ask : schedule_.asks) ask.patience = milliseconds(1) + Within(milliseconds(300));
        return;
      case Kind::kApp:
        for (Item& item : ledger_.items) {
          item.work.manner = static_cast<Manner>(Up(6));
          if (Up(4) == 0) item.work.takes = Within(milliseconds(3000));
        }
        return;
      case Kind::kSlowLinks:
        settings.shared.link_delay = milliseconds(60);
        return;
      case Kind::kDies:
        schedule_.troubles.back().lasts = Within(milliseconds(3000));
        return;
      default:  // kLarge
        for (Ask& ask : schedule_.asks) {
          if (Up(2) == 0) ask.body_bytes = kMaxRequestBytes + 1 + Up(2000);
          ask.chunked = Up(2) == 0;
        }
        for (Item& item : ledger_.items) {
          if (Up(2) == 0) item.work.answer_bytes = kMaxResponseBytes + Up(3000);
        }
        return;
    }
  }

  // What a deployment is allowed to be (sidecar/redis/server_check.h).
  void DrawStore() {
    schedule_.settings.mode = Mode::kShared;
    SharedSettings& store = schedule_.settings.shared;
    const uint64_t kind = Up(10);
    if (kind == 6) store.servers = 2;
    if (kind > 6) {
      store.replicas = 0;
      store.servers = kind < 9 ? 2 + Up(2) : 1;
      store.min_replicas = kind < 9 ? 1 : 0;
    }
    store.link_delay = schedule_.gentle || Up(10) < 7 ? Within(milliseconds(5)) : milliseconds(40);
    store.told_primary = Up(2) == 0;
    store.runs_when_down = !schedule_.gentle && Up(6) == 0;
    for (size_t i = 0; i < store.servers; ++i)
      store.server_errors.push_back(Within(2 * kMostServerError) - kMostServerError);
  }
  Kind SharedKind() {
    static constexpr Kind kOfAll[] = {
        Kind::kCut,         Kind::kCut,          Kind::kCut,       Kind::kHole,     Kind::kPause,
        Kind::kCrash,       Kind::kCrash,        Kind::kDrain,     Kind::kAppDown,  Kind::kClock,
        Kind::kClientCrash, Kind::kClientDomain, Kind::kDomain,    Kind::kUnnamed,  Kind::kUnlisted,
        Kind::kPressure,    Kind::kNone,         Kind::kTight,     Kind::kRefuse,   Kind::kPerTry,
        Kind::kLeaves,      Kind::kSends,        Kind::kSends,     Kind::kSends,    Kind::kApp,
        Kind::kLarge,       Kind::kDies,         Kind::kStoreHole, Kind::kStoreHole};
    static constexpr Kind kAlone[] = {Kind::kFlush, Kind::kPower, Kind::kStorePause, Kind::kMemory,
                                      Kind::kStoreClock};
    static constexpr Kind kServers[] = {
        Kind::kFailover,   Kind::kFailover,     Kind::kSplit,      Kind::kSplit, Kind::kStall,
        Kind::kSwitch,     Kind::kBackAndForth, Kind::kFlush,      Kind::kPower, Kind::kStoreReplica,
        Kind::kStorePause, Kind::kMemory,       Kind::kStoreClock, Kind::kLag,   Kind::kSlowLinks};
    if (Up(5) < 3) return kOfAll[Up(std::size(kOfAll))];
    if (schedule_.settings.shared.servers == 1) return kAlone[Up(std::size(kAlone))];
    return kServers[Up(std::size(kServers))];
  }
  void CutStore() {
    testing::SimNetwork::Cut cut;
    cut.to = ServerAddress(Up(schedule_.settings.shared.servers), Replica());
    cut.connection = static_cast<uint32_t>(Up(4));
    cut.answers = Up(2) == 0;
    // What is said at the beginning of a connection is about 6000 bytes.
    cut.after = Up(2) == 0 ? Up(12'000) : 6000 + Up(2000);
    schedule_.cuts.push_back(cut);
    schedule_.troubles.push_back({.kind = Kind::kCut});
  }
  // One thing at a time happens to the servers.
  void StrikeStore(Kind kind) {
    const SharedSettings& store = schedule_.settings.shared;
    Trouble trouble{.kind = kind, .host = Replica()};
    trouble.after = Within(milliseconds(1200)) - milliseconds(400);
    trouble.lasts = milliseconds(10) + Within(milliseconds(Up(2) == 0 ? 500 : 4000));
    trouble.step = Within(2 * kMostServerError) - kMostServerError;
    trouble.store.server = Up(store.servers);
    trouble.store.detected = Within(milliseconds(Up(2) == 0 ? 50 : 1500));
    trouble.store.hears = Within(milliseconds(500));
    if (Up(10) < 7) trouble.store.lost = Within(milliseconds(1500));
    trouble.store.closes = Up(2) == 0;
    trouble.store.with_replica = store.servers == 3 && Up(3) == 0;
    for (bool& with : trouble.store.with_old) with = Up(2) == 0;
    for (time::Duration& told : trouble.store.told) told = Within(milliseconds(500));
    if (kind == Kind::kFailover || kind == Kind::kSplit || kind == Kind::kStall)
      trouble.lasts += trouble.store.detected;
    if (kind == Kind::kSplit) trouble.lasts += milliseconds(2000);
    if (kind != Kind::kStoreHole) {
      trouble.after = std::max(store_free_, trouble.after);
      store_free_ = trouble.after + trouble.lasts + trouble.store.hears + milliseconds(600);
    }
    schedule_.troubles.push_back(trouble);
  }
  // That is what the epoch rule asks of them.
  void KeepClocksWithinSkew() {
    const bool loses = std::ranges::any_of(schedule_.troubles, [](const Trouble& one) {
      return one.kind >= Kind::kFailover && one.kind <= Kind::kPower;
    });
    for (Trouble& one : schedule_.troubles) {
      if (one.kind == Kind::kClock && (loses || schedule_.gentle)) one.step %= kMostReplicaError;
    }
  }

  Schedule& schedule_;
  Ledger& ledger_;
  const bool shared_;
  Random random_;
  time::Duration store_free_{milliseconds(-400)};
};

}  // namespace

const net::Address& At(uint16_t first, size_t number) {
  static constexpr size_t kHosts = 4;
  static constexpr std::array kFirst = {kOutboundPort, kInboundPort, kAppPort, kGrpcAppPort};
  static const std::vector<net::Address> all = [] {
    std::vector<net::Address> addresses;
    for (const uint16_t port : kFirst) {
      for (size_t i = 0; i < kHosts; ++i)
        addresses.push_back(net::Address::Parse("127.0.0.1", static_cast<uint16_t>(port + i)).value());
    }
    return addresses;
  }();
  const auto place = static_cast<size_t>(std::ranges::find(kFirst, first) - kFirst.begin());
  return all.at(place * kHosts + number);
}

std::string Tell(const Trouble& trouble) {
  static constexpr std::array kWords = {"a connection breaks",
                                        "bytes are delayed to",
                                        "a sidecar stands still",
                                        "a replica crashes",
                                        "a client's sidecar crashes",
                                        "a replica drains",
                                        "an app goes down",
                                        "a wall clock steps",
                                        "a replica's policy is the next",
                                        "a client's policy is the next",
                                        "no domain is named",
                                        "a replica is no endpoint",
                                        "answers are let go of",
                                        "a replica sheds requests",
                                        "a replica enforces nothing",
                                        "tables are small",
                                        "connections are refused",
                                        "attempts have little time",
                                        "clients leave",
                                        "a peer sends again",
                                        "apps fail",
                                        "messages are large",
                                        "the primary dies",
                                        "the primary is parted",
                                        "the primary stands still",
                                        "a replica is promoted",
                                        "a replica is promoted, and then the first again",
                                        "FLUSHALL",
                                        "the primary loses its power",
                                        "a server that is a replica dies",
                                        "a server stands still",
                                        "the primary has no memory",
                                        "a server's clock steps",
                                        "servers are slow to each other",
                                        "bytes are delayed between a sidecar and a server",
                                        "another process takes over what is in flight",
                                        "servers are too slow now and then",
                                        "a replica dies when its answer is stored"};
  std::string text = kWords.at(static_cast<size_t>(trouble.kind));
  if (trouble.kind == Kind::kHole) text += ' ' + trouble.at.ToString();
  return text + ": host " + std::to_string(trouble.host) + " after " +
         std::to_string(trouble.after / milliseconds(1)) + " ms for " +
         std::to_string(trouble.lasts / milliseconds(1)) + " ms, by " +
         std::to_string(trouble.step / milliseconds(1)) + " ms";
}

bool IsOfStore(Trouble::Kind kind) {
  return kind >= Trouble::Kind::kFailover && kind <= Trouble::Kind::kTakenOver;
}

bool Schedule::StoreFails() const {
  if (!settings.is_shared()) return false;
  const bool slow = settings.shared.link_delay > milliseconds(20);
  return slow || std::ranges::any_of(troubles, [](const Trouble& one) { return IsOfStore(one.kind); }) ||
         std::ranges::any_of(cuts, [](const auto& cut) { return cut.to.port() < kOutboundPort; });
}

bool Schedule::Has(Trouble::Kind kind) const {
  return std::ranges::any_of(troubles, [kind](const Trouble& one) { return one.kind == kind; });
}

Schedule Draw(uint64_t seed, Ledger& ledger, Mode mode) {
  Schedule schedule;
  schedule.seed = seed;
  Drawing(schedule, ledger, mode, seed * 2 + 1).All();
  return schedule;
}

}  // namespace pillion::simulation::tokens
