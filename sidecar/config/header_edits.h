// What a configuration writes into the fields of messages.
#ifndef PILLION_SIDECAR_CONFIG_HEADER_EDITS_H_
#define PILLION_SIDECAR_CONFIG_HEADER_EDITS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace pillion::config {

// Text with values of a request in it.
struct TextFormat {
  enum class Kind : uint8_t {
    kText,
    kRequestField,   // `text` is its name, lower case; ":method" and the like too
    kResponseField,  // likewise
    kClient,         // address and port
    kClientWithoutPort,
    kProtocol,  // "HTTP/1.1"
    kRoute,
    kCluster,
  };
  struct Piece {
    Kind kind = Kind::kText;
    std::string text = "";
    std::string otherwise = "";       // the field to take when that one is not there or empty
    size_t most = std::string::npos;  // bytes
  };
  std::vector<Piece> pieces = {};
};

struct HeaderEdit {
  enum class Action : uint8_t { kRemove, kAppend, kAddIfAbsent, kOverwrite, kOverwriteIfExists };
  Action action = Action::kRemove;
  std::string name;  // lower case
  TextFormat value;
  bool keep_empty = false;
};

// In the order in which they are made.
using HeaderEdits = std::vector<HeaderEdit>;

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_HEADER_EDITS_H_
