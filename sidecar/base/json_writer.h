// JSON text, written front to back, and the UTF-8 rule behind it. What peers sent goes through here into logs
// and admin pages, so nothing of it may end a string, a line or a terminal's patience: quotes, control
// characters (C0, DEL, C1), U+2028 and U+2029 are escaped; bytes that are not UTF-8 (RFC 3629) become U+FFFD.
#ifndef PILLION_SIDECAR_BASE_JSON_WRITER_H_
#define PILLION_SIDECAR_BASE_JSON_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pillion {

// Length of the well-formed UTF-8 sequence at the front of `text` (1..4); 0 when there is none.
size_t Utf8SequenceLength(std::string_view text);
// The longest front of `text` within `max_bytes`, with U+FFFD for what is not UTF-8 (each of which may take
// two bytes more than the byte it stands for). Protobuf strings must be UTF-8 or their receiver refuses them.
std::string ValidUtf8(std::string_view text, size_t max_bytes);

// Appends to a text of the caller's. Legal sequence: what JSON's grammar allows; inside an object each value
// comes after its Key. Commas are set by the writer. A value: one owner, any thread.
class JsonWriter {
 public:
  // `out` outlives the writer.
  explicit JsonWriter(std::string& out) : out_(out) {}
  void BeginObject() { Open('{'); }
  void EndObject() { Close('}'); }
  void BeginArray() { Open('['); }
  void EndArray() { Close(']'); }
  void Key(std::string_view key);
  void String(std::string_view value);
  void Number(uint64_t value);
  void Bool(bool value);
  // `json` is a whole JSON value already.
  void Raw(std::string_view json);

  void Field(std::string_view key, std::string_view value) { Key(key), String(value); }
  void NumberField(std::string_view key, uint64_t value) { Key(key), Number(value); }
  void BoolField(std::string_view key, bool value) { Key(key), Bool(value); }

 private:
  void Open(char bracket);
  void Close(char bracket);
  void Separate();
  std::string& out_;
  bool first_ = true;  // nothing stands yet between the last bracket or key and here
};

}  // namespace pillion

#endif  // PILLION_SIDECAR_BASE_JSON_WRITER_H_
