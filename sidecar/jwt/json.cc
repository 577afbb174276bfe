#include "sidecar/jwt/json.h"

#include <google/protobuf/util/json_util.h>

#include <cstdint>
#include <set>

#include "sidecar/base/json_writer.h"

namespace pillion::jwt {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

void AppendUtf8(uint32_t code, std::string& out) {
  const auto add = [&](uint32_t bits) { out += static_cast<char>(bits); };
  if (code < 0x80) return add(code);
  if (code < 0x800) {
    add(0xc0 | code >> 6);
  } else if (code < 0x10000) {
    add(0xe0 | code >> 12);
    add(0x80 | (code >> 6 & 0x3f));
  } else {
    add(0xf0 | code >> 18);
    add(0x80 | (code >> 12 & 0x3f));
    add(0x80 | (code >> 6 & 0x3f));
  }
  add(0x80 | (code & 0x3f));
}

// Goes over one text, front to back; each step takes what it names, or says that it is not there.
class Checker {
 public:
  explicit Checker(std::string_view text) : rest_(text) {}
  bool Whole() {
    if (!Value(0)) return false;
    Space();
    return rest_.empty();
  }

 private:
  void Space() {
    const size_t end = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end);
  }
  bool Take(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  bool Take(char c) { return Take(std::string_view(&c, 1)); }
  bool NextIs(char c) const { return !rest_.empty() && rest_.front() == c; }

  bool Value(size_t depth) {
    Space();
    if (rest_.empty() || depth > kMaxJsonDepth) return false;
    switch (rest_.front()) {
      case '{':
        return Object(depth);
      case '[':
        return Array(depth);
      case '"':
        return String();
      case 't':
        return Take("true");
      case 'f':
        return Take("false");
      case 'n':
        return Take("null");
      default:
        return Number();
    }
  }

  bool Object(size_t depth) {
    Take('{');
    Space();
    if (Take('}')) return true;
    std::set<std::string> names;
    do {
      Space();
      if (!String() || !names.insert(string_).second) return false;
      Space();
      if (!Take(':') || !Value(depth + 1)) return false;
      Space();
    } while (Take(','));
    return Take('}');
  }

  bool Array(size_t depth) {
    Take('[');
    Space();
    if (Take(']')) return true;
    do {
      if (!Value(depth + 1)) return false;
      Space();
    } while (Take(','));
    return Take(']');
  }

  bool Digits() {
    if (rest_.empty() || !IsDigit(rest_.front())) return false;
    while (!rest_.empty() && IsDigit(rest_.front())) rest_.remove_prefix(1);
    return true;
  }

  bool Number() {
    Take('-');
    if (!Take('0') && !Digits()) return false;
    if (Take('.') && !Digits()) return false;
    if (!NextIs('e') && !NextIs('E')) return true;
    rest_.remove_prefix(1);
    if (!Take('+')) Take('-');
    return Digits();
  }

  // Into string_, without quotes and escapes.
  bool String() {
    string_.clear();
    if (!Take('"')) return false;
    while (!rest_.empty()) {
      if (Take('"')) return true;
      if (NextIs('\\')) {
        if (!Escape()) return false;
        continue;
      }
      const size_t length = Utf8SequenceLength(rest_);
      if (length == 0 || static_cast<unsigned char>(rest_.front()) < 0x20) return false;
      string_ += rest_.substr(0, length);
      rest_.remove_prefix(length);
    }
    return false;
  }

  bool Escape() {
    constexpr std::string_view kEscapes = "\"\\/bfnrt";
    constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    Take('\\');
    if (rest_.empty()) return false;
    if (NextIs('u')) return Unicode();
    const size_t at = kEscapes.find(rest_.front());
    if (at == std::string_view::npos) return false;
    string_ += kMeant[at];
    rest_.remove_prefix(1);
    return true;
  }

  // "u" and four digits.
  std::optional<uint32_t> Unit() {
    if (rest_.size() < 5 || !Take('u')) return std::nullopt;
    uint32_t unit = 0;
    for (const char c : rest_.substr(0, 4)) {
      const char lower = static_cast<char>(c | 0x20);
      const bool letter = lower >= 'a' && lower <= 'f';
      if (!IsDigit(c) && !letter) return std::nullopt;
      unit = unit << 4 | static_cast<uint32_t>(letter ? lower - 'a' + 10 : c - '0');
    }
    rest_.remove_prefix(4);
    return unit;
  }

  // Half of a pair alone is no character: readers make of it what they like.
  bool Unicode() {
    const auto high = Unit();
    if (!high) return false;
    uint32_t code = *high;
    if (code >= 0xdc00 && code < 0xe000) return false;
    if (code >= 0xd800 && code < 0xdc00) {
      const auto low = Take('\\') ? Unit() : std::nullopt;
      if (!low || *low < 0xdc00 || *low >= 0xe000) return false;
      code = 0x10000 + ((code - 0xd800) << 10) + (*low - 0xdc00);
    }
    AppendUtf8(code, string_);
    return true;
  }

  std::string_view rest_;
  std::string string_;  // the one that came last
};

}  // namespace

bool IsPlainJson(std::string_view text) { return Checker(text).Whole(); }

std::optional<google::protobuf::Struct> ReadObject(std::string_view text) {
  google::protobuf::Struct object;
  if (!IsPlainJson(text)) return std::nullopt;
  if (!google::protobuf::util::JsonStringToMessage(std::string(text), &object).ok()) return std::nullopt;
  return object;
}

const google::protobuf::Value* FindMember(const google::protobuf::Struct& object, const std::string& name) {
  const auto found = object.fields().find(name);
  return found == object.fields().end() ? nullptr : &found->second;
}

const std::string* FindText(const google::protobuf::Struct& object, const std::string& name) {
  const google::protobuf::Value* const value = FindMember(object, name);
  const bool text = value != nullptr && value->kind_case() == google::protobuf::Value::kStringValue;
  return text ? &value->string_value() : nullptr;
}

}  // namespace pillion::jwt
