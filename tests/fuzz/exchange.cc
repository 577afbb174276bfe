// A whole sidecar between two byte streams: what a client sends and what an upstream sends, on simulated
// sockets and virtual time. Beside "does not crash": what the upstream gets is an unambiguous sequence of
// HTTP/1 requests, what an HTTP/1 client gets is one of responses, and when all is over nothing is left.
//
//   byte 0: bit 0 HTTP/2 upstream, bit 1 inbound for peers, bit 2 retries, bit 3 small buffers, bit 4 path
//   rules; then operations: a byte whose top bit is the side (0 client, 1 upstream) and whose rest is how
//   many bytes of the input that side sends; 0: the next byte says what else happens
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/base/check.h"
#include "sidecar/http1/parser.h"
#include "sidecar/http2/frames.h"
#include "sidecar/testing/sim_network.h"
#include "sidecar/worker/engine.h"
#include "tests/fuzz/input.h"

namespace pillion::fuzz {
namespace {

constexpr uint16_t kListenPort = 15001;
constexpr uint16_t kAppPort = 8080;

net::Address At(uint16_t port) { return net::Address::Parse("127.0.0.1", port).value_or(net::Address()); }

// One end of a connection that reads whatever comes.
class End final : public net::Observer {
 public:
  explicit End(std::unique_ptr<net::Socket> socket) : socket_(std::move(socket)) {}
  End(net::Loop& loop, uint16_t port) {
    int error = 0;
    socket_ = loop.Connect(At(port), *this, &error);
  }
  void OnReady(bool, bool) override {}
  net::Socket& socket() { return *socket_; }
  void Send(std::string_view bytes) {
    sent.append(bytes);
    waiting_.append(bytes);
  }
  void HalfClose() { half_closing_ = true; }
  void Pump() {
    std::array<char, 4096> into;
    while (true) {
      const net::IoResult got = socket_->Read(into);
      if (got.kind != net::IoResult::Kind::kBytes) break;
      received.append(into.data(), got.bytes);
    }
    while (!waiting_.empty()) {
      const iovec part = {waiting_.data(), waiting_.size()};
      const net::IoResult put = socket_->Write({&part, 1});
      if (put.kind != net::IoResult::Kind::kBytes) break;
      waiting_.erase(0, put.bytes);
    }
    if (half_closing_ && waiting_.empty()) socket_->ShutdownWrite();
    half_closing_ = half_closing_ && !waiting_.empty();
  }
  std::string sent;
  std::string received;

 private:
  std::unique_ptr<net::Socket> socket_;
  std::string waiting_;
  bool half_closing_ = false;
};

bool AsksForUpgrade(std::string_view text) {
  for (size_t i = 0; i + 7 <= text.size(); ++i) {
    std::string word(text.substr(i, 7));
    for (char& c : word) c = static_cast<char>(c | 0x20);
    if (word == "upgrade") return true;
  }
  return false;
}

http1::Limits Wide() {
  http1::Limits limits;
  limits.max_head_bytes = limits.max_line_bytes = limits.max_chunk_line_bytes = 1 << 24;
  limits.max_fields = 1000;
  return limits;
}

// The methods of the requests in `bytes`, up to the first that is not one.
std::vector<http::Method> Methods(std::string_view bytes) {
  using Event = http1::Parser::Event;
  std::vector<http::Method> methods;
  const http1::Limits limits;
  http1::Parser parser(http1::Role::kRequests, limits);
  while (true) {
    const http1::Parser::Step step = parser.Next(bytes);
    bytes.remove_prefix(step.consumed);
    if (step.event == Event::kHead) methods.push_back(parser.request().method);
    if (step.event == Event::kNeedMore || step.event == Event::kError) return methods;
  }
}

// Whole messages and perhaps the beginning of one more, and nothing that a strict reader would refuse.
void CheckStream(http1::Role role, std::string_view bytes, const std::vector<http::Method>& answered) {
  using Event = http1::Parser::Event;
  const http1::Limits limits = Wide();
  http1::Parser parser(role, limits);
  size_t next = 0;
  parser.ExpectResponseTo(answered.empty() ? http::Method::kGet : answered[0]);
  while (true) {
    const http1::Parser::Step step = parser.Next(bytes);
    bytes.remove_prefix(step.consumed);
    if (step.event == Event::kNeedMore) return;
    PILLION_CHECK(step.event != Event::kError);
    if (role == http1::Role::kRequests && step.event == Event::kHead) {
      PILLION_CHECK(!parser.request().headers.Has(http::Known::kPillionOrigin));
    }
    if (role == http1::Role::kResponses && step.event == Event::kEnd && parser.response().status / 100 != 1)
      ++next;
    parser.ExpectResponseTo(next < answered.size() ? answered[next] : http::Method::kGet);
  }
}

class World {
 public:
  explicit World(uint8_t mode)
      : mode_(mode),
        network_(clock_, 1,
                 {.late_ack_percent = 0,
                  .cut_percent = 0,
                  .max_delay = {},
                  .buffer_bytes = (mode & 8) != 0 ? size_t{512} : size_t{65536}}),
        loop_(network_.NewLoop()),
        peers_(network_.NewLoop()),
        engine_(std::make_unique<worker::Engine>(clock_, *loop_, registry_.NewShard(), 1)) {
    int error = 0;
    app_ = peers_->Listen(At(kAppPort), nobody_, &error);
    engine_->Apply(worker::Prepare(Snapshot(), nullptr));
    client_ = std::make_unique<End>(*peers_, kListenPort);
  }

  void Play(Input& input) {
    while (!input.empty()) {
      const uint8_t operation = input.Byte();
      const bool upstream = (operation & 0x80) != 0;
      if ((operation & 0x7f) == 0) {
        Happen(upstream, input.Byte());
      } else if (upstream) {
        app_says_.append(input.Take(operation & 0x7f));
      } else {
        client_->Send(input.Take(operation & 0x7f));
      }
      Settle(clock_.Now());
    }
    Settle(clock_.Now() + std::chrono::milliseconds(100));
  }

  // Everybody leaves; nothing may stay.
  void Finish() {
    CheckClient();
    client_.reset();
    Settle(clock_.Now() + std::chrono::seconds(1));
    for (const auto& end : app_ends_) CheckApp(*end);
    app_ends_.clear();
    engine_->Drain(true);
    engine_->Drain(false);
    Settle(clock_.Now() + std::chrono::seconds(30));
    engine_->Abort();
    Settle(clock_.Now() + std::chrono::seconds(30));
    const exchange::Environment& environment = engine_->environment();
    PILLION_CHECK(environment.active_inbound + environment.active_outbound == 0);
    engine_.reset();
    app_.reset();
    app_ends_.clear();
    Settle(clock_.Now() + std::chrono::seconds(1));
    PILLION_CHECK(network_.open_sockets() == 0);
  }

 private:
  class Nobody final : public net::Observer {
   public:
    void OnReady(bool, bool) override {}
  };

  bool http2_app() const { return (mode_ & 1) != 0; }

  std::shared_ptr<config::Snapshot> Snapshot() const {
    auto listener = std::make_shared<config::Listener>();
    listener->name = "l";
    listener->address = At(kListenPort);
    listener->direction = (mode_ & 2) != 0 ? config::Direction::kInbound : config::Direction::kOutbound;
    auto server = std::make_shared<config::HttpServer>();
    server->name = listener->name;
    server->direction = listener->direction;
    if ((mode_ & 8) != 0) server->stream_buffer_bytes = 100;
    server->http.accept_peer_headers = (mode_ & 2) != 0;
    server->http.allow_explain = true;
    listener->chains = {{.name = "", .match = {}, .http = server, .tcp = nullptr}};
    auto cluster = std::make_shared<config::Cluster>();
    cluster->name = "app";
    cluster->protocol = http2_app() ? config::UpstreamProtocol::kHttp2 : config::UpstreamProtocol::kHttp1;
    auto assignment = std::make_shared<config::Assignment>();
    config::Endpoint endpoint;
    endpoint.address = At(kAppPort);
    assignment->endpoints.push_back(endpoint);
    config::Route route;
    route.name = "all";
    route.match.text = "/";
    route.clusters = {{"app", 1}};
    route.total_weight = 1;
    if ((mode_ & 4) != 0) {
      config::RetryPolicy retry;
      retry.max_retries = 2;
      route.retry = retry;
    }
    auto table = std::make_shared<config::RouteTable>();
    table->name = "r";
    table->virtual_hosts.push_back({"all", {"*"}, {route}});
    auto snapshot = std::make_shared<config::Snapshot>();
    snapshot->generation = 1;
    snapshot->listeners["l"] = {listener, {table}};
    snapshot->clusters["app"] = {cluster, assignment};
    return snapshot;
  }

  void Happen(bool upstream, uint8_t what) {
    End* const app = app_ends_.empty() || !speaking_ ? nullptr : app_ends_.back().get();
    switch (what % 5) {
      case 0:
        Settle(clock_.Now() + std::chrono::milliseconds(10));
        return;
      case 1:
        Settle(clock_.Now() + std::chrono::minutes(6));
        return;
      case 2:
        if (!upstream) client_->HalfClose();
        if (upstream && app != nullptr) app->HalfClose();
        return;
      case 3:
        if (!upstream) {
          CheckClient();
          client_ = std::make_unique<End>(*peers_, kListenPort);
        } else if (app != nullptr) {
          CloseApp();
        }
        return;
      default:
        testing::SimNetwork::ResetOnClose(upstream && app != nullptr ? app->socket() : client_->socket());
        return;
    }
  }

  void CloseApp() {
    CheckApp(*app_ends_.back());
    app_ends_.pop_back();
    speaking_ = false;
  }

  // Runs everything until `end`.
  void Settle(time::MonotonicTime end) {
    while (true) {
      network_.Deliver();
      for (int rounds = 0; engine_ != nullptr && rounds < 10'000 && engine_->RunTurn(); ++rounds) {
      }
      if (app_ != nullptr) Accept();
      if (client_ != nullptr) client_->Pump();
      for (const auto& one : app_ends_) one->Pump();
      auto next = network_.NextEvent();
      if (engine_ != nullptr) {
        if (engine_->turn().has_work()) continue;
        next = std::min(next, engine_->turn().NextDeadline());
      }
      if (next > end) break;
      clock_.AdvanceTo(next);
    }
    clock_.AdvanceTo(end);
  }

  void Accept() {
    while (auto socket = app_->Accept()) {
      app_ends_.push_back(std::make_unique<End>(std::move(socket)));
      peers_->Observe(app_ends_.back()->socket(), *app_ends_.back());
      if (http2_app()) app_ends_.back()->Send(http2::Raw(http2::kSettings, 0, 0, ""));
      speaking_ = true;
    }
    if (!speaking_ || app_says_.empty()) return;
    app_ends_.back()->Send(app_says_);
    app_says_.clear();
  }

  void CheckClient() {
    const bool http2 = client_->sent.starts_with("PRI ");
    if (http2 || AsksForUpgrade(client_->sent)) return;
    CheckStream(http1::Role::kResponses, client_->received, Methods(client_->sent));
  }
  void CheckApp(const End& end) const {
    if (http2_app() || AsksForUpgrade(end.received)) return;
    CheckStream(http1::Role::kRequests, end.received, {});
  }

  const uint8_t mode_;
  testing::VirtualClock clock_;
  testing::SimNetwork network_;
  telemetry::Registry registry_;
  std::unique_ptr<net::Loop> loop_;
  std::unique_ptr<net::Loop> peers_;
  Nobody nobody_;
  std::unique_ptr<worker::Engine> engine_;
  std::unique_ptr<net::ListenSocket> app_;
  std::unique_ptr<End> client_;
  std::vector<std::unique_ptr<End>> app_ends_;
  std::string app_says_;
  bool speaking_ = false;  // the last of app_ends_ is the one that app_says_ goes to
};

}  // namespace
}  // namespace pillion::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pillion::fuzz::Input input(data, size);
  pillion::fuzz::World world(input.Byte());
  world.Play(input);
  world.Finish();
  return 0;
}
