#include "sidecar/xds/ads_client.h"

#include <algorithm>
#include <utility>

#include "sidecar/base/json_writer.h"

namespace pillion::xds {
namespace {

using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;

constexpr std::string_view kMethod =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
constexpr int kInvalidArgument = 3;
// Envoy's cut; a server should not have to take more.
constexpr size_t kMaxErrorBytes = 4096;
// Of a type URL that we do not know, kept for people.
constexpr size_t kMaxTypeBytes = 256;

std::string Describe(const std::vector<Rejection>& rejected) {
  std::string text;
  for (const Rejection& rejection : rejected) {
    if (!text.empty()) text += "\n";
    text += (rejection.resource.empty() ? "a resource" : rejection.resource) + ": " + rejection.reason;
  }
  // Half a character would make the request unreadable, and the same NACK would end every stream to come.
  return ValidUtf8(text, kMaxErrorBytes);
}

}  // namespace

AdsClient::AdsClient(stream::Turn& turn, Random& random, const config::Bootstrap& bootstrap,
                     ResourceStore& store, Begin begin, std::function<void()> changed)
    : turn_(turn),
      random_(random),
      bootstrap_(bootstrap),
      store_(store),
      begin_(std::move(begin)),
      changed_(std::move(changed)),
      timer_(this) {}

stream::Progress AdsClient::Run() {
  if (call_ == nullptr) {
    if (turn_.now() < retry_at_) return stream::Progress::kIdle;
    Open();
    return stream::Progress::kIdle;
  }
  bool changed = false;
  for (const std::string& message : call_->Receive()) {
    Handle(message);
    changed = true;
    if (call_ == nullptr) break;
    // After each one: a name that one response drops and the next brings back has to be asked for anew.
    Subscribe();
    if (call_->unsent() > kMaxUnsentBytes) {
      Close("the control plane takes no requests");
      break;
    }
  }
  if (changed) changed_();
  if (call_ == nullptr) return stream::Progress::kIdle;
  if (const auto status = call_->status()) {
    Close("the stream ended: " + status->message + " (gRPC status " + std::to_string(status->code) + ")");
  }
  return stream::Progress::kIdle;
}

void AdsClient::Open() {
  ++streams_;
  node_sent_ = false;
  heard_ = false;
  opened_at_ = turn_.now();
  call_ = std::make_unique<stream::GrpcCall>(turn_, *this);
  const std::string cluster = bootstrap_.ads_cluster.value_or("");
  begin_(cluster, call_->Open(kMethod, cluster));
  for (TypeState& state : types_) {
    state.nonce.clear();  // a nonce never survives its stream; the version does
    state.asked = false;
    state.names.clear();
  }
  if (bootstrap_.dynamic_clusters) Ask(Type::kCluster, nullptr);
  if (bootstrap_.dynamic_listeners) Ask(Type::kListener, nullptr);
  Subscribe();
}

// Names that resources just taken over refer to, and names that are not referred to any more.
void AdsClient::Subscribe() {
  for (const Type type : {Type::kEndpoints, Type::kSecrets, Type::kRoutes}) {
    std::vector<std::string> wanted = store_.Wanted(type);
    if (wanted == Of(type).names) continue;
    Of(type).names = std::move(wanted);
    Ask(type, nullptr);
  }
}

void AdsClient::Ask(Type type, const std::string* error) {
  TypeState& state = Of(type);
  state.asked = true;
  DiscoveryRequest request;
  if (!node_sent_) request.mutable_node()->ParseFromString(bootstrap_.serialized_node);
  node_sent_ = true;
  request.set_type_url(std::string(UrlOf(type)));
  request.set_version_info(state.version);
  request.set_response_nonce(state.nonce);
  for (const std::string& name : state.names) request.add_resource_names(name);
  if (error != nullptr) {
    request.mutable_error_detail()->set_code(kInvalidArgument);
    request.mutable_error_detail()->set_message(*error);
  }
  call_->Send(request.SerializeAsString());
}

void AdsClient::Handle(const std::string& message) {
  DiscoveryResponse response;
  if (!response.ParseFromString(message)) return Close("a message that is not a DiscoveryResponse");
  heard_ = true;
  last_failure_.clear();
  Type type = Type::kCluster;
  if (!TypeOfUrl(response.type_url(), type) || !Of(type).asked) {
    ++ignored_;
    last_ignored_type_ = ValidUtf8(response.type_url(), kMaxTypeBytes);
    return;
  }
  TypeState& state = Of(type);
  state.nonce = response.nonce();
  const std::vector<Rejection> rejected = store_.Apply(response, type, turn_.now(), false);
  if (rejected.empty()) {
    state.version = response.version_info();
    state.last_error.clear();
    ++state.acks;
    // The subscriptions that this response changes are part of the ACK when they are of its own type.
    if (type != Type::kCluster && type != Type::kListener) state.names = store_.Wanted(type);
    Ask(type, nullptr);
    return;
  }
  state.last_error = Describe(rejected);
  ++state.nacks;
  Ask(type, &state.last_error);
}

void AdsClient::Close(std::string reason) {
  last_failure_ = std::move(reason);
  call_.reset();
  // A control plane that breaks off right after its first answer must not be asked ten times a second.
  if (heard_ && turn_.now() >= opened_at_ + kMaxBackoff) backoff_ = kMinBackoff;
  heard_ = false;
  // Jitter keeps a whole mesh from coming back in one moment.
  const auto half = static_cast<uint64_t>(backoff_.count() / 2);
  retry_at_ = turn_.now() + time::Duration(static_cast<int64_t>(half + random_.Next() % (half + 1)));
  backoff_ = std::min<time::Duration>(backoff_ * 2, kMaxBackoff);
  turn_.Arm(timer_, retry_at_);
}

}  // namespace pillion::xds
