// Where an object was written, so that what is wrong with it can be shown at its line.
#ifndef PILLION_CONTROL_PLANE_MODEL_ORIGIN_H_
#define PILLION_CONTROL_PLANE_MODEL_ORIGIN_H_

#include <google/protobuf/descriptor.h>

#include <memory>
#include <string>
#include <utility>

#include "sidecar/config/document/document.h"

namespace pillion::control {

// `file:line:column: field.path: what was expected`, the one form of all errors in files.
using Problem = config::DocumentError;

// `path` has proto field names, as config/field_path.h makes them; users know the names of the YAML:
// target_refs becomes targetRefs, cluster_ip becomes clusterIP.
std::string ShownPath(const google::protobuf::Descriptor& type, std::string_view path);

// Immutable; shared by what was made of one object.
class Origin {
 public:
  // `type` must outlive it (generated ones do).
  Origin(std::string file, const google::protobuf::Descriptor& type, config::Positions positions)
      : file_(std::move(file)), type_(type), positions_(std::move(positions)) {}

  const std::string& file() const { return file_; }
  Problem At(const std::string& path, std::string message) const {
    return {.file = file_,
            .position = positions_.Of(path),
            .path = ShownPath(type_, path),
            .message = std::move(message)};
  }

 private:
  std::string file_;
  const google::protobuf::Descriptor& type_;
  config::Positions positions_;
};

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_MODEL_ORIGIN_H_
