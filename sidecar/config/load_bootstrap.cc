#include "sidecar/config/load_bootstrap.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <tuple>

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "sidecar/config/document/document.h"
#include "sidecar/config/document/limits.h"
#include "sidecar/config/parse_bootstrap.h"

namespace pillion::config {

LoadedBootstrap ParseBootstrapText(std::string_view text, const std::string& file) {
  envoy::config::bootstrap::v3::Bootstrap proto;
  Positions positions;
  std::vector<DocumentError> errors = LoadDocument(text, file, proto, &positions);
  // Validated also when the document has errors, so that one run shows all. What it misses then may only be
  // missing because it was wrong, so nothing is said twice about one field.
  Validated<Bootstrap> validated = ParseBootstrap(proto);
  const size_t in_document = errors.size();
  for (ConfigErrors* list : {&validated.errors, &validated.unsupported}) {
    for (ConfigError& error : *list) {
      const bool said = std::any_of(errors.begin(), errors.begin() + static_cast<ptrdiff_t>(in_document),
                                    [&](const DocumentError& other) {
                                      return other.path.empty() || other.path.starts_with(error.path) ||
                                             error.path.starts_with(other.path);
                                    });
      if (said) continue;
      errors.push_back({.file = file,
                        .position = positions.Of(error.path),
                        .path = std::move(error.path),
                        .message = std::move(error.message)});
    }
  }
  std::ranges::sort(errors, {}, [](const DocumentError& error) {
    return std::tuple(error.position.line, error.position.column, error.path, error.message);
  });
  LoadedBootstrap loaded;
  if (errors.empty()) loaded.bootstrap = std::move(validated.value);
  for (const DocumentError& error : errors) loaded.errors.push_back(error.ToString());
  return loaded;
}

LoadedBootstrap LoadBootstrap(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return {.bootstrap = nullptr, .errors = {path + ": cannot be opened: " + std::strerror(errno)}};
  std::string text;
  char block[64 * 1024];
  // One block more than the loader takes, so that it sees that there was too much.
  while (text.size() <= kMaxDocumentBytes && (file.read(block, sizeof block), file.gcount() > 0)) {
    text.append(block, static_cast<size_t>(file.gcount()));
  }
  if (file.bad()) return {.bootstrap = nullptr, .errors = {path + ": cannot be read"}};
  return ParseBootstrapText(text, path);
}

}  // namespace pillion::config
