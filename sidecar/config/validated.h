// What validation of a proto answers.
#ifndef PILLION_SIDECAR_CONFIG_VALIDATED_H_
#define PILLION_SIDECAR_CONFIG_VALIDATED_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/config/bootstrap.h"

namespace pillion::config {

using ConfigErrors = std::vector<ConfigError>;

template <typename T>
struct [[nodiscard]] Validated {
  std::shared_ptr<const T> value;  // null exactly when there are errors
  ConfigErrors errors;             // all of them
  // Fields that the message carries and our protos do not have. The caller refuses the object for them too,
  // unless the operator chose otherwise (--unsupported-fields=warn).
  ConfigErrors unsupported;

  bool ok() const { return value != nullptr && unsupported.empty(); }
};

// Where a proto came from. It decides what can be checked: a file is whole, what is pushed comes piece by
// piece.
enum class Origin : uint8_t { kFile, kPushed };

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_VALIDATED_H_
