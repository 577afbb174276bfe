// The text of a file to objects: documents, Kubernetes Lists, kinds. Pure.
#ifndef PILLION_CONTROL_PLANE_SOURCE_FILE_DECODE_H_
#define PILLION_CONTROL_PLANE_SOURCE_FILE_DECODE_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "control-plane/model/objects.h"

namespace pillion::control {

struct DecodedFile {
  std::vector<std::shared_ptr<const Object>> objects;
  std::vector<Problem> problems;  // all of them; with one, the file as a whole must not be used
};

// `name` is what problems show.
DecodedFile DecodeFile(std::string_view text, const std::string& name);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SOURCE_FILE_DECODE_H_
