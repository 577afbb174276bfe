#include "control-plane/source/file/decode.h"

#include <iterator>
#include <optional>
#include <utility>

#include "control-plane/model/read.h"

namespace pillion::control {
namespace {

using config::Document;

template <typename Message>
void DecodeObject(const Document& document, const std::string& file, DecodedFile& decoded) {
  Message message;
  config::Positions positions;
  std::vector<Problem> errors = document.Fill(message, &positions);
  for (Problem& error : errors) {
    error.path = ShownPath(*Message::descriptor(), error.path);
    decoded.problems.push_back(std::move(error));
  }
  // What was not understood would be complained about twice.
  if (!errors.empty()) return;
  const auto origin = std::make_shared<const Origin>(file, *Message::descriptor(), std::move(positions));
  Report report(origin, decoded.problems);
  if (auto object = Read(message, report)) {
    decoded.objects.push_back(std::make_shared<const Object>(*std::move(object)));
  }
}

struct Kind {
  std::string_view api_version;
  std::string_view kind;
  void (*decode)(const Document&, const std::string&, DecodedFile&);
};

constexpr Kind kKinds[] = {
    {"v1", "Service", DecodeObject<kube::core::v1::Service>},
    {"discovery.k8s.io/v1", "EndpointSlice", DecodeObject<kube::discovery::v1::EndpointSlice>},
    {"gateway.networking.k8s.io/v1", "HTTPRoute", DecodeObject<kube::gateway::v1::HTTPRoute>},
    {"gateway.networking.k8s.io/v1", "GRPCRoute", DecodeObject<kube::gateway::v1::GRPCRoute>},
    {"gateway.networking.k8s.io/v1", "ReferenceGrant", DecodeObject<kube::gateway::v1::ReferenceGrant>},
    {"gateway.networking.k8s.io/v1beta1", "ReferenceGrant", DecodeObject<kube::gateway::v1::ReferenceGrant>},
    {"policy.pillion.dev/v1alpha1", "RetryPolicy", DecodeObject<kube::policy::v1alpha1::RetryPolicy>},
    {"policy.pillion.dev/v1alpha1", "LoadBalancingPolicy",
     DecodeObject<kube::policy::v1alpha1::LoadBalancingPolicy>},
    {"policy.pillion.dev/v1alpha1", "CircuitBreakerPolicy",
     DecodeObject<kube::policy::v1alpha1::CircuitBreakerPolicy>},
    {"policy.pillion.dev/v1alpha1", "HealthPolicy", DecodeObject<kube::policy::v1alpha1::HealthPolicy>},
    {"policy.pillion.dev/v1alpha1", "TracingPolicy", DecodeObject<kube::policy::v1alpha1::TracingPolicy>},
    {"policy.pillion.dev/v1alpha1", "FaultPolicy", DecodeObject<kube::policy::v1alpha1::FaultPolicy>},
    {"policy.pillion.dev/v1alpha1", "RateLimitPolicy", DecodeObject<kube::policy::v1alpha1::RateLimitPolicy>},
    {"policy.pillion.dev/v1alpha1", "IdempotencyPolicy",
     DecodeObject<kube::policy::v1alpha1::IdempotencyPolicy>},
    {"policy.pillion.dev/v1alpha1", "XdsOverride", DecodeObject<kube::policy::v1alpha1::XdsOverride>},
    {"policy.pillion.dev/v1alpha1", "DirectResponse", DecodeObject<kube::policy::v1alpha1::DirectResponse>},
};

std::string KnownKinds() {
  std::string known;
  for (const Kind& kind : kKinds) {
    known.append(known.empty() ? "" : ", ").append(kind.api_version).append(" ").append(kind.kind);
  }
  return known;
}

void DecodeDocument(const Document& document, const std::string& file, DecodedFile& decoded, bool in_list);

// `kubectl get -o yaml` prints several objects as one List. Its own metadata says nothing.
void DecodeList(const Document& document, const std::string& file, DecodedFile& decoded) {
  for (const auto& entry : document.root()) {
    if (!entry.first.IsScalar() || entry.first.Scalar() != "items") continue;
    if (entry.second.IsNull()) return;
    if (!entry.second.IsSequence()) {
      decoded.problems.push_back(document.ErrorAt("items", "expected a list"));
      return;
    }
    for (const auto& item : entry.second) DecodeDocument(document.Part(item), file, decoded, true);
    return;
  }
  decoded.problems.push_back(document.ErrorAt("kind", "expected items beside it"));
}

void DecodeDocument(const Document& document, const std::string& file, DecodedFile& decoded, bool in_list) {
  if (!document.root().IsMap()) {
    decoded.problems.push_back(document.ErrorAt("", "expected an object with apiVersion and kind"));
    return;
  }
  const std::optional<std::string> api_version = document.Text("apiVersion");
  const std::optional<std::string> kind = document.Text("kind");
  if (!api_version.has_value()) decoded.problems.push_back(document.ErrorAt("apiVersion", "expected"));
  if (!kind.has_value()) decoded.problems.push_back(document.ErrorAt("kind", "expected"));
  if (!api_version.has_value() || !kind.has_value()) return;
  for (const Kind& known : kKinds) {
    if (known.kind == *kind && known.api_version == *api_version) {
      known.decode(document, file, decoded);
      return;
    }
    // `ServiceList` is the typed form of `List`.
    const bool typed_list = known.api_version == *api_version && *kind == std::string(known.kind) + "List";
    if (!in_list && (typed_list || (*api_version == "v1" && *kind == "List"))) {
      DecodeList(document, file, decoded);
      return;
    }
  }
  for (const Kind& known : kKinds) {
    if (known.kind != *kind) continue;
    decoded.problems.push_back(
        document.ErrorAt("apiVersion", "expected " + std::string(known.api_version) + " for " + *kind));
    return;
  }
  decoded.problems.push_back(document.ErrorAt("kind", "expected one of " + KnownKinds()));
}

}  // namespace

DecodedFile DecodeFile(std::string_view text, const std::string& name) {
  DecodedFile decoded;
  config::ParsedDocuments parsed = config::ParseDocuments(text, name);
  decoded.problems.assign(std::make_move_iterator(parsed.errors.begin()),
                          std::make_move_iterator(parsed.errors.end()));
  for (const Document& document : parsed.documents) DecodeDocument(document, name, decoded, false);
  return decoded;
}

}  // namespace pillion::control
