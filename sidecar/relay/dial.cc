#include "sidecar/relay/dial.h"

#include <array>
#include <string>

#include "sidecar/net/proxy_protocol.h"
#include "sidecar/route/weights.h"
#include "sidecar/upstream/hash_table.h"

namespace pillion::relay {

Dial::Dial(const RelayParts& parts, const config::TcpServer& server, const net::Socket& client,
           stream::Runnable& owner)
    : parts_(parts),
      owner_(&owner),
      client_(client.peer()),
      destination_(client.local()),
      own_(client.own()),
      max_attempts_(server.max_connect_attempts),
      hash_client_(server.hash_client) {
  cluster_name_ =
      server.clusters[route::DrawCluster(server.clusters, server.total_weight, parts_.random.Next())].cluster;
  cluster_ = LocalRef<upstream::ClusterState>(parts_.clusters.Find(cluster_name_));
  if (cluster_) {
    hold_ = upstream::ConnectionHold::Take(cluster_->circuits(), 0, false);
    if (hold_) {
      Start();
      return;
    }
    state_ = State::kFailed;
    error_ = {ErrorKind::kOverflow, Side::kLocal, Outcome::kNotSent,
              "as many connections to the cluster are there as its circuit allows"};
  } else {
    state_ = State::kFailed;
    error_ = {ErrorKind::kNoCluster, Side::kLocal, Outcome::kNotSent, "the listener's cluster is not known"};
  }
}

Dial::~Dial() {
  DropEndpoint();
  if (socket_ != nullptr) parts_.stats.worker.upstream_connections_closed.Add();
}

void Dial::DropEndpoint() {
  if (endpoint_) --endpoint_->active_attempts;
  endpoint_.Reset();
}

void Dial::NoteFailure() {
  endpoint_->CouldNotConnect(parts_.turn.now());
  cluster_->Note(*endpoint_, upstream::AttemptResult::kLocalFailure, parts_.turn.now(), parts_.random);
}

upstream::EndpointState* Dial::Choose() {
  const time::MonotonicTime now = parts_.turn.now();
  const auto& original = cluster_->config().original_destination;
  if (!original) {
    upstream::PickQuery query{.tried = endpoint_ ? upstream::Tried(&endpoint_, 1) : upstream::Tried(),
                              .now = now,
                              .random = parts_.random};
    if (hash_client_ && cluster_->config().balancer.hashes()) query.hash = upstream::HashOf(client_.ip());
    upstream::EndpointState* const picked = cluster_->Pick(query);
    if (picked == nullptr)
      error_ = {ErrorKind::kNoEndpoint, Side::kLocal, Outcome::kNotSent,
                "the cluster has no usable endpoint"};
    return picked;
  }
  const std::optional<net::Address> address = original->Of(destination_);
  if (!address) {
    error_ = upstream::kNothingDialled;
    return nullptr;
  }
  upstream::EndpointState* const there = cluster_->AtDialled(*address, now);
  if (there == nullptr) error_ = upstream::kTooManyDialled;
  return there;
}

// The next attempt, and those after it that fail at once.
void Dial::Start() {
  while (state_ == State::kConnecting) {
    if (attempts_ == max_attempts_) {
      state_ = State::kFailed;
      return;
    }
    ++attempts_;
    LocalRef<upstream::EndpointState> next(Choose());
    if (!next) {
      DropEndpoint();
      state_ = State::kFailed;
      return;
    }
    DropEndpoint();
    endpoint_ = next;
    ++endpoint_->active_attempts;
    if (endpoint_->address() == own_) {
      state_ = State::kFailed;
      error_ = {ErrorKind::kLoop, Side::kLocal, Outcome::kNotSent,
                "the endpoint is the listener that the connection came in by"};
      return;
    }
    if (!hold_.MoveTo(endpoint_->connections(), false)) {
      error_ = {ErrorKind::kOverflow, Side::kLocal, Outcome::kNotSent,
                "as many connections to the endpoint are there as its circuit allows"};
      continue;  // another may have room
    }
    session::ConnectFailure failure;
    const config::Cluster& cluster = endpoint_->cluster();
    std::string introduction;
    if (cluster.proxy_protocol)
      net::AppendProxyHeader(*cluster.proxy_protocol, client_, destination_, introduction);
    socket_ = session::Dial(
        dial_parts(), {cluster, endpoint_->address(), session::Speaks::kBytes, introduction}, *this, failure);
    if (socket_ != nullptr) {
      parts_.stats.worker.upstream_connections_tcp.Add();
      deadline_ = parts_.turn.now() + endpoint_->cluster().connect_timeout;
      return;
    }
    NoteFailure();
    error_ = {failure.kind, Side::kUpstream, Outcome::kNotSent, failure.detail};
  }
}

void Dial::Fail(const session::ConnectFailure& failure) {
  parts_.stats.worker.upstream_connections_closed.Add();
  socket_.reset();
  NoteFailure();
  error_ = {failure.kind, Side::kUpstream, Outcome::kNotSent, failure.detail};
  Start();
}

Dial::State Dial::Advance() {
  while (state_ == State::kConnecting) {
    session::ConnectFailure failure;
    const bool late = parts_.turn.now() >= deadline_;
    const session::Connected connected =
        session::FinishConnect(dial_parts(), *socket_, session::Speaks::kBytes, late, failure);
    if (connected == session::Connected::kWait) break;
    if (connected == session::Connected::kYes) {
      state_ = State::kConnected;
      endpoint_->Reached(parts_.turn.now());
      cluster_->Note(*endpoint_, upstream::AttemptResult::kGood, parts_.turn.now(), parts_.random);
    } else {
      Fail(failure);
    }
  }
  if (state_ == State::kConnected && socket_ != nullptr && readable_ && !spoke_) Listen();
  return state_;
}

// Over TLS what comes may be TLS's own: only a read tells.
void Dial::Listen() {
  if (socket_->security() == nullptr) {
    spoke_ = true;
    return;
  }
  std::array<char, 2048> bytes;
  const net::IoResult result = socket_->Read(bytes);
  if (result.kind == net::IoResult::Kind::kBytes) words_.assign(bytes.data(), result.bytes);
  spoke_ = result.kind != net::IoResult::Kind::kWouldBlock;
  readable_ = false;
}

void Dial::OnReady(bool readable, bool) {
  readable_ = readable_ || readable;
  parts_.turn.Wake(*owner_);
}

}  // namespace pillion::relay
