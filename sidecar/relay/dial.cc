#include "sidecar/relay/dial.h"

#include <cerrno>

#include "sidecar/route/route.h"

namespace pillion::relay {

Dial::Dial(const RelayParts& parts, const config::TcpServer& server, stream::Runnable& owner)
    : parts_(parts), owner_(owner), max_attempts_(server.max_connect_attempts) {
  cluster_name_ = route::PickCluster(server.clusters, server.total_weight, parts_.random.Next()).cluster;
  cluster_ = LocalRef<upstream::ClusterState>(parts_.clusters.Find(cluster_name_));
  if (cluster_) {
    Start();
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

// The next attempt, and those after it that fail at once.
void Dial::Start() {
  while (state_ == State::kConnecting) {
    if (attempts_ == max_attempts_) {
      state_ = State::kFailed;
      return;
    }
    ++attempts_;
    LocalRef<upstream::EndpointState> next(cluster_->Pick(endpoint_.get()));
    if (!next) {
      DropEndpoint();
      state_ = State::kFailed;
      error_ = {ErrorKind::kNoEndpoint, Side::kLocal, Outcome::kNotSent,
                "the cluster has no usable endpoint"};
      return;
    }
    DropEndpoint();
    endpoint_ = next;
    ++endpoint_->active_attempts;
    int error = 0;
    socket_ = parts_.loop.Connect(endpoint_->address(), *this, &error);
    if (socket_ != nullptr) {
      parts_.stats.worker.upstream_connections_tcp.Add();
      deadline_ = parts_.turn.now() + endpoint_->cluster().connect_timeout;
      return;
    }
    parts_.stats.worker.upstream_connect_failures.Add();
    error_ = {ErrorKind::kConnectFailed, Side::kUpstream, Outcome::kNotSent,
              "no descriptor, or no route to the endpoint"};
  }
}

void Dial::Fail(ErrorKind kind, std::string_view detail) {
  auto& stats = parts_.stats.worker;
  (kind == ErrorKind::kConnectTimeout ? stats.upstream_connect_timeouts : stats.upstream_connect_failures)
      .Add();
  stats.upstream_connections_closed.Add();
  socket_.reset();
  error_ = {kind, Side::kUpstream, Outcome::kNotSent, detail};
  Start();
}

Dial::State Dial::Advance() {
  while (state_ == State::kConnecting) {
    const int error = socket_->ConnectError();
    if (error == 0) {
      state_ = State::kConnected;
    } else if (error != EINPROGRESS) {
      Fail(ErrorKind::kConnectFailed, "the connection was refused or cannot be made");
    } else if (parts_.turn.now() >= deadline_) {
      Fail(ErrorKind::kConnectTimeout, "the connection was not made within connect_timeout");
    } else {
      break;
    }
  }
  return state_;
}

void Dial::OnReady(bool readable, bool) {
  readable_ = readable_ || readable;
  parts_.turn.Wake(owner_);
}

}  // namespace pillion::relay
