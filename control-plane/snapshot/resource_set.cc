#include "control-plane/snapshot/resource_set.h"

#include <openssl/sha.h>

#include <utility>

#include "sidecar/base/serialize_in_order.h"

namespace pillion::control {
namespace {

constexpr std::array<std::string_view, 4> kTypeUrls = {
    "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
    "type.googleapis.com/envoy.config.listener.v3.Listener",
    "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"};

// 64 bits are enough to tell the versions of one name apart, and short enough to read aloud.
constexpr size_t kVersionBytes = 8;

std::string Digest(std::string_view bytes) {
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), hash);
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < kVersionBytes; ++i) {
    text += kHex[hash[i] >> 4];
    text += kHex[hash[i] & 0xf];
  }
  return text;
}

}  // namespace

std::string_view TypeUrl(ResourceType type) { return kTypeUrls[static_cast<size_t>(type)]; }

std::optional<ResourceType> TypeOfUrl(std::string_view url) {
  for (const ResourceType type : kResourceTypes) {
    if (TypeUrl(type) == url) return type;
  }
  return std::nullopt;
}

std::string VersionOf(const Resources& resources) {
  std::string all;
  for (const auto& [name, resource] : resources) all += name + '\0' + resource->version + '\0';
  return Digest(all);
}

void ResourceSet::Add(ResourceType type, std::string name, const google::protobuf::Message& message,
                      std::vector<Reference> references) {
  auto resource = std::make_shared<Resource>();
  resource->name = name;
  resource->body.set_type_url(std::string(TypeUrl(type)));
  resource->body.set_value(SerializeInOrder(message));
  resource->version = Digest(resource->body.value());
  resource->references = std::move(references);
  resources_[static_cast<size_t>(type)].insert_or_assign(std::move(name), std::move(resource));
}

void ResourceSet::Seal() {
  for (const ResourceType type : kResourceTypes) versions_[static_cast<size_t>(type)] = VersionOf(of(type));
}

std::vector<std::string> ResourceSet::DanglingReferences() const {
  std::vector<std::string> dangling;
  for (const ResourceType type : kResourceTypes) {
    for (const auto& [name, resource] : of(type)) {
      for (const Reference& reference : resource->references) {
        if (of(reference.type).contains(reference.name)) continue;
        dangling.push_back(name + " -> " + std::string(TypeUrl(reference.type)) + " " + reference.name);
      }
    }
  }
  return dangling;
}

}  // namespace pillion::control
