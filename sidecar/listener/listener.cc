#include "sidecar/listener/listener.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "sidecar/listener/inspection.h"

namespace pillion::listener {
namespace {

// Clients taken per turn: a flood of new ones must not starve those being served.
constexpr int kAcceptsPerRun = 64;

// `act` may take its member out of the list.
template <typename List, typename Act>
void ForEach(List& list, Act act) {
  for (auto* session = list.front(); session != nullptr;) {
    auto* const next = list.Next(session);
    std::invoke(act, *session);
    session = next;
  }
}

void ForEach(Generation& generation, void (session::ClientSession::*act)()) {
  ForEach(generation.inspections, act);
  ForEach(generation.sessions, act);
}

bool Has(const config::Listener& listener, const config::FilterChain& chain) {
  for (size_t i = 0; i < listener.chain_count(); ++i) {
    if (config::SameChain(listener.chain(i), chain)) return true;
  }
  return false;
}

constexpr auto kNever = time::MonotonicTime::max();

bool Empty(const Generation& generation) {
  return generation.sessions.empty() && generation.inspections.empty();
}

}  // namespace

std::unique_ptr<Listener> Listener::Open(ListenerParts parts, std::shared_ptr<const config::Listener> config,
                                         Factories factories, int* error) {
  std::unique_ptr<Listener> listener(new Listener(parts));
  listener->socket_ = parts.loop.Listen(config->address, *listener, error);
  if (listener->socket_ == nullptr) return nullptr;
  listener->current_ = std::make_unique<Generation>();
  listener->current_->config = std::move(config);
  listener->current_->factories = std::move(factories);
  listener->current_->server_first = &listener->server_first_;
  listener->SetFastOpen();
  return listener;
}

Listener::~Listener() = default;

void Listener::Replace(std::shared_ptr<const config::Listener> config, Factories factories) {
  auto next = std::make_unique<Generation>();
  next->config = std::move(config);
  next->factories = std::move(factories);
  next->server_first = &server_first_;
  retired_.push_back(std::exchange(current_, std::move(next)));
  SetFastOpen();
  EndLater();
  for (const auto& generation : retired_) {
    std::vector<time::MonotonicTime>& ends = generation->ends;
    ends.resize(generation->config->chain_count(), kNever);
    for (size_t i = 0; i < ends.size(); ++i) {
      if (ends[i] == kNever && !Has(*current_->config, generation->config->chain(i)))
        ends[i] = parts_.turn.now() + parts_.drain_timeout;
    }
    const auto drain_others = [&ends](session::ClientSession& session) {
      if (ends[session.filter_chain] != kNever) session.Drain();
    };
    ForEach(generation->sessions, drain_others);
    ForEach(generation->inspections, [&](Inspection& inspection) {
      if (inspection.undecided()) {
        inspection.Move(*current_);
      } else {
        drain_others(inspection);
      }
    });
  }
  parts_.turn.Wake(*this);
}

// Bytes with the SYN may come twice. TLS stands that; a plain POST would run twice.
void Listener::SetFastOpen() {
  const config::Listener& config = *current_->config;
  bool wanted = config.chain_count() > 0;
  for (size_t i = 0; i < config.chain_count(); ++i) wanted = wanted && config.chain(i).tls != nullptr;
  if (socket_ != nullptr && wanted != fast_open_) socket_->FastOpen(wanted);
  fast_open_ = wanted;
}

void Listener::Retire() {
  end_ = parts_.turn.now() + parts_.drain_timeout;
  EndLater();
  Drain();
}

void Listener::Drain() {
  draining_ = true;
  // Those who wait in the accept queue were promised a connection: they are taken, answered once and told to
  // close.
  parts_.turn.Wake(*this);
  ForEach(*current_, &session::ClientSession::Drain);
  for (const auto& generation : retired_) ForEach(*generation, &session::ClientSession::Drain);
}

void Listener::Abort() {
  ForEach(*current_, &session::ClientSession::Abort);
  for (const auto& generation : retired_) ForEach(*generation, &session::ClientSession::Abort);
}

bool Listener::empty() const {
  if (draining_ && socket_ != nullptr) return false;  // its turn to look at the accept queue has not come
  if (current_ != nullptr && !Empty(*current_)) return false;
  for (const auto& generation : retired_) {
    if (!Empty(*generation)) return false;
  }
  return true;
}

void Listener::AddHolders(std::vector<stream::Holder*>& holders) {
  const auto add = [&holders](session::ClientSession& session) { holders.push_back(&session); };
  const auto add_all = [&add](Generation& generation) {
    ForEach(generation.inspections, add);
    ForEach(generation.sessions, add);
  };
  add_all(*current_);
  for (const auto& generation : retired_) add_all(*generation);
}

void Listener::OnReady(bool, bool) { parts_.turn.Wake(*this); }

stream::Progress Listener::Run() {
  DropEmptyGenerations();
  EndOverdue();
  if (socket_ == nullptr) return stream::Progress::kIdle;
  for (int accepts = 0; accepts < kAcceptsPerRun; ++accepts) {
    const uint64_t shed = socket_->shed();
    std::unique_ptr<net::Socket> socket = socket_->Accept();
    parts_.stats.client_connections_shed.Add(socket_->shed() - shed);
    if (socket == nullptr) {
      if (draining_) socket_.reset();
      return stream::Progress::kIdle;
    }
    if (RefusesClients()) continue;
    // One that drains keeps what it accepts: another worker's may be gone already.
    size_t worker = parts_.self;
    if (parts_.placement != nullptr)
      worker = draining_ ? parts_.placement->Keep(parts_.self) : parts_.placement->Choose(parts_.self);
    if (worker == parts_.self) {
      Begin(std::move(socket));
    } else {
      parts_.placement->Send(worker, current_->config->name, std::move(socket));
    }
  }
  parts_.turn.Wake(*this);
  return stream::Progress::kIdle;
}

bool Listener::RefusesClients() {
  if (parts_.pressure != nullptr && parts_.pressure->level() == Pressure::kRefuseConnections) {
    parts_.stats.shed_connections.Add();
    return true;
  }
  if (parts_.placement == nullptr || !parts_.placement->Full()) return false;
  parts_.stats.client_connections_refused.Add();
  return true;
}

void Listener::Begin(std::unique_ptr<net::Socket> socket) {
  parts_.stats.client_connections.Add();
  net::Socket& observed = *socket;
  auto* inspection = new Inspection(parts_, *current_, std::move(socket));
  current_->inspections.PushBack(inspection);
  if (!parts_.loop.Observe(observed, *inspection)) {
    parts_.stats.client_connections_shed.Add();
    delete inspection;  // the turn has not heard of it
    return;
  }
  parts_.turn.Wake(*inspection);  // it belongs to the turn
  if (draining_) ForEach(*current_, &session::ClientSession::Drain);
}

void Listener::EndLater() {
  const time::MonotonicTime end = parts_.turn.now() + parts_.drain_timeout;
  next_end_ = std::min(next_end_, end);
  if (!timer_.armed() || end < timer_.deadline()) parts_.turn.Arm(timer_, end);
}

// Revoked certificates and routes are not to be used for as long as a client likes.
void Listener::EndOverdue() {
  const time::MonotonicTime now = parts_.turn.now();
  if (now < next_end_) return;
  next_end_ = now < end_ ? end_ : kNever;
  if (now >= end_) Abort();
  for (const auto& generation : retired_) {
    const std::vector<time::MonotonicTime>& ends = generation->ends;
    const auto end_overdue = [&](session::ClientSession& session) {
      if (now >= ends[session.filter_chain]) session.Abort();
    };
    ForEach(generation->sessions, end_overdue);
    ForEach(generation->inspections, end_overdue);
    for (const time::MonotonicTime end : ends) {
      if (now < end) next_end_ = std::min(next_end_, end);
    }
  }
  if (next_end_ != kNever) parts_.turn.Arm(timer_, next_end_);
  parts_.turn.Wake(*this);  // behind those who end, to drop what is empty then
}

void Listener::DropEmptyGenerations() {
  std::erase_if(retired_, [](const auto& generation) { return Empty(*generation); });
}

}  // namespace pillion::listener
