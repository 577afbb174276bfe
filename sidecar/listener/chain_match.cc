#include "sidecar/listener/chain_match.h"

#include <algorithm>
#include <string_view>

namespace pillion::listener {
namespace {

using config::FilterChainMatch;
using Kind = ChainChoice::Kind;

constexpr int kOut = -1;  // set, and does not match
constexpr int kUnset = 0;

class Candidates {
 public:
  explicit Candidates(const config::Listener& listener) : listener_(listener) {
    for (size_t i = 0; i < listener.chains.size(); ++i) left_.push_back(i);
  }
  // One level: keeps those whose score is the highest; kOut never stays.
  template <typename Score>
  void Keep(Score score) {
    int best = kOut;
    for (const size_t i : left_) best = std::max(best, score(listener_.chains[i].match));
    std::erase_if(left_, [&](size_t i) { return best == kOut || score(listener_.chains[i].match) != best; });
  }
  template <typename Predicate>
  bool Any(Predicate predicate) const {
    return std::any_of(left_.begin(), left_.end(),
                       [&](size_t i) { return predicate(listener_.chains[i].match); });
  }
  const std::vector<size_t>& left() const { return left_; }

 private:
  const config::Listener& listener_;
  std::vector<size_t> left_;
};

int LongestPrefix(const std::vector<config::CidrRange>& ranges, const net::Address& address) {
  if (ranges.empty()) return kUnset;
  int best = kOut;
  for (const config::CidrRange& range : ranges) {
    if (range.Contains(address)) best = std::max(best, static_cast<int>(range.bits) + 1);
  }
  return best;
}

int NameScore(const std::vector<std::string>& names, std::string_view asked) {
  if (names.empty()) return kUnset;
  constexpr int kExact = 1 << 20;
  int best = kOut;
  for (const std::string& name : names) {
    if (name == asked) return kExact;
    // "*.a" is for every name below a.
    if (name.starts_with("*.") && asked.size() > name.size() - 1 &&
        asked.ends_with(std::string_view(name).substr(1))) {
      best = std::max(best, static_cast<int>(name.size()));
    }
  }
  return best;
}

int TransportScore(FilterChainMatch::Transport wanted, bool tls) {
  if (wanted == FilterChainMatch::Transport::kAny) return kUnset;
  return (wanted == FilterChainMatch::Transport::kTls) == tls ? 1 : kOut;
}

int ProtocolScore(const std::vector<std::string>& wanted, const std::vector<std::string>& offered) {
  if (wanted.empty()) return kUnset;
  const bool found = std::any_of(wanted.begin(), wanted.end(), [&](const std::string& protocol) {
    return std::find(offered.begin(), offered.end(), protocol) != offered.end();
  });
  return found ? 1 : kOut;
}

int SourceScore(FilterChainMatch::Source wanted, const ConnectionFacts& facts) {
  if (wanted == FilterChainMatch::Source::kAny) return kUnset;
  const bool local = facts.source.loopback() || facts.source.ip() == facts.destination.ip();
  return (wanted == FilterChainMatch::Source::kLocal) == local ? 1 : kOut;
}

bool WantsProtocols(const FilterChainMatch& match) { return !match.application_protocols.empty(); }

}  // namespace

ChainChoice ChooseChain(const config::Listener& listener, const ConnectionFacts& facts) {
  Candidates candidates(listener);
  candidates.Keep([&](const FilterChainMatch& m) {
    if (!m.destination_port) return kUnset;
    return *m.destination_port == facts.destination.port() ? 1 : kOut;
  });
  candidates.Keep(
      [&](const FilterChainMatch& m) { return LongestPrefix(m.destinations, facts.destination); });
  const bool ask_tls = listener.inspect_tls && !facts.tls;
  if (ask_tls && candidates.Any([](const FilterChainMatch& m) {
        return !m.server_names.empty() || m.transport != FilterChainMatch::Transport::kAny ||
               WantsProtocols(m);
      })) {
    return {Kind::kAskTls, 0};
  }
  const bool tls = facts.tls.value_or(false);
  candidates.Keep([&](const FilterChainMatch& m) { return NameScore(m.server_names, facts.server_name); });
  candidates.Keep([&](const FilterChainMatch& m) { return TransportScore(m.transport, tls); });
  if (!facts.protocols && listener.inspect_http && candidates.Any(WantsProtocols)) return {Kind::kAskHttp, 0};
  const std::vector<std::string> none;
  const std::vector<std::string>& protocols = facts.protocols ? *facts.protocols : none;
  candidates.Keep(
      [&](const FilterChainMatch& m) { return ProtocolScore(m.application_protocols, protocols); });
  candidates.Keep(
      [&](const FilterChainMatch& m) { return LongestPrefix(m.direct_sources, facts.direct_source); });
  candidates.Keep([&](const FilterChainMatch& m) { return SourceScore(m.source, facts); });
  candidates.Keep([&](const FilterChainMatch& m) { return LongestPrefix(m.sources, facts.source); });
  candidates.Keep([&](const FilterChainMatch& m) {
    if (m.source_ports.empty()) return kUnset;
    const auto& ports = m.source_ports;
    return std::find(ports.begin(), ports.end(), facts.source.port()) != ports.end() ? 1 : kOut;
  });
  if (!candidates.left().empty()) return {Kind::kChain, candidates.left().front()};
  if (listener.default_chain) return {Kind::kChain, listener.chains.size()};
  return {Kind::kNone, 0};
}

}  // namespace pillion::listener
