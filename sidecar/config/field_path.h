// Where in a configuration object something is: "clusters[2].load_assignment.endpoints[0]" with proto field
// names; a map entry is `field["key"]`, what is inside an Any follows its field without a mark of its own.
// Everyone who reports an error builds its path here, so that a path found by validation can be looked up in
// the positions that the document loader recorded.
#ifndef PILLION_SIDECAR_CONFIG_FIELD_PATH_H_
#define PILLION_SIDECAR_CONFIG_FIELD_PATH_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace pillion::config {

// "" is the path of the object itself.
inline std::string FieldPath(const std::string& parent, std::string_view field) {
  if (parent.empty()) return std::string(field);
  std::string path;
  path.reserve(parent.size() + 1 + field.size());
  path.append(parent).append(1, '.').append(field);
  return path;
}

inline std::string ElementPath(const std::string& parent, size_t index) {
  return parent + "[" + std::to_string(index) + "]";
}

inline std::string EntryPath(const std::string& parent, std::string_view key) {
  std::string path = parent;
  path.append("[\"").append(key).append("\"]");
  return path;
}

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_FIELD_PATH_H_
