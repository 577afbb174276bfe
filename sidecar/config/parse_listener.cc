#include "sidecar/config/parse_listener.h"

#include <map>
#include <set>
#include <unordered_map>

#include "envoy/extensions/filters/listener/http_inspector/v3/http_inspector.pb.h"
#include "envoy/extensions/filters/listener/original_dst/v3/original_dst.pb.h"
#include "envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.pb.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"

namespace pillion::config {
namespace {

namespace core = envoy::config::core::v3;
namespace listener = envoy::config::listener::v3;
using envoy::extensions::filters::listener::http_inspector::v3::HttpInspector;
using envoy::extensions::filters::listener::original_dst::v3::OriginalDst;
using envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol;
using envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;

// More would be a window that HTTP/2 cannot express.
constexpr uint32_t kMaxStreamBufferBytes = 0x7fff'ffff;

Direction ReadDirection(core::TrafficDirection direction, const std::string& path, ConfigErrors& errors) {
  switch (direction) {
    case core::UNSPECIFIED:
      return Direction::kUnspecified;
    case core::INBOUND:
      return Direction::kInbound;
    case core::OUTBOUND:
      return Direction::kOutbound;
    default:
      Add(errors, path, "expected UNSPECIFIED, INBOUND or OUTBOUND");
      return Direction::kUnspecified;
  }
}

template <typename Proto>
bool Is(const google::protobuf::Any& any) {
  return TypeName(any) == Proto::descriptor()->full_name();
}

ProxyProtocolIn ReadProxyProtocol(const ProxyProtocol& proto, const std::string& path, ConfigErrors& errors) {
  ProxyProtocolIn result;
  result.may_be_missing = proto.allow_requests_without_proxy_protocol();
  for (int i = 0; i < proto.disallowed_versions_size(); ++i) {
    switch (proto.disallowed_versions(i)) {
      case core::ProxyProtocolConfig::V1:
        result.allow_v1 = false;
        break;
      case core::ProxyProtocolConfig::V2:
        result.allow_v2 = false;
        break;
      default:
        Add(errors, ElementPath(FieldPath(path, "disallowed_versions"), static_cast<size_t>(i)),
            "expected V1 or V2");
    }
  }
  if (!result.allow_v1 && !result.allow_v2)
    Add(errors, FieldPath(path, "disallowed_versions"), "expected one version to remain");
  return result;
}

void ReadListenerFilters(const listener::Listener& proto, const std::string& path, Listener& result,
                         ConfigErrors& errors) {
  const std::string filters_path = FieldPath(path, "listener_filters");
  std::set<std::string> types;
  for (int i = 0; i < proto.listener_filters_size(); ++i) {
    const listener::ListenerFilter& filter = proto.listener_filters(i);
    const std::string filter_path = ElementPath(filters_path, static_cast<size_t>(i));
    const std::string config_path = FieldPath(filter_path, "typed_config");
    RequireText(filter.name(), FieldPath(filter_path, "name"), errors);
    const auto& any = filter.typed_config();
    if (!types.insert(TypeName(any)).second) Add(errors, config_path, "expected each filter at most once");
    if (Is<TlsInspector>(any)) {
      Unpack<TlsInspector>(any, config_path, errors);
      result.inspect_tls = true;
    } else if (Is<HttpInspector>(any)) {
      Unpack<HttpInspector>(any, config_path, errors);
      result.inspect_http = true;
    } else if (Is<ProxyProtocol>(any)) {
      if (const auto proxy = Unpack<ProxyProtocol>(any, config_path, errors))
        result.proxy_protocol = ReadProxyProtocol(*proxy, config_path, errors);
    } else if (Is<OriginalDst>(any)) {
      Unpack<OriginalDst>(any, config_path, errors);
      if (result.proxy_protocol)
        Add(errors, config_path, "expected before the ProxyProtocol, whose header counts where it has one");
      result.original_destination = true;
    } else {
      Add(errors, config_path,
          "expected a TlsInspector, HttpInspector, ProxyProtocol or OriginalDst; others are not implemented");
    }
  }
  if (proto.has_listener_filters_timeout()) {
    result.inspection_timeout =
        ReadDuration(proto.listener_filters_timeout(), FieldPath(path, "listener_filters_timeout"), errors);
  }
  result.continue_after_timeout = proto.continue_on_listener_filters_timeout();
}

void ReadFilterChains(const listener::Listener& proto, const std::string& path, const ChainFrame& frame,
                      Listener& result, ConfigErrors& errors) {
  const std::string chains_path = FieldPath(path, "filter_chains");
  const std::string default_path = FieldPath(path, "default_filter_chain");
  if (proto.filter_chains().empty() && !proto.has_default_filter_chain())
    Add(errors, chains_path, "expected at least one, or a default_filter_chain");
  std::map<std::string, size_t> matches;
  for (int i = 0; i < proto.filter_chains_size(); ++i) {
    const listener::FilterChain& chain = proto.filter_chains(i);
    const std::string chain_path = ElementPath(chains_path, static_cast<size_t>(i));
    const auto [first, fresh] =
        matches.emplace(chain.filter_chain_match().SerializeAsString(), static_cast<size_t>(i));
    if (!fresh) {
      Add(errors, FieldPath(chain_path, "filter_chain_match"),
          "expected no two chains for the same connections; " + ElementPath(chains_path, first->second) +
              " has this match");
    }
    result.chains.push_back(ReadFilterChain(chain, chain_path, frame, result, errors));
  }
  if (!proto.has_default_filter_chain()) return;
  if (proto.default_filter_chain().has_filter_chain_match()) {
    Add(errors, FieldPath(default_path, "filter_chain_match"),
        "expected none: it is for what no other chain matches");
  }
  result.default_chain = ReadFilterChain(proto.default_filter_chain(), default_path, frame, result, errors);
}

// There may be thousands.
void KeepUnchanged(const Listener& previous, Listener& listener) {
  std::unordered_map<std::string_view, const FilterChain*> known;
  for (size_t i = 0; i < previous.chain_count(); ++i)
    known.emplace(previous.chain(i).source, &previous.chain(i));
  const auto keep = [&](FilterChain& chain) {
    if (const auto same = known.find(chain.source); same != known.end()) chain = *same->second;
  };
  for (FilterChain& chain : listener.chains) keep(chain);
  if (listener.default_chain) keep(*listener.default_chain);
}

}  // namespace

Listener ReadListener(const listener::Listener& proto, const std::string& path, Origin origin,
                      ConfigErrors& errors) {
  Listener result;
  const bool any_port = origin == Origin::kFile;
  result.address = ReadAddress(proto.address(), FieldPath(path, "address"), errors, any_port);
  result.name = proto.name();
  if (origin == Origin::kPushed) {
    RequireText(proto.name(), FieldPath(path, "name"), errors);
  } else if (result.name.empty() && proto.has_address()) {
    result.name = result.address.ToString();
  }
  result.direction = ReadDirection(proto.traffic_direction(), FieldPath(path, "traffic_direction"), errors);
  ChainFrame frame{origin, HttpServer().stream_buffer_bytes};
  if (proto.has_per_connection_buffer_limit_bytes()) {
    frame.stream_buffer_bytes =
        ReadNumber(proto.per_connection_buffer_limit_bytes(),
                   FieldPath(path, "per_connection_buffer_limit_bytes"), errors, 1, kMaxStreamBufferBytes);
  }
  ReadListenerFilters(proto, path, result, errors);
  ReadFilterChains(proto, path, frame, result, errors);
  return result;
}

Validated<Listener> ParseListener(const listener::Listener& proto, const std::string& version, Origin origin,
                                  const Listener* previous) {
  ConfigErrors errors;
  Listener result = ReadListener(proto, "", origin, errors);
  if (previous != nullptr) KeepUnchanged(*previous, result);
  result.version = version;
  return Finish(std::move(result), std::move(errors), proto);
}

}  // namespace pillion::config
