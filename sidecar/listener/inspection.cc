#include "sidecar/listener/inspection.h"

#include <algorithm>
#include <cerrno>
#include <span>
#include <string_view>
#include <utility>

#include "sidecar/listener/client_hello.h"
#include "sidecar/listener/http_sniff.h"
#include "sidecar/net/proxy_protocol.h"
#include "sidecar/relay/relay.h"
#include "sidecar/session/http1_client.h"
#include "sidecar/session/http2_client.h"
#include "sidecar/tls/socket.h"

namespace pillion::listener {
namespace {

// A client that waited in the accept queue when the drain began may not have said its first word yet.
constexpr auto kInspectionDrainTimeout = std::chrono::seconds(1);
// How long a client may say nothing before it is taken for one that waits for its server.
constexpr auto kSpeculateAfter = std::chrono::milliseconds(50);
constexpr size_t kReadBytes = 2048;
// The most that any stage looks at.
constexpr size_t kMaxInspectedBytes =
    std::max({net::kMaxProxyHeaderBytes, kMaxClientHelloBytes, kMaxSniffedBytes});

time::Duration IdleTimeout(const config::FilterChain& chain) {
  return chain.http != nullptr ? chain.http->http.idle_timeout : chain.tcp->idle_timeout;
}

}  // namespace

Inspection::Inspection(ListenerParts parts, Generation& generation, std::unique_ptr<net::Socket> socket)
    : parts_(parts),
      generation_(&generation),
      socket_(std::move(socket)),
      timer_(this),
      accepted_(parts.turn.now()) {
  const config::Listener& listener = *generation.config;
  if (listener.proxy_protocol) stage_ = Stage::kProxyHeader;
  facts_.direct_source = socket_->peer();
  facts_.source = socket_->peer();
  if (listener.original_destination) RestoreDestination();
  LearnDestination();
  deadline_ = FirstWordDeadline();
}

// As it was before the kernel redirected it to us; or as we have it, where the listener does not ask.
void Inspection::RestoreDestination() {
  const bool asks = generation_->config->original_destination;
  socket_->SetEnds(socket_->peer(), asks ? socket_->OriginalDestination() : socket_->own());
}

// Where there is nothing to choose, nothing need be known: the own address costs a system call.
void Inspection::LearnDestination() {
  const config::Listener& listener = *generation_->config;
  const bool one_for_all =
      listener.chain_count() == 1 && listener.chain(0).match == config::FilterChainMatch();
  if (!one_for_all) facts_.destination = socket_->local();
}

void Inspection::Move(Generation& generation) {
  const Generation& before = *std::exchange(generation_, &generation);
  generation.inspections.PushBack(this);
  const bool had_header = before.config->proxy_protocol.has_value();
  const bool has_header = generation.config->proxy_protocol.has_value();
  const bool told_by_header = had_header && stage_ == Stage::kChain;
  if (!told_by_header && before.config->original_destination != generation.config->original_destination) {
    RestoreDestination();
    dial_.reset();  // it went to the other one
  }
  if (had_header != has_header) stage_ = has_header ? Stage::kProxyHeader : Stage::kChain;
  // By the inspectors of the other one; what was read for them is still here.
  facts_.tls.reset();
  facts_.server_name.clear();
  facts_.protocols.reset();
  LearnDestination();
  if (dial_ != nullptr) {
    const auto& dialled_for = before.config->chain(dial_chain_).tcp;
    const config::Listener& listener = *generation.config;
    size_t i = 0;
    while (i < listener.chain_count() && listener.chain(i).tcp != dialled_for) ++i;
    dial_chain_ = i;
    if (i == listener.chain_count()) dial_.reset();
  }
  parts_.turn.Wake(*this);
}

Inspection::~Inspection() {
  if (socket_ != nullptr) parts_.stats.client_connections_closed.Add();  // it became no session
}

void Inspection::OnReady(bool readable, bool) {
  readable_ = readable_ || readable;
  parts_.turn.Wake(*this);
}

void Inspection::Drain() {
  if (draining_) return;
  draining_ = true;
  readable_ = true;  // something may have come that the loop has not told of yet
  // A handshake has a limit of its own, and was begun in good faith.
  if (stage_ != Stage::kHandshake)
    deadline_ = std::min(deadline_, parts_.turn.now() + kInspectionDrainTimeout);
  parts_.turn.Wake(*this);
}

void Inspection::Abort() {
  aborted_ = true;
  // Whoever would have been relayed must not think that he was, and that this is the answer.
  if (socket_ != nullptr && !bytes_.empty() && MayRelay()) socket_->ResetOnClose();
  parts_.turn.Wake(*this);
}

void Inspection::GiveUp(const RequestError&) {
  parts_.stats.shed_streams.Add();
  Abort();
}

time::MonotonicTime Inspection::After(time::Duration limit) const {
  return limit.count() > 0 ? parts_.turn.now() + limit : time::MonotonicTime::max();
}

// A client may connect ahead of its first request: until it speaks it is as idle as between two. While its
// chain is not known, as the most patient one has it.
time::MonotonicTime Inspection::FirstWordDeadline() const {
  const config::Listener& listener = *generation_->config;
  if (stage_ == Stage::kStart || stage_ == Stage::kHandshake)
    return After(IdleTimeout(listener.chain(filter_chain)));
  if (listener.continue_after_timeout) return After(listener.inspection_timeout);
  time::MonotonicTime latest = parts_.turn.now();
  for (size_t i = 0; i < listener.chain_count(); ++i)
    latest = std::max(latest, After(IdleTimeout(listener.chain(i))));
  return latest;
}

stream::Progress Inspection::Run() {
  if (aborted_) return stream::Progress::kDone;
  Step step = Advance();
  if (step == Step::kWait && ended_) step = OnNoMore();
  if (step == Step::kWait && parts_.turn.now() >= deadline_) step = OnLate();
  if (step == Step::kWait && !aborted_) Speculate();
  if (step != Step::kWait || aborted_ || socket_ == nullptr) return stream::Progress::kDone;
  ArmTimer();
  return stream::Progress::kIdle;
}

Inspection::Step Inspection::Advance() {
  while (true) {
    Step step = Step::kMore;
    switch (stage_) {
      case Stage::kProxyHeader:
        step = ReadProxyHeader();
        break;
      case Stage::kChain:
        step = ChooseChain();
        break;
      case Stage::kHandshake:
        step = ShakeHands();
        break;
      case Stage::kStart:
        step = Start();
        break;
    }
    if (step == Step::kMore || (step == Step::kWait && ReadSome())) continue;
    return step;
  }
}

bool Inspection::ReadSome() {
  if (!readable_ || ended_ || aborted_ || bytes_.size() >= kMaxInspectedBytes) return false;
  if (stage_ == Stage::kHandshake) return false;  // it reads for itself
  // The preface is all that the last stage needs: the rest is read by the session, into its own memory.
  const size_t room = stage_ == Stage::kStart ? kHttp2Preface.size() - bytes_.size() : kReadBytes;
  const size_t before = bytes_.size();
  bytes_.resize(before + room);
  const net::IoResult result = socket_->Read(std::span(bytes_).subspan(before));
  bytes_.resize(before + (result.kind == net::IoResult::Kind::kBytes ? result.bytes : 0));
  if (result.kind == net::IoResult::Kind::kWouldBlock) readable_ = false;
  if (result.kind == net::IoResult::Kind::kEnd) ended_ = true;
  if (result.kind == net::IoResult::Kind::kReset) aborted_ = true;
  if (before == 0 && !bytes_.empty()) {
    deadline_ = std::min(deadline_, After(generation_->config->inspection_timeout));
    speculate_at_ = time::MonotonicTime::max();
    if (FallbackChain()) generation_->server_first->ClientSpoke(facts_.destination.port());
  }
  return bytes_.size() > before;
}

Inspection::Step Inspection::ReadProxyHeader() {
  const config::ProxyProtocolIn options =
      generation_->config->proxy_protocol.value_or(config::ProxyProtocolIn());
  if (bytes_.empty()) return Step::kWait;
  const net::ProxyHeader header = net::ReadProxyHeader(bytes_);
  switch (header.kind) {
    case net::ProxyHeader::Kind::kMore:
      return Step::kWait;
    case net::ProxyHeader::Kind::kAbsent:
      if (!options.may_be_missing) {
        parts_.stats.client_connections_undetected.Add();
        return Step::kClose;
      }
      break;
    case net::ProxyHeader::Kind::kMalformed:
      parts_.stats.client_connections_undetected.Add();
      return Step::kClose;
    case net::ProxyHeader::Kind::kFound:
      if (!(header.version == 1 ? options.allow_v1 : options.allow_v2)) {
        parts_.stats.client_connections_undetected.Add();
        return Step::kClose;
      }
      bytes_.erase(0, header.size);
      if (header.source && header.destination) {
        socket_->SetEnds(*header.source, *header.destination);
        facts_.source = *header.source;
        facts_.destination = *header.destination;
      }
      break;
  }
  stage_ = Stage::kChain;
  if (bytes_.empty() && !draining_) deadline_ = FirstWordDeadline();  // the client itself has not spoken yet
  return Step::kMore;
}

Inspection::Step Inspection::ChooseChain() {
  const ChainChoice choice = listener::ChooseChain(*generation_->config, facts_);
  switch (choice.kind) {
    case ChainChoice::Kind::kChain:
      filter_chain = static_cast<uint32_t>(choice.chain);
      stage_ = Stage::kStart;
      if (bytes_.empty() && !draining_) deadline_ = FirstWordDeadline();
      return generation_->config->chain(filter_chain).tls == nullptr ? Step::kMore : BeginTls();
    case ChainChoice::Kind::kNone:
      parts_.stats.client_connections_unmatched.Add();
      return Step::kClose;
    case ChainChoice::Kind::kAskTls:
      if (bytes_.empty()) return Step::kWait;
      LearnTls();
      return facts_.tls ? Step::kMore : Step::kWait;
    case ChainChoice::Kind::kAskHttp:
      if (bytes_.empty()) return Step::kWait;
      LearnHttp();
      return facts_.protocols ? Step::kMore : Step::kWait;
  }
  return Step::kClose;
}

// The socket is TLS from here on: what was read of it goes in again at the bottom.
Inspection::Step Inspection::BeginTls() {
  auto credentials = generation_->config->chain(filter_chain).tls->credentials->Get();
  if (credentials == nullptr) {
    parts_.stats.client_tls.Failed(net::TlsFailure::kNotReady);
    return Step::kClose;
  }
  dial_.reset();
  socket_ = tls::Accept(std::move(socket_), std::move(credentials), parts_.tls, std::exchange(bytes_, {}));
  parts_.loop.Observe(*socket_, *this);
  stage_ = Stage::kHandshake;
  deadline_ = parts_.turn.now() + kTlsHandshakeTimeout;
  return Step::kMore;
}

Inspection::Step Inspection::ShakeHands() {
  const int error = socket_->ConnectError();
  if (error == EINPROGRESS) return Step::kWait;
  if (error != 0) {
    parts_.stats.client_tls.Failed(socket_->security()->failure);
    return Step::kClose;
  }
  parts_.stats.client_tls.Succeeded(*socket_->security());
  stage_ = Stage::kStart;
  readable_ = true;
  deadline_ = draining_ ? parts_.turn.now() + kInspectionDrainTimeout : FirstWordDeadline();
  return Step::kMore;
}

void Inspection::LearnTls() {
  ClientHello hello = ReadClientHello(bytes_);
  if (hello.kind == ClientHello::Kind::kMore) return;
  facts_.tls = hello.kind == ClientHello::Kind::kFound;
  if (!*facts_.tls) return;
  facts_.server_name = std::move(hello.server_name);
  facts_.protocols = std::move(hello.protocols);
}

void Inspection::LearnHttp() {
  switch (SniffHttp(bytes_)) {
    case HttpGuess::kMore:
      return;
    case HttpGuess::kNone:
      facts_.protocols.emplace();
      return;
    case HttpGuess::kHttp10:
      facts_.protocols = {"http/1.0"};
      return;
    case HttpGuess::kHttp11:
      facts_.protocols = {"http/1.1"};
      return;
    case HttpGuess::kHttp2:
      facts_.protocols = {"h2c"};
      return;
  }
}

// The chain for a connection that is neither TLS nor HTTP, when it is one that relays.
std::optional<size_t> Inspection::FallbackChain() const {
  if (stage_ != Stage::kChain) return std::nullopt;
  ConnectionFacts plain = facts_;
  plain.tls = plain.tls.value_or(false);
  if (!plain.protocols) plain.protocols.emplace();
  const ChainChoice choice = listener::ChooseChain(*generation_->config, plain);
  if (choice.kind != ChainChoice::Kind::kChain) return std::nullopt;
  const config::FilterChain& chain = generation_->config->chain(choice.chain);
  if (chain.tcp == nullptr || chain.tls != nullptr) return std::nullopt;
  return choice.chain;
}

bool Inspection::MayRelay() const {
  for (size_t i = 0; i < generation_->config->chain_count(); ++i) {
    if (generation_->config->chain(i).tcp != nullptr) return true;
  }
  return false;
}

// What could still become TLS or HTTP is taken for neither.
Inspection::Step Inspection::StopAsking() {
  facts_.tls = facts_.tls.value_or(false);
  if (!facts_.protocols) facts_.protocols.emplace();
  return Advance();
}

// The client has closed its side: it may still want to hear what the server says.
Inspection::Step Inspection::OnNoMore() {
  const Step step = stage_ == Stage::kChain ? StopAsking() : Step::kClose;
  return step == Step::kWait ? Step::kClose : step;  // of HTTP and TLS too little is here
}

Inspection::Step Inspection::OnLate() {
  if (draining_ || !generation_->config->continue_after_timeout || stage_ != Stage::kChain) {
    // Without a byte, it is idle. One that drains has only been let go early.
    if (!bytes_.empty()) {
      parts_.stats.client_connections_undetected.Add();
    } else if (!draining_ && stage_ != Stage::kHandshake) {
      parts_.stats.client_idle.Add();
    }
    if (stage_ == Stage::kHandshake) parts_.stats.client_tls.Failed(net::TlsFailure::kTimeout);
    return Step::kClose;
  }
  deadline_ = time::MonotonicTime::max();
  return StopAsking();
}

// The client has said nothing yet.
void Inspection::Speculate() {
  if (!bytes_.empty() || draining_) return;
  const std::optional<size_t> fallback = FallbackChain();
  if (!fallback) return;
  if (dial_ == nullptr) {
    const bool expected = generation_->server_first->Expected(facts_.destination.port());
    if (!expected && speculate_at_ == time::MonotonicTime::max()) speculate_at_ = accepted_ + kSpeculateAfter;
    if (!expected && parts_.turn.now() < speculate_at_) return;
    dial_chain_ = *fallback;
    dial_ = std::make_unique<relay::Dial>(parts_.relay, *generation_->config->chain(dial_chain_).tcp,
                                          *socket_, *this);
  }
  const relay::Dial::State state = dial_->Advance();
  const uint16_t port = facts_.destination.port();
  if (dial_->upstream_spoke()) generation_->server_first->ServerSpoke(port);
  // Who waits for a server that cannot be reached should know.
  const bool in_vain = state == relay::Dial::State::kFailed && generation_->server_first->Expected(port);
  if (!dial_->upstream_spoke() && !in_vain) return;
  filter_chain = static_cast<uint32_t>(dial_chain_);
  StartRelay();
}

Inspection::Step Inspection::Start() {
  const config::FilterChain& chain = generation_->config->chain(filter_chain);
  if (chain.tcp != nullptr) {
    const bool usable =
        dial_ != nullptr && dial_chain_ == filter_chain && dial_->state() != relay::Dial::State::kFailed;
    if (!usable) dial_.reset();
    StartRelay();
    return Step::kDone;
  }
  dial_.reset();
  const config::CodecType codec = chain.http->http.codec;
  if (codec != config::CodecType::kAuto) {
    BecomeSession(codec == config::CodecType::kHttp2);
    return Step::kDone;
  }
  if (const net::Security* security = socket_->security(); security != nullptr && !security->alpn.empty()) {
    BecomeSession(security->alpn == "h2");
    return Step::kDone;
  }
  const std::string_view seen = std::string_view(bytes_).substr(0, kHttp2Preface.size());
  if (seen.size() < kHttp2Preface.size() && kHttp2Preface.starts_with(seen)) {
    // The inspection's time is over, and what has begun may take as long as a head may.
    if (!seen.empty() && deadline_ == time::MonotonicTime::max())
      deadline_ = After(session::HeadTimeout(chain.http->http));
    return Step::kWait;
  }
  BecomeSession(seen == kHttp2Preface);
  return Step::kDone;
}

void Inspection::StartRelay() {
  net::Socket& observed = *socket_;
  auto* made = new relay::Relay(parts_.relay, generation_->config->chain(filter_chain).tcp,
                                std::move(socket_), bytes_, std::move(dial_));
  made->filter_chain = filter_chain;
  generation_->sessions.PushBack(made);
  parts_.loop.Observe(observed, *made);
  parts_.turn.Wake(*made);  // it belongs to the turn
}

void Inspection::BecomeSession(bool http2) {
  net::Socket& observed = *socket_;
  session::ClientSessionParts made{parts_.turn,
                                   parts_.memory,
                                   parts_.stats,
                                   *generation_->factories[filter_chain],
                                   generation_->config->chain(filter_chain).http,
                                   std::move(socket_),
                                   parts_.pressure};
  session::ClientSession* session = nullptr;
  if (http2) {
    session = new session::Http2ClientSession(std::move(made), bytes_);
  } else {
    session = new session::Http1ClientSession(std::move(made), bytes_);
  }
  session->filter_chain = filter_chain;
  generation_->sessions.PushBack(session);
  parts_.loop.Observe(observed, *session);
  parts_.turn.Wake(*session);  // it belongs to the turn
  if (draining_) session->Drain();
}

void Inspection::ArmTimer() {
  time::MonotonicTime due = deadline_;
  if (dial_ == nullptr && !draining_) due = std::min(due, speculate_at_);
  if (dial_ != nullptr && dial_->state() == relay::Dial::State::kConnecting)
    due = std::min(due, dial_->deadline());
  if (due != time::MonotonicTime::max() && (!timer_.armed() || due < timer_.deadline()))
    parts_.turn.Arm(timer_, due);
}

}  // namespace pillion::listener
