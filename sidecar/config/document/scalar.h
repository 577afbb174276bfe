// What one YAML or JSON scalar means as a value of a protobuf type (proto3 JSON mapping; YAML 1.2 core
// schema). Pure functions over text. A failure says what was expected.
#ifndef PILLION_SIDECAR_CONFIG_DOCUMENT_SCALAR_H_
#define PILLION_SIDECAR_CONFIG_DOCUMENT_SCALAR_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace pillion::config {

struct Scalar {
  std::string_view text;
  bool quoted = false;  // in quotes, a block, or tagged !!str: a string whatever it looks like
};

enum class ScalarType : uint8_t { kString, kBool, kNumber };

// What a reader of YAML takes it for.
ScalarType TypeOf(const Scalar& scalar);

template <typename T>
struct Parsed {
  std::optional<T> value;
  std::string expected;  // when there is no value
};

// In numbers quotes do not matter (proto3 JSON), but hexadecimal (0x1f) and octal (0o17) are plain YAML only.
// A leading zero is refused: YAML 1.1 reads it as octal, YAML 1.2 does not.
Parsed<int64_t> ParseSigned(const Scalar& scalar, int64_t min, int64_t max);
Parsed<uint64_t> ParseUnsigned(const Scalar& scalar, uint64_t max);
// NaN, Infinity and -Infinity are allowed. Also for float: a finite value beyond `max_magnitude` is refused.
Parsed<double> ParseFloating(const Scalar& scalar, double max_magnitude = std::numeric_limits<double>::max());
// true or false, without quotes.
Parsed<bool> ParseBoolean(const Scalar& scalar);
// What a number or boolean looks like needs quotes. Must be UTF-8.
Parsed<std::string> ParseText(const Scalar& scalar);
// Base64, standard or URL-safe, with or without padding.
Parsed<std::string> ParseBytes(const Scalar& scalar);

bool IsUtf8(std::string_view text);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_DOCUMENT_SCALAR_H_
