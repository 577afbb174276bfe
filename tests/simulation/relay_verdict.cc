#include <algorithm>
#include <map>

#include "tests/simulation/proxy_header.h"
#include "tests/simulation/verdict.h"

namespace pillion::simulation {
namespace {

std::string Tell(const RelayEnd& end) {
  return "wrote " + std::to_string(end.written) + ", got " + std::to_string(end.received) +
         (end.told_end ? ", ended" : "") + (end.did_reset ? ", reset" : "") +
         (end.saw_end ? ", saw the end" : "") + (end.saw_reset ? ", saw a reset" : "");
}

// An end says that all has been said, and is passed on as such or not at all.
void JudgeEnd(const RelayEnd& teller, const RelayEnd& hearer, bool met, const std::string& who,
              std::vector<std::string>& wrong) {
  // It was closed by who drains, before it spoke, or at least before it was heard.
  const bool unheard = hearer.received == 0 && (hearer.written == 0 || !met);
  if (!hearer.saw_end || unheard) return;
  if (!teller.told_end) wrong.push_back("an end that nobody told: " + who);
  if (teller.told_end && hearer.received != teller.written) wrong.push_back("an end before the end: " + who);
}

// In a calm story a relay goes as its plan says.
void JudgeCalm(const RelayFate& fate, const std::string& who, std::vector<std::string>& wrong) {
  const EndPlan& client = fate.plan.client;
  const EndPlan& app = fate.plan.app;
  const bool deaf = client.reads == Pace::kDeaf || app.reads == Pace::kDeaf;
  const bool reset = client.manner == EndManner::kReset || app.manner == EndManner::kReset;
  const bool timed_out = client.manner == EndManner::kLast && app.manner == EndManner::kLast;
  if (fate.lost != 0) wrong.push_back("no connection: " + who);
  if (deaf) return;
  if (!reset) {
    const bool all = fate.client.received == fate.app.written && fate.app.received == fate.client.written &&
                     fate.client.written > fate.plan.client.bytes && fate.app.written > fate.plan.app.bytes;
    if (!all) wrong.push_back("bytes are lost: " + who);
  }
  if (!reset && !timed_out &&
      !(fate.client.saw_end && fate.app.saw_end && !fate.client.saw_reset && !fate.app.saw_reset))
    wrong.push_back("an end is lost: " + who);
  if (fate.client.did_reset && !fate.app.did_reset && !fate.app.saw_reset && fate.met[0] + fate.met[1] != 0)
    wrong.push_back("the client's reset is lost: " + who);
  if (fate.app.did_reset && !fate.client.did_reset && !fate.client.saw_reset)
    wrong.push_back("the app's reset is lost: " + who);
}

}  // namespace

std::string Tell(const RelayFate& fate) {
  return Describe(fate.plan) + ": client " + Tell(fate.client) + "; app " + Tell(fate.app) + "; repeated " +
         std::to_string(fate.repeated) + ", met " + std::to_string(fate.met[0]) + " and " +
         std::to_string(fate.met[1]);
}

void JudgeRelays(const Script& script, const Ledger& ledger, std::vector<std::string>& wrong) {
  for (const auto& [id, fate] : ledger.relays) {
    const std::string who = Tell(fate);
    if (fate.over + fate.lost != 1) wrong.push_back("over " + std::to_string(fate.over) + " times: " + who);
    if (fate.met[0] + fate.met[1] > 1) wrong.push_back("relayed twice: " + who);
    if (script.mood.lasting_weights && fate.met[1] != 0) {
      wrong.push_back("a weight of 0 was picked: " + who);
    }
    if (fate.plan.fault != HeaderFault::kNone) {
      if (fate.met[0] + fate.met[1] != 0 || fate.client.received != 0)
        wrong.push_back("relayed behind a header that is none: " + who);
      if (ledger.calm && !fate.client.saw_end && !fate.client.saw_reset)
        wrong.push_back("a header that is none and is not refused: " + who);
      continue;
    }
    const bool met = fate.met[0] + fate.met[1] != 0;
    JudgeEnd(fate.client, fate.app, met, who, wrong);
    JudgeEnd(fate.app, fate.client, met, who, wrong);
    if (ledger.calm) JudgeCalm(fate, who, wrong);
  }
}

// Which client the inbound sidecar names in its log, and what it says of him.
void JudgeToldClients(const Ledger& ledger, const std::vector<telemetry::RequestRecord>& records,
                      std::vector<std::string>& wrong) {
  std::map<std::string, const telemetry::RequestRecord*> told;
  for (const telemetry::RequestRecord& record : records) {
    if (record.protocol != "TCP" || record.client.starts_with("127.0.0.1:")) continue;
    if (!told.emplace(record.client, &record).second) wrong.push_back("told twice: " + record.client);
    if (record.reporting->listener == "relay") wrong.push_back("told to the wrong sidecar: " + record.client);
  }
  for (const auto& [id, fate] : ledger.relays) {
    if (fate.plan.proxy_version == 0) continue;
    const auto found = told.find(ToldClient(id));
    if (found == told.end()) {
      if (fate.met[0] + fate.met[1] != 0)
        wrong.push_back("the client that was told is not logged: " + Tell(fate));
      continue;
    }
    const telemetry::RequestRecord& record = *found->second;
    // An app that has not been told whose relay it is has greeted none the less.
    const uint64_t said = fate.met[0] + fate.met[1] != 0 ? fate.app.written : kBanner.size();
    const bool right = fate.client.written + ledger.sealed_room >= record.request_bytes &&
                       record.request_bytes >= fate.app.received &&
                       said + ledger.sealed_room >= record.response_bytes &&
                       record.response_bytes >= fate.client.received;
    if (!right)
      wrong.push_back("logged " + std::to_string(record.request_bytes) + " and " +
                      std::to_string(record.response_bytes) + " bytes: " + Tell(fate));
    told.erase(found);
  }
  for (const auto& [client, record] : told) wrong.push_back("nobody has told: " + client);
}

void JudgeRelayCounters(const Ledger& ledger, const telemetry::Registry& registry,
                        const std::vector<telemetry::RequestRecord>& records,
                        std::vector<std::string>& wrong) {
  struct Sums {
    uint64_t opened = 0;
    uint64_t closed = 0;
    uint64_t received = 0;  // from clients
    uint64_t sent = 0;      // to them
  };
  Sums outbound;
  Sums inbound;
  registry.ForEachTcp(
      [&](const telemetry::TcpKey& key, const std::vector<const telemetry::TcpStats*>& shards) {
        Sums& sums = key.listener == "relay" ? outbound : inbound;
        for (const telemetry::TcpStats* stats : shards) {
          sums.opened += stats->opened.value();
          sums.closed += stats->closed.value();
          sums.received += stats->received_bytes.value();
          sums.sent += stats->sent_bytes.value();
        }
      });
  Sums logged_outbound;
  Sums logged_inbound;
  for (const telemetry::RequestRecord& record : records) {
    if (record.protocol != "TCP") continue;
    Sums& sums = record.reporting->listener == "relay" ? logged_outbound : logged_inbound;
    ++sums.closed;
    sums.received += record.request_bytes;
    sums.sent += record.response_bytes;
  }
  RelayEnd clients;
  RelayEnd apps;
  for (const auto& [id, fate] : ledger.relays) {
    clients.written += fate.client.header + fate.client.written + ledger.sealed_room;
    clients.received += fate.client.received;
    apps.written += fate.app.written;
    apps.received += fate.app.received;
  }
  const auto differ = [&wrong](const char* what, uint64_t a, uint64_t b) {
    if (a != b) wrong.push_back(std::string(what) + ": " + std::to_string(a) + " and " + std::to_string(b));
  };
  for (const auto& [sums, logged] :
       {std::pair(outbound, logged_outbound), std::pair(inbound, logged_inbound)}) {
    differ("relays opened and closed", sums.opened, sums.closed);
    differ("relays closed and logged", sums.closed, logged.closed);
    differ("bytes of clients counted and logged", sums.received, logged.received);
    differ("bytes to clients counted and logged", sums.sent, logged.sent);
  }
  // What went on was there before; what nobody could identify went too.
  const auto descend = [&wrong](const char* what, std::initializer_list<uint64_t> counts) {
    if (std::is_sorted(counts.begin(), counts.end(), std::greater<>())) return;
    std::string text(what);
    for (const uint64_t count : counts) text += " " + std::to_string(count);
    wrong.push_back(text);
  };
  descend("bytes grow on their way to the apps:",
          {clients.written, outbound.received, inbound.received, apps.received});
  if (ledger.calm)
    descend("bytes grow on their way to the clients:", {inbound.sent, outbound.sent, clients.received});
}

}  // namespace pillion::simulation
