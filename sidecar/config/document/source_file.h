// The text of a file as the YAML parser gets it, and the way back from its marks to the user's columns.
#ifndef PILLION_SIDECAR_CONFIG_DOCUMENT_SOURCE_FILE_H_
#define PILLION_SIDECAR_CONFIG_DOCUMENT_SOURCE_FILE_H_

#include <yaml-cpp/mark.h>

#include <string>
#include <string_view>
#include <vector>

#include "sidecar/config/document/document.h"

namespace pillion::config {

// JSON spells a character beyond U+FFFF as two \u escapes, a surrogate pair; YAML has one \U escape for it,
// and yaml-cpp refuses the pair. In a JSON document each pair is rewritten, which moves what follows on the
// line.
struct Shift {
  int line = 0;    // from 0
  int column = 0;  // from 0, in the rewritten text: from here on
  int by = 0;      // columns were lost
};

struct SourceFile {
  std::string name;
  std::string text;  // rewritten
  std::vector<Shift> shifts;

  // yaml-cpp counts from 0 and uses -1 for "nowhere".
  Position PositionOf(const YAML::Mark& mark) const;
};

SourceFile ReadSource(std::string_view text, std::string_view name);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_DOCUMENT_SOURCE_FILE_H_
