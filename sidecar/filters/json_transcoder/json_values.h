// Cuts content into the JSON values that become messages. It only finds where a value ends, by quotes and
// brackets, whatever the fragments; what stands between them is protobuf's parser to judge.
//
//   one:     value
//   stream:  [value, value ...]   or values one after the other, with space between them (lines)
#ifndef PILLION_SIDECAR_FILTERS_JSON_TRANSCODER_JSON_VALUES_H_
#define PILLION_SIDECAR_FILTERS_JSON_TRANSCODER_JSON_VALUES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pillion::filters {

class JsonValues {
 public:
  // Brackets in brackets, as protobuf's parser has it. Attack: a body of nothing but brackets.
  static constexpr size_t kMaxDepth = 100;
  enum class Form : uint8_t { kOne, kStream };
  enum class Step : uint8_t {
    kMore,    // all was taken, no value is complete
    kValue,   // value() is complete
    kBroken,  // not JSON
  };

  explicit JsonValues(Form form) : form_(form) {}
  // Takes bytes off the front of `text`, to the end of the next value at most.
  Step Next(std::string_view& text);
  // Nothing follows. kValue: a last value is complete; call again.
  Step Finish();
  std::string& value() { return value_; }
  // Of the value that is under way, and what longer ones have left.
  size_t HeldBytes() const { return value_.capacity() > kSmall ? value_.capacity() : 0; }

 private:
  enum class State : uint8_t {
    kBegin,    // nothing yet
    kBetween,  // a value comes, or in an empty array its end
    kBracket,  // inside an object or array
    kString,   // inside a string
    kEscape,   // behind its backslash
    kWord,     // inside a number, true, false or null
    kBehind,   // in the array: a comma or its end; else: space
    kOver,     // only space may follow
  };
  static constexpr size_t kSmall = sizeof(std::string);  // lies in the string itself
  bool Begin(char c);
  bool InBracket(char c);
  Step EndValue();

  const Form form_;
  State state_ = State::kBegin;
  bool array_ = false;     // the stream is one
  bool expected_ = false;  // a comma has promised a value
  std::string closers_;    // of the brackets that are open
  std::string value_;
};

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_JSON_TRANSCODER_JSON_VALUES_H_
