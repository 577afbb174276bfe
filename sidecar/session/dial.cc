#include "sidecar/session/dial.h"

#include <cerrno>

#include "sidecar/net/introducing_socket.h"
#include "sidecar/tls/credentials.h"
#include "sidecar/tls/socket.h"

namespace pillion::session {
namespace {

constexpr std::string_view kHttp2Name = "h2";
constexpr std::string_view kHttp1Name = "http/1.1";

bool SpeaksOther(const net::Security& security, Speaks speaks) {
  if (security.alpn.empty() || speaks == Speaks::kBytes) return false;
  return speaks == Speaks::kHttp2 ? security.alpn != kHttp2Name : security.alpn == kHttp2Name;
}

std::string_view AlpnOf(Speaks speaks) {
  if (speaks == Speaks::kBytes) return {};
  return speaks == Speaks::kHttp2 ? kHttp2Name : kHttp1Name;
}

Connected Refuse(telemetry::WorkerStats& stats, net::TlsFailure why, std::string_view detail,
                 ConnectFailure& failure) {
  stats.upstream_connect_failures.Add();
  stats.upstream_tls.Failed(why);
  failure = {ErrorKind::kConnectFailed, detail};
  return Connected::kNo;
}

}  // namespace

std::unique_ptr<net::Socket> Dial(const DialParts& parts, DialOrder order, net::Observer& observer,
                                  ConnectFailure& failure) {
  std::shared_ptr<const tls::ClientCredentials> credentials;
  if (order.cluster.tls != nullptr) {
    credentials = order.cluster.tls->credentials->Get();
    if (credentials == nullptr) {
      parts.stats.upstream_connect_failures.Add();
      parts.stats.upstream_tls.Failed(net::TlsFailure::kNotReady);
      failure = {ErrorKind::kConnectFailed, "the cluster's certificates are not here, or cannot be used"};
      return nullptr;
    }
  }
  int error = 0;
  std::unique_ptr<net::Socket> socket = parts.loop.Connect(order.to, observer, &error);
  if (socket == nullptr) {
    parts.stats.upstream_connect_failures.Add();
    failure = {ErrorKind::kConnectFailed, "no descriptor, or no route to the endpoint"};
    return nullptr;
  }
  if (credentials == nullptr && order.introduction.empty()) return socket;
  if (!order.introduction.empty()) socket = net::Introduce(std::move(socket), std::move(order.introduction));
  if (credentials != nullptr) {
    socket =
        tls::Dial(std::move(socket), credentials, parts.tls, {.sni = {}, .only_alpn = AlpnOf(order.speaks)});
  }
  parts.loop.Observe(*socket, observer);
  return socket;
}

Connected FinishConnect(const DialParts& parts, net::Socket& socket, Speaks speaks, bool late,
                        ConnectFailure& failure) {
  const int error = socket.ConnectError();
  const net::Security* security = socket.security();
  if (error == EINPROGRESS) {
    if (!late) return Connected::kWait;
    parts.stats.upstream_connect_timeouts.Add();
    failure = {ErrorKind::kConnectTimeout, "the connection was not made within connect_timeout"};
    return Connected::kNo;
  }
  if (error != 0 && (security == nullptr || security->failure == net::TlsFailure::kNone ||
                     (security->failure == net::TlsFailure::kClosed && error == ECONNREFUSED))) {
    parts.stats.upstream_connect_failures.Add();
    failure = {ErrorKind::kConnectFailed, "the connection was refused or cannot be made"};
    return Connected::kNo;
  }
  if (error != 0) return Refuse(parts.stats, security->failure, security->detail, failure);
  if (security == nullptr) return Connected::kYes;
  if (SpeaksOther(*security, speaks)) {
    return Refuse(parts.stats, net::TlsFailure::kAlpn,
                  speaks == Speaks::kHttp2
                      ? "the peer chose another protocol than h2 (ALPN), and the cluster speaks HTTP/2"
                      : "the peer chose h2 (ALPN), and the cluster speaks HTTP/1.1",
                  failure);
  }
  parts.stats.upstream_tls.Succeeded(*security);
  return Connected::kYes;
}

}  // namespace pillion::session
