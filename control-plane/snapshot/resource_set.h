// What one node is to hold: resources by type and name, each with a version that is a hash of its content.
// Equal content has equal versions in every run of every control plane, so a restart changes nothing for a
// sidecar.
#ifndef PILLION_CONTROL_PLANE_SNAPSHOT_RESOURCE_SET_H_
#define PILLION_CONTROL_PLANE_SNAPSHOT_RESOURCE_SET_H_

#include <google/protobuf/any.pb.h>
#include <google/protobuf/message.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pillion::control {

// In the order in which changes are pushed (specs/xds.md 2.4): what is named comes before what names it.
enum class ResourceType : uint8_t { kCluster, kEndpoints, kListener, kRoutes };
inline constexpr std::array<ResourceType, 4> kResourceTypes = {
    ResourceType::kCluster, ResourceType::kEndpoints, ResourceType::kListener, ResourceType::kRoutes};

std::string_view TypeUrl(ResourceType type);
std::optional<ResourceType> TypeOfUrl(std::string_view url);
// A response of these types is the full state: what is missing from it is deleted (xds.md 2.2, client rule
// 4).
inline bool IsFullState(ResourceType type) {
  return type == ResourceType::kCluster || type == ResourceType::kListener;
}

struct Reference {
  ResourceType type;
  std::string name;
  bool operator==(const Reference&) const = default;
};

struct Resource {
  std::string name;
  std::string version;
  google::protobuf::Any body;
  std::vector<Reference> references;
};

using Resources = std::map<std::string, std::shared_ptr<const Resource>, std::less<>>;

// Of names and versions.
std::string VersionOf(const Resources& resources);

// Filled by one owner, then shared as const.
class ResourceSet {
 public:
  // `name` is the one that the message itself carries. A second resource of that name replaces the first.
  void Add(ResourceType type, std::string name, const google::protobuf::Message& message,
           std::vector<Reference> references = {});
  // After the last Add.
  void Seal();

  const Resources& of(ResourceType type) const { return resources_[static_cast<size_t>(type)]; }
  const std::string& version(ResourceType type) const { return versions_[static_cast<size_t>(type)]; }

  // References to what is not here, as "type name -> type name". Empty in every set that may be sent.
  std::vector<std::string> DanglingReferences() const;

 private:
  std::array<Resources, 4> resources_;
  std::array<std::string, 4> versions_;
};

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SNAPSHOT_RESOURCE_SET_H_
