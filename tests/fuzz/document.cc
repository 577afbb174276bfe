// Any text either is refused with at least one error, or makes a message that protobuf's own JSON printer
// writes and this loader reads back as the same message.
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "pillion/testing/v1/every_type.pb.h"
#include "sidecar/base/serialize_in_order.h"
#include "sidecar/config/document/document.h"

namespace {

using pillion::SerializeInOrder;
using pillion::config::DocumentError;
using pillion::config::LoadDocument;
using pillion::testing::v1::EveryType;

void Require(bool held, const std::string& what) {
  if (held) return;
  std::fprintf(stderr, "%s\n", what.c_str());
  std::abort();
}

void CheckErrors(const std::vector<DocumentError>& errors) {
  for (const DocumentError& error : errors) {
    Require(!error.message.empty(), "an error without a message");
    Require(error.position.line >= 0 && error.position.column >= 0, "a position before the file");
  }
}

// The longest name in JSON as protobuf prints it, with its quotes.
size_t LongestKey(std::string_view json) {
  size_t longest = 0;
  for (size_t at = json.find('"'); at != std::string_view::npos; at = json.find('"', at)) {
    const size_t begin = at++;
    while (json[at] != '"') at += json[at] == '\\' ? 2 : 1;
    ++at;
    if (at < json.size() && json[at] == ':') longest = std::max(longest, at - begin);
  }
  return longest;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  EveryType message;
  const auto errors = LoadDocument(text, "f", message);
  CheckErrors(errors);
  if (!errors.empty()) return 0;
  std::string json;
  // The printer refuses what JSON cannot hold (a Value without a kind); that is no business of the loader.
  if (!google::protobuf::util::MessageToJsonString(message, &json).ok()) return 0;
  // A name of more than 1024 characters is none to YAML (1.2.2, 7.4.3: implicit keys).
  if (LongestKey(json) > 1024) return 0;
  EveryType again;
  for (const DocumentError& error : LoadDocument(json, "printed", again)) {
    Require(false, error.ToString() + "\n" + json);
  }
  Require(SerializeInOrder(message) == SerializeInOrder(again), "read back otherwise: " + json);
  return 0;
}
