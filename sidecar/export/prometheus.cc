#include "sidecar/export/prometheus.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <vector>

#include "sidecar/base/json_writer.h"
#include "sidecar/idempotency/hello.h"

namespace pillion::exporting {
namespace {

using telemetry::Counter;
using telemetry::Histogram;
using telemetry::RouteKey;
using telemetry::RouteStats;
using telemetry::TlsStats;
using telemetry::WireStats;
using telemetry::WorkerStats;

// Every bound is an even bucket, a power of two: 64 us .. 67 s. The same for all series, or sums over series
// would be wrong; not all 56, because each costs a line per route in every scrape.
constexpr size_t kFirstBound = 10;
constexpr size_t kLastBound = 50;
constexpr size_t kBoundStep = 2;

struct Durations {
  std::array<uint64_t, Histogram::kBuckets> buckets{};
  uint64_t sum_us = 0;
  void Add(const Histogram& from) {
    for (size_t i = 0; i < buckets.size(); ++i) buckets[i] += from.bucket(i);
    sum_us += from.sum_us();
  }
};

// One route's series, summed over the shards.
struct Row {
  std::string labels;  // listener="",route="",cluster=""
  std::map<std::string, uint64_t> codes;
  uint64_t started = 0;
  uint64_t finished = 0;
  uint64_t attempts = 0;
  uint64_t retries = 0;
  uint64_t hedges = 0;
  uint64_t hedges_won = 0;
  std::array<uint64_t, kOutcomes> outcomes{};
  std::array<uint64_t, kNoRetryReasons> not_retried{};
  uint64_t token_attempts = 0;
  uint64_t token_retries_not_run = 0;
  uint64_t token_retries_ambiguous = 0;
  std::array<uint64_t, idempotency::kVerdicts> token_verdicts{};
  uint64_t request_bytes = 0;
  uint64_t response_bytes = 0;
  Durations requests;
  Durations tries;
};

std::string Escape(std::string_view value) {
  std::string out;
  for (const char c : ValidUtf8(value, std::string::npos)) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

void AddCodes(const RouteStats& stats, Row& row) {
  for (const RouteStats::Code& slot : stats.codes) {
    const uint16_t code = slot.code.load(std::memory_order_relaxed);
    if (code == 0) break;
    // The last slot holds several codes, its own only by name.
    const bool shared = &slot == &stats.codes.back();
    row.codes[shared ? "other" : std::to_string(code)] += slot.count.value();
  }
}

std::vector<Row> CollectRows(const telemetry::Registry& registry) {
  std::vector<Row> rows;
  registry.ForEachRoute([&](const RouteKey& key, const std::vector<const RouteStats*>& shards) {
    Row row;
    for (const RouteStats* stats : shards) {
      // Finished before started: the difference must not fall below zero while workers count.
      row.finished += stats->finished.value();
      row.started += stats->started.value();
      row.attempts += stats->attempts.value();
      row.retries += stats->retries.value();
      row.hedges += stats->hedges.value();
      row.hedges_won += stats->hedges_won.value();
      for (size_t i = 0; i < kOutcomes; ++i) row.outcomes[i] += stats->outcomes[i].value();
      for (size_t i = 0; i < kNoRetryReasons; ++i) row.not_retried[i] += stats->not_retried[i].value();
      row.token_attempts += stats->token_attempts.value();
      row.token_retries_not_run += stats->token_retries_not_run.value();
      row.token_retries_ambiguous += stats->token_retries_ambiguous.value();
      for (size_t i = 0; i < idempotency::kVerdicts; ++i)
        row.token_verdicts[i] += stats->token_verdicts[i].value();
      row.request_bytes += stats->request_bytes.value();
      row.response_bytes += stats->response_bytes.value();
      row.requests.Add(stats->request_duration);
      row.tries.Add(stats->attempt_duration);
      AddCodes(*stats, row);
    }
    if (row.started == 0) return;
    row.labels = "listener=\"" + Escape(key.listener) + "\",route=\"" + Escape(key.route) + "\",cluster=\"" +
                 Escape(key.cluster) + "\"";
    rows.push_back(std::move(row));
  });
  return rows;
}

// Families one after the other: the format wants all series of one together, after its HELP and TYPE.
class Page {
 public:
  void Family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_ += "# HELP " + name_ + " ";
    text_ += help;
    text_ += "\n# TYPE " + name_ + " ";
    text_ += type;
    text_ += '\n';
  }
  void Sample(std::string_view suffix, const std::string& labels, std::string_view value) {
    text_ += name_;
    text_ += suffix;
    if (!labels.empty()) text_ += "{" + labels + "}";
    text_ += ' ';
    text_ += value;
    text_ += '\n';
  }
  void Sample(const std::string& labels, uint64_t value) { Sample("", labels, std::to_string(value)); }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
  std::string name_;
};

// Exact and locale-free: microseconds are whole numbers.
std::string Seconds(uint64_t us) {
  constexpr uint64_t kMicros = 1'000'000;
  std::string text = std::to_string(us / kMicros);
  std::string fraction = std::to_string(us % kMicros + kMicros).substr(1);
  fraction.erase(fraction.find_last_not_of('0') + 1);
  if (!fraction.empty()) text += "." + fraction;
  return text;
}

void Bucketed(Page& page, const std::string& labels, const Durations& durations) {
  const std::string before = labels.empty() ? "" : labels + ",";
  uint64_t below = 0;
  size_t next = 0;
  for (size_t bound = kFirstBound; bound <= kLastBound; bound += kBoundStep) {
    for (; next <= bound; ++next) below += durations.buckets[next];
    page.Sample("_bucket", before + "le=\"" + Seconds(Histogram::UpperBoundUs(bound)) + "\"",
                std::to_string(below));
  }
  for (; next < durations.buckets.size(); ++next) below += durations.buckets[next];
  page.Sample("_bucket", before + "le=\"+Inf\"", std::to_string(below));
  page.Sample("_sum", labels, Seconds(durations.sum_us));
  page.Sample("_count", labels, std::to_string(below));
}

void RoutePart(Page& page, const std::vector<Row>& rows) {
  page.Family("pillion_requests_total", "counter", "Requests that ended, by the status the client got.");
  for (const Row& row : rows) {
    for (const auto& [code, count] : row.codes) page.Sample(row.labels + ",code=\"" + code + "\"", count);
  }
  page.Family("pillion_requests_active", "gauge", "Requests under way.");
  for (const Row& row : rows) {
    page.Sample(row.labels, row.started > row.finished ? row.started - row.finished : 0);
  }
  page.Family("pillion_request_duration_seconds", "histogram",
              "From the first byte of the request to the end of the response.");
  for (const Row& row : rows) Bucketed(page, row.labels, row.requests);
  page.Family("pillion_attempt_duration_seconds", "histogram",
              "From the choice of an endpoint to its response head or its failure.");
  for (const Row& row : rows) Bucketed(page, row.labels, row.tries);
  const struct {
    std::string_view name;
    std::string_view help;
    uint64_t Row::* value;
  } totals[] = {
      {"pillion_attempts_total", "Attempts at an endpoint, retries included.", &Row::attempts},
      {"pillion_retries_total", "Attempts after the first of their request had ended; hedges are apart.",
       &Row::retries},
      {"pillion_hedges_total", "Attempts made beside one that had not answered.", &Row::hedges},
      {"pillion_hedges_won_total", "Answers delivered while an earlier attempt had not answered.",
       &Row::hedges_won},
      {"pillion_request_bytes_total", "Request content received from clients.", &Row::request_bytes},
      {"pillion_response_bytes_total", "Response content sent to clients.", &Row::response_bytes},
  };
  for (const auto& total : totals) {
    page.Family(total.name, "counter", total.help);
    for (const Row& row : rows) page.Sample(row.labels, row.*total.value);
  }
}

// Only what has happened: most routes know one outcome and no reason.
void RetryPart(Page& page, const std::vector<Row>& rows) {
  page.Family("pillion_attempt_outcomes_total", "counter", "Attempts that ended, by what is proven of them.");
  for (const Row& row : rows) {
    for (size_t i = 0; i < kOutcomes; ++i) {
      if (row.outcomes[i] == 0) continue;
      page.Sample(row.labels + ",outcome=\"" + std::string(ToString(static_cast<Outcome>(i))) + "\"",
                  row.outcomes[i]);
    }
  }
  page.Family("pillion_not_retried_total", "counter",
              "Requests that failed and were not tried again, by the reason.");
  for (const Row& row : rows) {
    for (size_t i = 0; i < kNoRetryReasons; ++i) {
      if (row.not_retried[i] == 0) continue;
      page.Sample(row.labels + ",reason=\"" + std::string(ToString(static_cast<NoRetry>(i))) + "\"",
                  row.not_retried[i]);
    }
  }
}

// A histogram of all workers.
template <typename Of>
void WorkersPart(Page& page, const telemetry::Registry& registry, std::string_view name,
                 std::string_view help, Of of) {
  Durations sum;
  for (const auto& shard : registry.shards()) sum.Add(of(shard->worker));
  page.Family(name, "histogram", help);
  Bucketed(page, "", sum);
}

// Only what has happened.
void TokenPart(Page& page, const std::vector<Row>& rows, const telemetry::Registry& registry) {
  page.Family("pillion_token_attempts_total", "counter", "Attempts that carried an idempotency token.");
  for (const Row& row : rows) {
    if (row.token_attempts > 0) page.Sample(row.labels, row.token_attempts);
  }
  page.Family("pillion_token_retries_total", "counter",
              "Requests with tokens that were sent again, by what was known of the attempts before.");
  for (const Row& row : rows) {
    if (row.token_retries_not_run > 0)
      page.Sample(row.labels + ",class=\"not_run\"", row.token_retries_not_run);
    if (row.token_retries_ambiguous > 0)
      page.Sample(row.labels + ",class=\"ambiguous\"", row.token_retries_ambiguous);
  }
  page.Family(
      "pillion_token_verdicts_total", "counter",
      "What was said of tokens: of attempts, at the sidecar that sent them; of requests, at that of the "
      "service.");
  for (const Row& row : rows) {
    for (size_t i = 0; i < idempotency::kVerdicts; ++i) {
      if (row.token_verdicts[i] == 0) continue;
      const auto verdict = static_cast<idempotency::Verdict>(i);
      page.Sample(row.labels + ",verdict=\"" + std::string(idempotency::ToString(verdict)) + "\"",
                  row.token_verdicts[i]);
    }
  }
  WorkersPart(page, registry, "pillion_token_wait_seconds",
              "Waits for an execution under way, of requests told its answer.",
              [](const WorkerStats& stats) -> const Histogram& { return stats.token_waits; });
  WorkersPart(page, registry, "pillion_token_replay_age_seconds",
              "Since the execution began whose answer was told again.",
              [](const WorkerStats& stats) -> const Histogram& { return stats.token_replay_ages; });
}

using idempotency::LocalTable;

// What records of tokens there are, and what became of some.
void TablePart(Page& page, const TokenRecords& tokens) {
  const auto& tables = tokens.tables;
  const struct {
    std::string_view state;
    uint64_t LocalTable::Counts::* value;
  } states[] = {{"in_flight", &LocalTable::Counts::in_flight},
                {"completed", &LocalTable::Counts::completed},
                {"tombstone", &LocalTable::Counts::tombstones},
                {"unknown", &LocalTable::Counts::unknown}};
  const auto domain = [](idempotency::DomainId id) { return "domain=\"" + idempotency::ToHex(id) + "\""; };
  page.Family("pillion_token_records", "gauge", "Records of tokens, by state.");
  for (const auto& [id, counts] : tables) {
    for (const auto& of : states)
      page.Sample(domain(id) + ",state=\"" + std::string(of.state) + "\"", counts.*of.value);
  }
  page.Family("pillion_token_bytes", "gauge",
              "What they hold: records, answers, and what is reserved for those that are not here yet.");
  for (const auto& [id, counts] : tables) page.Sample(domain(id), counts.room.bytes);
  page.Family("pillion_token_answer_bytes", "gauge", "Of that, answers.");
  for (const auto& [id, counts] : tables) page.Sample(domain(id), counts.answer_bytes);
  page.Family("pillion_token_waiters", "gauge", "Requests that wait for an execution of their token.");
  for (const auto& [id, counts] : tables) page.Sample(domain(id), counts.room.waiters);
  page.Family("pillion_token_detached", "gauge", "Executions that go on though their client is gone.");
  for (const auto& [id, counts] : tables) page.Sample(domain(id), counts.detached);
  for (const auto& [id, view] : tokens.stores) page.Sample(domain(id), view.detached);
  const struct {
    std::string_view what;
    uint64_t LocalTable::Counts::* value;
  } events[] = {{"answer_shed", &LocalTable::Counts::shed},
                {"late_answer", &LocalTable::Counts::late},
                {"refused_full", &LocalTable::Counts::full},
                {"refused_quota", &LocalTable::Counts::quota}};
  page.Family(
      "pillion_token_events_total", "counter",
      "Answers let go of early, executions answered after they counted as unknown, tokens without room.");
  for (const auto& [id, counts] : tables) {
    for (const auto& of : events)
      page.Sample(domain(id) + ",what=\"" + std::string(of.what) + "\"", counts.*of.value);
  }
  page.Family(
      "pillion_token_double_execution_suspected_total", "counter",
      "Executions that ended when another one of their token had begun or ended. More than 0 is a bug, but "
      "where policy runs again what nobody knows.");
  for (const auto& [id, counts] : tables) page.Sample(domain(id), counts.fenced);
  for (const auto& [id, view] : tokens.stores) page.Sample(domain(id), view.totals.fenced);
}

// Records that are shared with other processes: what this one does with their store.
void StorePart(Page& page, const TokenRecords& tokens, const telemetry::Registry& registry) {
  if (tokens.stores.empty()) return;
  const auto domain = [](idempotency::DomainId id) { return "domain=\"" + idempotency::ToHex(id) + "\""; };
  const auto& numbers = idempotency::StoreTotals::all();
  constexpr size_t kGauges = idempotency::StoreTotals::kGauges;
  constexpr std::array<std::string_view, kGauges> kHelp = {
      "Workers whose store of tokens can be asked.",
      "Claims and executions under way in it, and ends that are kept to be told to another server.",
      "Requests that wait for an execution of another process."};
  page.Family("pillion_token_store_workers", "gauge", "Workers that have a store of tokens.");
  for (const auto& [id, view] : tokens.stores) page.Sample(domain(id), view.stores);
  for (size_t i = 0; i < kGauges; ++i) {
    page.Family("pillion_token_store_" + std::string(numbers[i].name), "gauge", kHelp[i]);
    for (const auto& [id, view] : tokens.stores) page.Sample(domain(id), view.totals.*numbers[i].number);
  }
  page.Family("pillion_token_store_events_total", "counter", "What has become of tokens at their store.");
  for (const auto& [id, view] : tokens.stores) {
    for (size_t i = kGauges; i < numbers.size(); ++i)
      page.Sample(domain(id) + ",what=\"" + std::string(numbers[i].name) + "\"",
                  view.totals.*numbers[i].number);
    page.Sample(domain(id) + ",what=\"refused_full\"", view.refused_full);
  }
  using Times = telemetry::TokenStoreTimes;
  const struct {
    std::string_view name;
    std::string_view help;
    Histogram Times::* histogram;
  } times[] = {
      {"pillion_token_store_claim_seconds",
       "Until a claim that waits for no other execution was answered, its replicas' time with it.",
       &Times::claims},
      {"pillion_token_store_confirmation_seconds", "Of that, until enough replicas had a granted claim.",
       &Times::confirmations},
      {"pillion_token_store_end_seconds", "Until the store had the end of an execution, and its answer.",
       &Times::ends},
  };
  for (const auto& one : times) {
    WorkersPart(page, registry, one.name, one.help, [&](const WorkerStats& stats) -> const Histogram& {
      return stats.token_store.*one.histogram;
    });
  }
}

using Clusters = std::map<std::string, ledger::ClusterCounts>;

std::string ClusterLabel(const std::string& name) { return "cluster=\"" + Escape(name) + "\""; }

// What is thought of endpoints. Only what there is.
void HealthPart(Page& page, const Clusters& clusters) {
  using ledger::ClusterCounts;
  const struct {
    std::string_view state;
    size_t ClusterCounts::* value;
  } states[] = {
      {"known", &ClusterCounts::endpoints},
      {"ejected", &ClusterCounts::ejected},
      {"check_failed", &ClusterCounts::check_failed},
      {"unchecked", &ClusterCounts::unchecked},
  };
  page.Family("pillion_endpoints", "gauge",
              "Endpoints of a cluster, and of them those that are left alone, by the reason.");
  for (const auto& [name, counts] : clusters) {
    for (const auto& of : states) {
      if (counts.*of.value == 0) continue;
      page.Sample(ClusterLabel(name) + ",state=\"" + std::string(of.state) + "\"", counts.*of.value);
    }
  }
  page.Family("pillion_ejections_total", "counter", "Endpoints ejected by outlier detection.");
  for (const auto& [name, counts] : clusters) {
    if (counts.ejections > 0) page.Sample(ClusterLabel(name), counts.ejections);
  }
  page.Family("pillion_health_checks_total", "counter", "Active health checks that have ended.");
  for (const auto& [name, counts] : clusters) {
    if (counts.checks_passed + counts.checks_failed == 0) continue;
    page.Sample(ClusterLabel(name) + ",result=\"passed\"", counts.checks_passed);
    page.Sample(ClusterLabel(name) + ",result=\"failed\"", counts.checks_failed);
  }
}

void CircuitPart(Page& page, const Clusters& clusters) {
  constexpr std::array<std::string_view, ledger::kCircuits> kNames = {"connections", "pending", "requests",
                                                                      "retries"};
  constexpr std::array<std::string_view, ledger::kCircuitPriorities> kPriorities = {"default", "high"};
  const auto all = [&](ledger::ClusterCounts::PerCircuit ledger::ClusterCounts::* values) {
    for (const auto& [name, counts] : clusters) {
      for (size_t priority = 0; priority < kPriorities.size(); ++priority) {
        for (size_t circuit = 0; circuit < kNames.size(); ++circuit) {
          const uint64_t value = (counts.*values)[priority][circuit];
          if (value == 0) continue;
          page.Sample(ClusterLabel(name) + ",priority=\"" + std::string(kPriorities[priority]) +
                          "\",circuit=\"" + std::string(kNames[circuit]) + "\"",
                      value);
        }
      }
    }
  };
  page.Family(
      "pillion_circuit_held", "gauge",
      "What is under way against circuit limits, as far as the workers have told: a sixteenth of the limit "
      "may be missing.");
  all(&ledger::ClusterCounts::held);
  page.Family("pillion_circuit_refused_total", "counter", "Times that a circuit was open.");
  all(&ledger::ClusterCounts::refused);
  page.Family("pillion_retry_budget", "gauge",
              "Retries that the budgets of a cluster, of all workers, had left at its last request.");
  for (const auto& [name, counts] : clusters) {
    if (!counts.retries) continue;
    page.Sample(ClusterLabel(name), static_cast<uint64_t>(*counts.retries));
  }
}

void TcpPart(Page& page, const telemetry::Registry& registry) {
  struct TcpRow {
    std::string labels;
    uint64_t opened = 0;
    uint64_t closed = 0;
    uint64_t received_bytes = 0;
    uint64_t sent_bytes = 0;
    uint64_t failed = 0;
  };
  std::vector<TcpRow> rows;
  registry.ForEachTcp(
      [&](const telemetry::TcpKey& key, const std::vector<const telemetry::TcpStats*>& shards) {
        TcpRow& row = rows.emplace_back();
        row.labels = "listener=\"" + Escape(key.listener) + "\",cluster=\"" + Escape(key.cluster) + "\"";
        for (const telemetry::TcpStats* stats : shards) {
          row.closed += stats->closed.value();  // before opened, as above
          row.opened += stats->opened.value();
          row.received_bytes += stats->received_bytes.value();
          row.sent_bytes += stats->sent_bytes.value();
          row.failed += stats->failed.value();
        }
      });
  const struct {
    std::string_view name;
    std::string_view help;
    uint64_t TcpRow::* value;
  } totals[] = {
      {"pillion_tcp_connections_total", "Connections relayed without looking into them.", &TcpRow::opened},
      {"pillion_tcp_connect_failures_total", "Of those, without an upstream connection.", &TcpRow::failed},
      {"pillion_tcp_received_bytes_total", "Bytes from clients of relayed connections.",
       &TcpRow::received_bytes},
      {"pillion_tcp_sent_bytes_total", "Bytes to clients of relayed connections.", &TcpRow::sent_bytes},
  };
  for (const auto& total : totals) {
    page.Family(total.name, "counter", total.help);
    for (const TcpRow& row : rows) page.Sample(row.labels, row.*total.value);
  }
  page.Family("pillion_tcp_connections_active", "gauge", "Relayed connections that are open.");
  for (const TcpRow& row : rows)
    page.Sample(row.labels, row.opened > row.closed ? row.opened - row.closed : 0);
}

struct WorkerSeries {
  std::string_view family;
  std::string_view labels;
  std::string_view help;
  Counter WorkerStats::* counter;
};

// Series of one family stand together. A test looks that no counter of WorkerStats is forgotten.
constexpr WorkerSeries kWorkerSeries[] = {
    {"pillion_client_connections_total", "", "Connections accepted.", &WorkerStats::client_connections},
    {"pillion_client_connections_shed_total", "",
     "Connections closed at once: no descriptor was left, or no room for one more in epoll.",
     &WorkerStats::client_connections_shed},
    {"pillion_client_connections_unmatched_total", "", "Connections closed: no filter chain is for them.",
     &WorkerStats::client_connections_unmatched},
    {"pillion_client_connections_undetected_total", "",
     "Connections closed: what a filter chain depends on was not known in time, or malformed.",
     &WorkerStats::client_connections_undetected},
    {"pillion_client_connections_refused_total", "", "Connections closed at once: over the limit.",
     &WorkerStats::client_connections_refused},
    {"pillion_client_protocol_errors_total", "", "Messages of clients that broke their protocol.",
     &WorkerStats::client_protocol_errors},
    {"pillion_client_limits_total", "limit=\"head\"", "Clients that met a limit.",
     &WorkerStats::client_heads_too_large},
    {"pillion_client_limits_total", "limit=\"heads\"", "Clients that met a limit.",
     &WorkerStats::client_heads_refused},
    {"pillion_client_limits_total", "limit=\"slow_request\"", "Clients that met a limit.",
     &WorkerStats::client_slow_heads},
    {"pillion_client_limits_total", "limit=\"slow_read\"", "Clients that met a limit.",
     &WorkerStats::client_slow_reads},
    {"pillion_client_limits_total", "limit=\"age\"", "Clients that met a limit.",
     &WorkerStats::client_expired},
    {"pillion_client_limits_total", "limit=\"idle\"", "Clients that met a limit.", &WorkerStats::client_idle},
    {"pillion_client_limits_total", "limit=\"streams\"", "Clients that met a limit.",
     &WorkerStats::client_streams_refused},
    {"pillion_http2_connections_ended_total", "reason=\"frame_flood\"", "HTTP/2 connections ended by us.",
     &WorkerStats::http2_frame_floods},
    {"pillion_http2_connections_ended_total", "reason=\"reset_flood\"", "HTTP/2 connections ended by us.",
     &WorkerStats::http2_reset_floods},
    {"pillion_http2_connections_ended_total", "reason=\"unread_flood\"", "HTTP/2 connections ended by us.",
     &WorkerStats::http2_unread_floods},
    {"pillion_http2_connections_ended_total", "reason=\"header_flood\"", "HTTP/2 connections ended by us.",
     &WorkerStats::http2_header_floods},
    {"pillion_http2_connections_ended_total", "reason=\"streams\"", "HTTP/2 connections ended by us.",
     &WorkerStats::http2_stream_floods},
    {"pillion_http2_connections_ended_total", "reason=\"ping\"", "HTTP/2 connections ended by us.",
     &WorkerStats::http2_pings_unanswered},
    {"pillion_shed_total", "what=\"request\"", "What was given up because memory is short.",
     &WorkerStats::shed_requests},
    {"pillion_shed_total", "what=\"stream\"", "What was given up because memory is short.",
     &WorkerStats::shed_streams},
    {"pillion_shed_total", "what=\"connection\"", "What was given up because memory is short.",
     &WorkerStats::shed_connections},
    {"pillion_upstream_connections_total", "protocol=\"http1\"", "Connections dialled.",
     &WorkerStats::upstream_connections_http1},
    {"pillion_upstream_connections_total", "protocol=\"http2\"", "Connections dialled.",
     &WorkerStats::upstream_connections_http2},
    {"pillion_upstream_connections_total", "protocol=\"tcp\"", "Connections dialled.",
     &WorkerStats::upstream_connections_tcp},
    {"pillion_upstream_connect_failures_total", "reason=\"error\"", "Connections that did not come about.",
     &WorkerStats::upstream_connect_failures},
    {"pillion_upstream_connect_failures_total", "reason=\"timeout\"", "Connections that did not come about.",
     &WorkerStats::upstream_connect_timeouts},
    {"pillion_upstream_protocol_errors_total", "", "Messages of upstreams that broke their protocol.",
     &WorkerStats::upstream_protocol_errors},
    {"pillion_upstream_stale_reuse_total", "", "Pooled connections that were dead when used.",
     &WorkerStats::stale_reuse},
    {"pillion_http2_resets_seen_total", "", "Streams that a peer reset.", &WorkerStats::http2_resets_seen},
    {"pillion_log_records_dropped_total", "", "Access log records lost: full buffers, unwritable files.",
     &WorkerStats::log_records_dropped},
    {"pillion_spans_dropped_total", "", "Spans lost: full queue, collector not reached, refused by it.",
     &WorkerStats::spans_dropped},
    {"pillion_faults_total", "fault=\"delay\"", "Faults that policies made, and did not make: too many wait.",
     &WorkerStats::faults_delayed},
    {"pillion_faults_total", "fault=\"abort\"", "Faults that policies made, and did not make: too many wait.",
     &WorkerStats::faults_aborted},
    {"pillion_faults_total", "fault=\"skipped\"",
     "Faults that policies made, and did not make: too many wait.", &WorkerStats::faults_skipped},
    {"pillion_rate_limit_total", "what=\"refused\"",
     "Requests beyond limits, and clients that a limit forgot.", &WorkerStats::rate_limited},
    {"pillion_rate_limit_total", "what=\"passed\"",
     "Requests beyond limits, and clients that a limit forgot.", &WorkerStats::rate_limit_overrun},
    {"pillion_rate_limit_total", "what=\"forgotten\"",
     "Requests beyond limits, and clients that a limit forgot.", &WorkerStats::rate_limit_forgotten},
    {"pillion_rbac_total", "result=\"allowed\"", "Requests by what rules of access say of them.",
     &WorkerStats::access_allowed},
    {"pillion_rbac_total", "result=\"denied\"", "Requests by what rules of access say of them.",
     &WorkerStats::access_denied},
    {"pillion_rbac_total", "result=\"logged\"", "Requests by what rules of access say of them.",
     &WorkerStats::access_logged},
    {"pillion_rbac_total", "result=\"shadow_allowed\"", "Requests by what rules of access say of them.",
     &WorkerStats::access_shadow_allowed},
    {"pillion_rbac_total", "result=\"shadow_denied\"", "Requests by what rules of access say of them.",
     &WorkerStats::access_shadow_denied},
    {"pillion_mirrors_total", "what=\"begun\"", "Requests that were mirrored, were not, or not to their end.",
     &WorkerStats::mirrors},
    {"pillion_mirrors_total", "what=\"left_out\"",
     "Requests that were mirrored, were not, or not to their end.", &WorkerStats::mirrors_left_out},
    {"pillion_mirrors_total", "what=\"given_up\"",
     "Requests that were mirrored, were not, or not to their end.", &WorkerStats::mirrors_given_up},
    {"pillion_turns_total", "", "Turns of the loops.", &WorkerStats::turns},
    {"pillion_tls_certificate_loads_total", "result=\"used\"",
     "Times that the certificates of a filter chain or cluster were read, the first included.",
     &WorkerStats::certificate_loads},
    {"pillion_tls_certificate_loads_total", "result=\"refused\"",
     "Times that the certificates of a filter chain or cluster were read, the first included.",
     &WorkerStats::certificate_failures},
    {"pillion_dns_resolutions_total", "result=\"answered\"",
     "Resolutions of host names of clusters; answered: also with no address.", &WorkerStats::dns_answers},
    {"pillion_dns_resolutions_total", "result=\"failed\"",
     "Resolutions of host names of clusters; answered: also with no address.", &WorkerStats::dns_failures},
    {"pillion_dns_addresses_left_out_total", "", "Addresses of host names beyond the limit of one name.",
     &WorkerStats::dns_addresses_left_out},
    {"pillion_token_cookies_dropped_total", "",
     "Set-Cookie fields of saved answers that were not told again, for the request was known by its app's "
     "key.",
     &WorkerStats::token_cookies_dropped},
};

// Of all workers; `pick`: which counter of one's.
template <typename Pick>
uint64_t Sum(const telemetry::Registry& registry, Pick pick) {
  uint64_t sum = 0;
  for (const auto& shard : registry.shards()) sum += pick(shard->worker).value();
  return sum;
}

uint64_t Sum(const telemetry::Registry& registry, Counter WorkerStats::* counter) {
  return Sum(registry, [counter](const WorkerStats& stats) -> const Counter& { return stats.*counter; });
}

struct WireSeries {
  std::string_view family;
  std::string_view labels;
  std::string_view help;
  Counter WireStats::* counter;
};

constexpr WireSeries kWireSeries[] = {
    {"pillion_connection_bytes_total", ",direction=\"read\"", "Bytes on connections.",
     &WireStats::bytes_read},
    {"pillion_connection_bytes_total", ",direction=\"written\"", "Bytes on connections.",
     &WireStats::bytes_written},
    {"pillion_connections_silent_total", "",
     "Connections that the kernel ended: the peer had answered nothing for too long.", &WireStats::silent},
};

void WirePart(Page& page, const telemetry::Registry& registry) {
  constexpr std::pair<std::string_view, WireStats WorkerStats::*> kWires[] = {
      {"client", &WorkerStats::client_wires}, {"upstream", &WorkerStats::upstream_wires}};
  std::string_view family;
  for (const WireSeries& series : kWireSeries) {
    if (series.family != family) page.Family(series.family, "counter", series.help);
    family = series.family;
    for (const auto& [side, stats] : kWires) {
      const auto pick = [&, wires = stats](const WorkerStats& of) -> const Counter& {
        return of.*wires.*series.counter;
      };
      page.Sample("side=\"" + std::string(side) + "\"" + std::string(series.labels), Sum(registry, pick));
    }
  }
}

void WorkerPart(Page& page, const telemetry::Registry& registry) {
  std::string_view family;
  for (const WorkerSeries& series : kWorkerSeries) {
    if (series.family != family) page.Family(series.family, "counter", series.help);
    family = series.family;
    page.Sample(std::string(series.labels), Sum(registry, series.counter));
  }
  // Closed before opened, as above.
  const uint64_t client_closed = Sum(registry, &WorkerStats::client_connections_closed);
  const uint64_t client_opened = Sum(registry, &WorkerStats::client_connections);
  page.Family("pillion_client_connections_active", "gauge", "Connections of clients that are open.");
  page.Sample("", client_opened > client_closed ? client_opened - client_closed : 0);
  const uint64_t upstream_closed = Sum(registry, &WorkerStats::upstream_connections_closed);
  const uint64_t upstream_opened = Sum(registry, &WorkerStats::upstream_connections_http1) +
                                   Sum(registry, &WorkerStats::upstream_connections_http2) +
                                   Sum(registry, &WorkerStats::upstream_connections_tcp);
  page.Family("pillion_upstream_connections_active", "gauge", "Connections to upstreams that are open.");
  page.Sample("", upstream_opened > upstream_closed ? upstream_opened - upstream_closed : 0);
}

// Only what has happened.
void ErrorPart(Page& page, const telemetry::Registry& registry) {
  page.Family("pillion_request_errors_total", "counter",
              "Requests that ended with an error of their client, their upstream or this sidecar.");
  for (size_t kind = 1; kind < kErrorKinds; ++kind) {
    for (size_t side = 0; side < kSides; ++side) {
      const uint64_t sum = Sum(registry, [&](const WorkerStats& of) -> const Counter& {
        return of.request_errors[kind - 1][side];
      });
      if (sum == 0) continue;
      std::string labels = "side=\"";
      labels += ToString(static_cast<Side>(side));
      labels += "\",reason=\"";
      labels += ToString(static_cast<ErrorKind>(kind));
      labels += "\"";
      page.Sample(labels, sum);
    }
  }
}

struct TlsSeries {
  std::string_view family;
  std::string_view help;
  Counter TlsStats::* counter;
};

constexpr TlsSeries kTlsSeries[] = {
    {"pillion_tls_handshakes_total", "TLS handshakes that succeeded.", &TlsStats::handshakes},
    {"pillion_tls_resumed_total", "TLS handshakes that resumed a session.", &TlsStats::resumed},
    {"pillion_tls_early_data_accepted_total", "Connections whose early data was taken.",
     &TlsStats::early_data_accepted},
    {"pillion_tls_early_data_rejected_total", "Connections whose early data was not taken.",
     &TlsStats::early_data_rejected},
};

void TlsPart(Page& page, const telemetry::Registry& registry) {
  constexpr std::pair<std::string_view, TlsStats WorkerStats::*> kSides[] = {
      {"client", &WorkerStats::client_tls}, {"upstream", &WorkerStats::upstream_tls}};
  for (size_t i = 0; i < std::size(kTlsSeries); ++i) {
    page.Family(kTlsSeries[i].family, "counter", kTlsSeries[i].help);
    for (const auto& [side, stats] : kSides) {
      const auto pick = [i, tls = stats](const WorkerStats& of) -> const Counter& {
        return of.*tls.*kTlsSeries[i].counter;
      };
      page.Sample("side=\"" + std::string(side) + "\"", Sum(registry, pick));
    }
  }
  page.Family("pillion_tls_handshake_failures_total", "counter", "TLS handshakes that failed.");
  for (const auto& [side, stats] : kSides) {
    for (size_t i = 1; i < net::kTlsFailures; ++i) {
      const auto pick = [i, tls = stats](const WorkerStats& of) -> const Counter& {
        return (of.*tls).failures[i - 1];
      };
      page.Sample("side=\"" + std::string(side) + "\",reason=\"" +
                      std::string(net::ToString(static_cast<net::TlsFailure>(i))) + "\"",
                  Sum(registry, pick));
    }
  }
}

}  // namespace

std::string PrometheusText(const telemetry::Registry& registry, const Clusters& clusters,
                           const TokenRecords& tokens) {
  Page page;
  const std::vector<Row> rows = CollectRows(registry);
  RoutePart(page, rows);
  RetryPart(page, rows);
  TokenPart(page, rows, registry);
  TablePart(page, tokens);
  StorePart(page, tokens, registry);
  HealthPart(page, clusters);
  CircuitPart(page, clusters);
  TcpPart(page, registry);
  WorkerPart(page, registry);
  WirePart(page, registry);
  ErrorPart(page, registry);
  TlsPart(page, registry);
  return page.Take();
}

}  // namespace pillion::exporting
