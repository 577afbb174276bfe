// The bootstrap file of a sidecar: read, parsed, validated.
#ifndef PILLION_SIDECAR_CONFIG_LOAD_BOOTSTRAP_H_
#define PILLION_SIDECAR_CONFIG_LOAD_BOOTSTRAP_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/config/bootstrap.h"

namespace pillion::config {

struct [[nodiscard]] LoadedBootstrap {
  std::shared_ptr<const Bootstrap> bootstrap;  // null exactly when there are errors
  // For the terminal, in file order: "file:line:column: field.path: what was expected".
  std::vector<std::string> errors;
};

// Opens the file: at start-up and for `validate` only, it blocks.
LoadedBootstrap LoadBootstrap(const std::string& path);

// `file` is the name to show.
LoadedBootstrap ParseBootstrapText(std::string_view text, const std::string& file);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_LOAD_BOOTSTRAP_H_
