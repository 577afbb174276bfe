#include "sidecar/main/process.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "sidecar/admin/admin.h"
#include "sidecar/admin/views.h"
#include "sidecar/base/pressure.h"
#include "sidecar/export/access_log_files.h"
#include "sidecar/export/otlp.h"
#include "sidecar/export/prometheus.h"
#include "sidecar/export/record_inbox.h"
#include "sidecar/idempotency/tables.h"
#include "sidecar/ledger/limiter.h"
#include "sidecar/listener/listener.h"
#include "sidecar/listener/placement.h"
#include "sidecar/main/dns_driver.h"
#include "sidecar/main/dns_keeper.h"
#include "sidecar/main/listen_sockets.h"
#include "sidecar/main/memory_guard.h"
#include "sidecar/main/tls_keeper.h"
#include "sidecar/net/epoll_loop.h"
#include "sidecar/telemetry/stats.h"
#include "sidecar/time/clock.h"
#include "sidecar/worker/worker.h"
#include "sidecar/xds/ads_client.h"
#include "sidecar/xds/last_good.h"
#include "sidecar/xds/resource_store.h"

namespace pillion {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A burst of pushes is one write.
constexpr auto kSaveDelay = milliseconds(500);
// A disk that is full now may not be later.
constexpr auto kSaveRetry = seconds(30);
// After the drain's deadline, for what is left to be ended.
constexpr auto kLastRequests = milliseconds(500);
// After the drain, for spans that are still to be sent.
constexpr auto kLastSpans = milliseconds(500);
// An address that could not be bound may be free again.
constexpr auto kBindAgain = seconds(1);
// Records of tokens that are over are dropped by those that come, and so often where none do.
constexpr auto kSweepTablesEvery = seconds(1);

// Signals only count; the main loop looks between turns.
std::atomic<int> signals_received{0};
std::atomic<int> reopens_wanted{0};
std::atomic<net::Loop*> signal_loop{nullptr};

// SIGHUP: the access logs were moved away. All others: drain, the second one ends at once.
void OnSignal(int number) {
  const int saved = errno;
  (number == SIGHUP ? reopens_wanted : signals_received).fetch_add(1);
  if (net::Loop* loop = signal_loop.load()) loop->Wake();
  errno = saved;
}

// Of the kernel. Processes that drew alike would make the same tokens, and take each other's for their own.
template <typename T>
T Drawn() {
  T drawn{};
  if (getrandom(&drawn, sizeof(drawn), 0) != sizeof(drawn)) {
    std::perror("pillion-sidecar: getrandom");
    std::abort();
  }
  return drawn;
}

// A limit that the user gave is of the process alone; the cgroup's is also of what the kernel holds for it.
MemoryGuard MakeMemoryGuard(const ProcessOptions& options, PressureGauge& gauge) {
  const auto trim = [] { malloc_trim(0); };
  if (options.memory_limit_bytes != 0)
    return MemoryGuard(options.memory_limit_bytes, ResidentBytes, trim, gauge);
  return MemoryGuard(MemoryLimit(), [] { return ResidentBytes() + KernelBytes(); }, trim, gauge);
}

class Process {
 public:
  explicit Process(const ProcessOptions& options);
  int Run();

 private:
  void Publish();
  void BindAndApply();
  void LoadLastGoodConfiguration();
  void SaveLastGoodConfiguration();
  bool DrainedEverywhere(bool inbound);
  void DrainAll();
  bool OpenAdmin();
  std::vector<std::string> NotReady() const;
  std::vector<std::string> Remarks() const;
  std::string CertificatesPage() const;
  std::vector<admin::HostNameView> HostNames() const;
  template <typename Facts>
  void AskWorkers(Facts own, const std::function<Facts(worker::Engine&)>& collect,
                  const std::function<void(const std::vector<Facts>&)>& use);
  void AskClusters(const std::function<void(std::string)>& done);
  void AskForToken(const admin::TokenHash& hash, const std::function<void(std::string)>& done);
  void TakeRecords();
  void CountCertificates();
  idempotency::DomainTime DomainNow();
  // One turn of the main loop; `deadline` at the latest.
  void TurnUntil(time::MonotonicTime deadline);

  const ProcessOptions& options_;
  PressureGauge pressure_;
  MemoryGuard memory_guard_;
  HeapTrimmer heap_trimmer_{ResidentBytes, AllocatedBytes, [] { malloc_trim(0); }};
  time::SystemClock clock_;
  telemetry::Registry registry_;
  std::optional<listener::Placement> placement_;
  ListenSockets sockets_;
  ledger::Ledger ledger_;  // the main loop is the last of its workers
  net::EpollLoop loop_;
  worker::Engine main_;
  Random random_;
  xds::ResourceStore store_;
  DnsDriver dns_driver_;
  DnsKeeper dns_;
  TlsKeeper tls_;
  std::vector<std::unique_ptr<worker::Worker>> workers_;
  ledger::Limits limits_;
  idempotency::Tables tables_{Drawn<idempotency::Incarnation>(), options_.concurrency};
  time::MonotonicTime sweep_tables_at_{};
  std::shared_ptr<const worker::PreparedSnapshot> prepared_;
  std::unique_ptr<xds::AdsClient> ads_;  // null: a static configuration
  exporting::RecordInbox records_;
  exporting::AccessLogFiles logs_;
  exporting::SpanExporter spans_;
  std::unique_ptr<listener::Listener> admin_;
  worker::Mailbox<std::function<void()>> answers_;      // from workers, to be run here
  std::map<std::string, std::string> listen_failures_;  // of the generation in use, by listener
  uint64_t applied_generation_ = 0;                     // by every worker
  int reopens_done_ = 0;
  bool was_ready_ = false;
  bool draining_ = false;
  bool quit_ = false;
  time::MonotonicTime save_at_ = time::MonotonicTime::max();
  time::MonotonicTime bind_again_at_ = time::MonotonicTime::max();
};

Process::Process(const ProcessOptions& options)
    : options_(options),
      memory_guard_(MakeMemoryGuard(options, pressure_)),
      sockets_(options.concurrency),
      ledger_(options.concurrency + 1),
      loop_(clock_),
      main_(clock_, loop_, registry_.NewShard(), Drawn<uint64_t>(),
            {.ledger = &ledger_, .ledger_number = options.concurrency, .keeps_health = true}),
      random_(Drawn<uint64_t>()),
      store_(options.bootstrap, {options.warn_unsupported, TlsProblem}),
      dns_driver_(main_.turn(), loop_),
      dns_(
          main_.turn(), random_, main_.worker_stats(),
          [this](net::DnsQuestion question, net::DnsResolver::Done done) {
            dns_driver_.Resolve(std::move(question), std::move(done));
          },
          [this] { Publish(); }),
      tls_(clock_.Now(),
           [](const std::string& why) { std::fprintf(stderr, "pillion-sidecar: %s\n", why.c_str()); }),
      logs_(main_.turn(), main_.worker_stats()),
      spans_(main_.turn(), random_, main_.worker_stats(), options.bootstrap->node_id,
             [this](std::string_view cluster, std::unique_ptr<stream::ClientStream> client) {
               main_.side_calls().Begin(cluster, std::move(client));
             }) {
  std::vector<telemetry::Shard*> shards;
  std::vector<const telemetry::WorkerStats*> stats;
  for (unsigned i = 0; i < options_.concurrency; ++i) {
    shards.push_back(&registry_.NewShard());
    stats.push_back(&shards.back()->worker);
  }
  placement_.emplace(
      stats,
      [this](size_t worker, const std::string& name, std::unique_ptr<net::Socket> s) {
        workers_[worker]->Post([name, socket = std::make_shared<std::unique_ptr<net::Socket>>(std::move(s))](
                                   worker::Engine& engine) { engine.Adopt(name, std::move(*socket)); });
      },
      options_.max_connections);
  for (size_t i = 0; i < shards.size(); ++i) {
    telemetry::Shard& shard = *shards[i];
    const auto sink = [this, &shard](std::vector<telemetry::RequestRecord> records) {
      shard.worker.log_records_dropped.Add(records_.Put(std::move(records)));
      loop_.Wake();
    };
    workers_.push_back(std::make_unique<worker::Worker>(
        clock_, shard, Drawn<uint64_t>(), sink,
        worker::Place{.placement = &*placement_,
                      .number = i,
                      .pressure = &pressure_,
                      .drain_timeout = seconds(options_.config_drain_seconds),
                      .look = [this](time::MonotonicTime now) { return memory_guard_.Look(now); },
                      .ledger = &ledger_,
                      .ledger_number = i}));
  }
  if (!options_.bootstrap->ads_cluster) return;
  const auto begin = [this](std::string_view cluster, std::unique_ptr<stream::ClientStream> client) {
    main_.side_calls().Begin(cluster, std::move(client));
  };
  const auto changed = [this] {
    Publish();
    if (save_at_ == time::MonotonicTime::max()) save_at_ = clock_.Now() + kSaveDelay;
  };
  ads_ = std::make_unique<xds::AdsClient>(main_.turn(), random_, *options_.bootstrap, store_, begin, changed);
}

// Gives the workers the configuration when it differs from the one they have.
void Process::Publish() {
  const bool connected = ads_ != nullptr && ads_->connected();
  const std::shared_ptr<const config::Snapshot> snapshot =
      store_.Build(clock_.Now(), connected, dns_.Update(store_.ByDns()));
  if (prepared_ != nullptr && prepared_->snapshot == snapshot) return;
  tls_.Update(snapshot);
  prepared_ = worker::Prepare(snapshot, prepared_.get(), &limits_, &tables_);
  BindAndApply();
  // The main loop calls clusters, but serves no listener of users.
  auto clusters_only = std::make_shared<config::Snapshot>(*snapshot);
  clusters_only->listeners.clear();
  main_.Apply(worker::Prepare(std::move(clusters_only), nullptr));
}

void Process::BindAndApply() {
  std::map<std::string, std::string> failures = sockets_.Bind(*prepared_->snapshot);
  for (const auto& [name, failure] : failures) {
    const auto told = listen_failures_.find(name);
    if (told == listen_failures_.end() || told->second != failure)
      std::fprintf(stderr, "pillion-sidecar: %s\n", failure.c_str());
  }
  listen_failures_ = std::move(failures);
  bind_again_at_ = listen_failures_.empty() ? time::MonotonicTime::max() : clock_.Now() + kBindAgain;
  auto missing = std::make_shared<std::atomic<size_t>>(workers_.size());
  for (size_t i = 0; i < workers_.size(); ++i) {
    worker::Worker& worker = *workers_[i];
    auto sockets = std::make_shared<std::vector<net::BoundSocket>>(sockets_.Take(i));
    worker.Post([this, &worker, sockets, missing, prepared = prepared_](worker::Engine& engine) {
      worker.Lend(std::move(*sockets));
      engine.Apply(prepared);  // what it could not open is in listen_failures_ already
      if (missing->fetch_sub(1) != 1) return;
      answers_.Post([this, generation = prepared->snapshot->generation] {
        applied_generation_ = std::max(applied_generation_, generation);
      });
      loop_.Wake();
    });
  }
}

std::string LastGoodPath(const ProcessOptions& options) { return options.state_dir + "/last-good.pb"; }

// What a sidecar serves that starts while the control plane is away.
void Process::LoadLastGoodConfiguration() {
  if (options_.state_dir.empty() || ads_ == nullptr) return;
  const auto loaded = xds::LoadLastGood(LastGoodPath(options_), options_.bootstrap->node_id);
  if (!loaded.ok()) {
    if (!absl::IsNotFound(loaded.status()))
      std::fprintf(stderr, "pillion-sidecar: %s\n", std::string(loaded.status().message()).c_str());
    return;
  }
  for (const auto& response : *loaded) {
    xds::Type type = xds::Type::kCluster;
    if (!xds::TypeOfUrl(response.type_url(), type)) continue;
    for (const xds::Rejection& rejection : store_.Apply(response, type, clock_.Now(), true)) {
      std::fprintf(stderr, "pillion-sidecar: last good configuration: %s: %s\n", rejection.resource.c_str(),
                   rejection.reason.c_str());
    }
  }
}

void Process::SaveLastGoodConfiguration() {
  save_at_ = time::MonotonicTime::max();
  if (options_.state_dir.empty()) return;
  const absl::Status saved =
      xds::SaveLastGood(LastGoodPath(options_), options_.bootstrap->node_id, store_.Export());
  if (saved.ok()) return;
  std::fprintf(stderr, "pillion-sidecar: last good configuration: %s\n",
               std::string(saved.message()).c_str());
  save_at_ = clock_.Now() + kSaveRetry;
}

void Process::CountCertificates() {
  telemetry::WorkerStats& stats = main_.worker_stats();
  stats.certificate_loads.Add(tls_.rotations() - stats.certificate_loads.value());
  stats.certificate_failures.Add(tls_.failures() - stats.certificate_failures.value());
}

idempotency::DomainTime Process::DomainNow() {
  return std::chrono::floor<idempotency::DomainTime>(main_.turn().wall().time_since_epoch());
}

void Process::TurnUntil(time::MonotonicTime deadline) {
  main_.TurnOnce(std::min({deadline, store_.NextTimeout(), save_at_, bind_again_at_, tls_.next_poll(),
                           memory_guard_.next(), heap_trimmer_.next()}));
  const time::MonotonicTime now = clock_.Now();
  if (now >= store_.NextTimeout()) Publish();
  tls_.Poll(now);
  CountCertificates();
  heap_trimmer_.Check(now);
  if (now >= sweep_tables_at_) {
    tables_.Sweep(DomainNow());
    sweep_tables_at_ = now + kSweepTablesEvery;
  }
  if (memory_guard_.Check(now)) {
    for (const auto& worker : workers_) {
      worker->Post([](worker::Engine& engine) { engine.ShedLargest(); });
    }
    tables_.ShedHalf();
  }
  if (now >= save_at_) SaveLastGoodConfiguration();
  if (now >= bind_again_at_) BindAndApply();
  if (!was_ready_ && NotReady().empty()) was_ready_ = true;
  if (records_.waiting()) TakeRecords();
  if (const int wanted = reopens_wanted; wanted != reopens_done_) {
    reopens_done_ = wanted;
    logs_.Reopen();
  }
  if (answers_.waiting()) {
    for (const auto& answer : answers_.Take()) answer();
  }
}

void Process::TakeRecords() {
  for (const telemetry::RequestRecord& record : records_.Take()) {
    logs_.Write(record);
    spans_.Add(record);
  }
}

bool Process::OpenAdmin() {
  const std::optional<net::Address>& address = options_.bootstrap->admin_address;
  if (!address) return true;
  auto http = std::make_shared<config::HttpServer>();
  http->name = "admin";
  http->http.codec = config::CodecType::kHttp1;
  http->http.request_headers_timeout = seconds(10);
  auto config = std::make_shared<config::Listener>();
  config->name = http->name;
  config->address = *address;
  config->chains = {{.name = "", .match = {}, .http = http, .tcp = nullptr}};
  admin::Sources sources;
  sources.not_ready = [this] { return NotReady(); };
  sources.remarks = [this] { return Remarks(); };
  sources.metrics = [this] {
    exporting::TokenRecords tokens;
    for (const auto& [domain, table] : tables_.All()) tokens.tables[domain] = table->Count();
    for (const auto& [domain, tally] : tables_.AllTallies()) tokens.stores[domain] = tally->Look();
    return exporting::PrometheusText(registry_, ledger_.Counts(), tokens);
  };
  sources.tokens = [this] { return admin::TokensPage(tables_, registry_); };
  sources.token = [this](const admin::TokenHash& hash, const std::function<void(std::string)>& done) {
    AskForToken(hash, done);
  };
  sources.config_dump = [this] {
    return admin::ConfigDumpPage(*options_.bootstrap, store_, ads_.get(), prepared_->snapshot->generation);
  };
  sources.certs = [this] { return CertificatesPage(); };
  sources.clusters = [this](const std::function<void(std::string)>& done) { AskClusters(done); };
  sources.quit = [this] { quit_ = true; };
  int error = 0;
  listener::Factories factories;
  factories.push_back(std::make_unique<admin::AdminFactory>(main_.turn(), std::move(sources)));
  admin_ = listener::Listener::Open(main_.listener_parts(), config, std::move(factories), &error);
  if (admin_ != nullptr) return true;
  std::fprintf(stderr, "pillion-sidecar: admin: cannot listen on %s: %s\n",
               config->address.ToString().c_str(), std::strerror(error));
  return false;
}

std::vector<std::string> Process::NotReady() const {
  std::vector<std::string> reasons;
  if (draining_ || quit_) reasons.push_back("draining");
  if (ads_ != nullptr && prepared_->snapshot->listeners.empty()) {
    reasons.push_back(ads_->connected()
                          ? "the control plane has sent no listener"
                          : "no configuration: the control plane has not answered. " + ads_->last_failure());
  }
  // What is there serves while something is added to it or replaced: a push must not take every pod of the
  // mesh out of service at once.
  if (was_ready_) return reasons;
  if (applied_generation_ < prepared_->snapshot->generation)
    reasons.push_back("workers are taking the configuration over");
  for (const auto& [name, failure] : listen_failures_) reasons.push_back(failure);
  if (!store_.settled()) {
    for (const std::string& what : store_.Waiting()) reasons.push_back("waiting for " + what);
  }
  return reasons;
}

std::vector<std::string> Process::Remarks() const {
  std::vector<std::string> remarks;
  if (store_.stale()) {
    remarks.push_back(
        "stale: serving the last good configuration from disk; the control plane has not confirmed it yet");
  }
  for (const auto& [name, failure] : listen_failures_) remarks.push_back(failure);
  for (const std::string& what : store_.Waiting()) remarks.push_back("waiting for " + what);
  return remarks;
}

std::string Process::CertificatesPage() const {
  std::vector<admin::CertificateView> views;
  for (const TlsKeeper::Entry& entry : tls_.entries())
    views.push_back({entry.owner, entry.in_use, entry.failure, entry.rotations, entry.certificates});
  const auto now = clock_.Wall().time_since_epoch();
  return admin::CertificatesPage(views, std::chrono::duration_cast<seconds>(now).count());
}

std::vector<admin::HostNameView> Process::HostNames() const {
  std::vector<admin::HostNameView> views;
  const auto in_seconds = [](time::Duration d) {
    return static_cast<uint64_t>(std::chrono::ceil<seconds>(d).count());
  };
  for (const DnsKeeper::Entry& entry : dns_.entries()) {
    admin::HostNameView& view = views.emplace_back();
    view.cluster = entry.cluster;
    view.host = entry.host;
    for (const net::Address& address : entry.addresses) view.addresses.push_back(address.ip());
    view.resolved = entry.known;
    view.failure = entry.failure;
    view.failure_age_s = in_seconds(entry.failure_age);
    view.refresh_in_s = in_seconds(entry.next_in);
  }
  return views;
}

// Every worker collects on its own thread; with the last answer `use` is called on this one.
template <typename Facts>
void Process::AskWorkers(Facts own, const std::function<Facts(worker::Engine&)>& collect,
                         const std::function<void(const std::vector<Facts>&)>& use) {
  struct Gathering {
    std::mutex mutex;
    std::vector<Facts> facts;
    size_t missing;
  };
  auto gathering = std::make_shared<Gathering>();
  gathering->missing = workers_.size();
  gathering->facts.push_back(std::move(own));
  for (const auto& worker : workers_) {
    worker->Post([this, gathering, collect, use](worker::Engine& engine) {
      Facts facts = collect(engine);
      const std::lock_guard<std::mutex> lock(gathering->mutex);
      gathering->facts.push_back(std::move(facts));
      if (--gathering->missing > 0) return;
      answers_.Post([gathering, use] { use(gathering->facts); });
      loop_.Wake();
    });
  }
}

void Process::AskClusters(const std::function<void(std::string)>& done) {
  using Facts = admin::ClusterFactsByName;
  AskWorkers<Facts>(
      admin::CollectClusters(main_.clusters()),  // its own calls: ADS, traces
      [](worker::Engine& engine) { return admin::CollectClusters(engine.clusters()); },
      [this, done](const std::vector<Facts>& facts) { done(admin::ClustersPage(facts, HostNames())); });
}

// Of records that are shared, those are known here that this process has begun, and not long ago.
void Process::AskForToken(const admin::TokenHash& hash, const std::function<void(std::string)>& done) {
  using Facts = admin::TokenRecordViews;
  AskWorkers<Facts>(
      admin::RecordsOf(tables_.All(), hash),
      [hash](worker::Engine& engine) {
        Facts facts;
        for (const auto& [id, views] : engine.token_stores().Find(hash)) {
          for (const idempotency::RecordView& view : views) facts.emplace(id, view);
        }
        return facts;
      },
      [this, done](const std::vector<Facts>& all) {
        Facts records;
        for (const Facts& facts : all) records.insert(facts.begin(), facts.end());
        done(admin::TokenPage(records, DomainNow().count()));
      });
}

int Process::Run() {
  signal_loop = &loop_;
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGHUP, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  LoadLastGoodConfiguration();
  Publish();
  if (!OpenAdmin()) return 1;
  // A static listener that cannot be bound must be told at start, not found out by its users.
  for (const auto& listener : options_.bootstrap->listeners) {
    if (listen_failures_.count(listener->name) != 0) return 1;
  }
  for (const auto& worker : workers_) worker->Start();
  if (ads_ != nullptr) ads_->Start();
  while (signals_received == 0 && !quit_) TurnUntil(time::MonotonicTime::max());
  DrainAll();
  // The last records and spans of the drained requests still go out, for a moment.
  spans_.Hurry();
  const time::MonotonicTime last = clock_.Now() + kLastSpans;
  while ((!spans_.idle() || records_.waiting()) && clock_.Now() < last)
    TurnUntil(clock_.Now() + milliseconds(10));
  logs_.Flush();
  signal_loop = nullptr;
  for (const auto& worker : workers_) worker->Stop();
  workers_.clear();
  if (admin_ != nullptr) {
    admin_->Abort();
    while (!admin_->empty()) TurnUntil(clock_.Now());
    admin_.reset();
  }
  if (save_at_ != time::MonotonicTime::max()) SaveLastGoodConfiguration();
  return 0;
}

// Asks every worker and waits for all their answers.
bool Process::DrainedEverywhere(bool inbound) {
  struct Answers {
    std::atomic<size_t> missing;
    std::atomic<bool> all{true};
  };
  auto answers = std::make_shared<Answers>();
  answers->missing = workers_.size();
  for (const auto& worker : workers_) {
    worker->Post([answers, inbound, this](worker::Engine& engine) {
      if (!engine.Drained(inbound)) answers->all = false;
      if (answers->missing.fetch_sub(1) == 1) loop_.Wake();
    });
  }
  while (answers->missing > 0) TurnUntil(clock_.Now() + milliseconds(20));
  return answers->all;
}

void Process::DrainAll() {
  draining_ = true;
  const time::MonotonicTime deadline = clock_.Now() + seconds(options_.drain_seconds);
  const int signals = signals_received;
  for (const bool inbound : {true, false}) {
    for (const auto& worker : workers_) {
      worker->Post([inbound](worker::Engine& engine) { engine.Drain(inbound); });
    }
    while (!DrainedEverywhere(inbound) && clock_.Now() < deadline && signals_received == signals) {
      TurnUntil(clock_.Now() + milliseconds(10));
    }
  }
  // What is left is ended while the logs are still written: it is counted like everything else.
  for (const auto& worker : workers_) worker->Post([](worker::Engine& engine) { engine.Abort(); });
  const time::MonotonicTime last = clock_.Now() + kLastRequests;
  while (!(DrainedEverywhere(true) && DrainedEverywhere(false)) && clock_.Now() < last)
    TurnUntil(clock_.Now() + milliseconds(1));
}

}  // namespace

int RunProcess(const ProcessOptions& options) {
  Process process(options);
  return process.Run();
}

}  // namespace pillion
