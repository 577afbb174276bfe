#include "sidecar/filters/json_transcoder/wire_merge.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <cstring>
#include <ranges>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "sidecar/base/json_writer.h"

namespace pillion::filters {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using WireType = WireFormatLite::WireType;

constexpr size_t kMaxVarintBytes = 10;

void AppendVarint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void AppendTag(int number, WireType kind, std::string& out) {
  AppendVarint(WireFormatLite::MakeTag(number, kind), out);
}

// Of one value of it.
WireType WireTypeOf(const FieldDescriptor& field) {
  return WireFormatLite::WireTypeForFieldType(static_cast<WireFormatLite::FieldType>(field.type()));
}

// A field as it stands on the wire. All are parts of one text: what was said later stands behind.
struct Said {
  const FieldDescriptor* field;
  WireType kind;
  std::string_view bytes;  // without the tag, and the length
};
using Pieces = std::span<const std::string_view>;

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = Utf8SequenceLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

bool IsPackOf(WireType kind, std::string_view bytes) {
  if (kind == WireFormatLite::WIRETYPE_FIXED32) return bytes.size() % 4 == 0;
  if (kind == WireFormatLite::WIRETYPE_FIXED64) return bytes.size() % 8 == 0;
  size_t length = 0;
  for (const char c : bytes) {
    if (++length > kMaxVarintBytes) return false;
    if (static_cast<unsigned char>(c) < 0x80) length = 0;
  }
  return length == 0;
}

// Whether its field can be written so; else it is one that nobody knows.
bool IsKnown(const Said& one) {
  if (one.field == nullptr || one.kind == WireFormatLite::WIRETYPE_START_GROUP) return false;
  return one.kind == WireTypeOf(*one.field) ||
         (one.field->is_packable() && one.kind == WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
}

bool IsWellFormed(const Said& one) {
  if (one.field->type() == FieldDescriptor::TYPE_STRING) return IsUtf8(one.bytes);
  const bool packed = one.field->is_packable() && one.kind == WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
  return !packed || IsPackOf(WireTypeOf(*one.field), one.bytes);
}

// Adds the fields of `piece` that `type` knows. False: it is malformed.
bool Read(const Descriptor& type, std::string_view piece, std::vector<Said>& all) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(piece.data()),
                                            static_cast<int>(piece.size()));
  while (const uint32_t tag = in.ReadTag()) {
    const int number = WireFormatLite::GetTagFieldNumber(tag);
    Said one = {type.FindFieldByNumber(number), WireFormatLite::GetTagWireType(tag), {}};
    auto begin = static_cast<size_t>(in.CurrentPosition());
    if (one.kind == WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      int size = 0;
      if (number == 0 || !in.ReadVarintSizeAsInt(&size)) return false;
      begin = static_cast<size_t>(in.CurrentPosition());
      if (static_cast<size_t>(size) > piece.size() - begin || !in.Skip(size)) return false;
    } else if (!WireFormatLite::SkipField(&in, tag)) {
      return false;
    }
    if (!IsKnown(one)) continue;
    one.bytes = piece.substr(begin, static_cast<size_t>(in.CurrentPosition()) - begin);
    if (!IsWellFormed(one)) return false;
    all.push_back(one);
  }
  return in.ConsumedEntireMessage();
}

// Of each oneof only its last member is set, to what was said of it since another one was.
void DropReplaced(const Descriptor& type, std::vector<Said>& all) {
  struct Chosen {
    const FieldDescriptor* member = nullptr;
    bool begins_here = false;
  };
  if (all.empty() || type.real_oneof_decl_count() == 0) return;
  std::vector<Chosen> chosen(static_cast<size_t>(type.real_oneof_decl_count()));
  for (Said& one : std::views::reverse(all)) {
    const auto* const oneof = one.field->real_containing_oneof();
    if (oneof == nullptr) continue;
    Chosen& last = chosen[static_cast<size_t>(oneof->index())];
    if (last.member == nullptr) last.member = one.field;
    last.begins_here = last.begins_here || one.field != last.member;
    if (last.begins_here) one.field = nullptr;
  }
  std::erase_if(all, [](const Said& one) { return one.field == nullptr; });
}

// What `pieces` say of fields of `type`, by number, and in the order in which it was said. False: malformed.
bool ReadAll(const Descriptor& type, Pieces pieces, std::vector<Said>& all) {
  for (const std::string_view piece : pieces) {
    if (!Read(type, piece, all)) return false;
  }
  DropReplaced(type, all);
  const auto place = [](const Said& one) { return std::pair(one.field->number(), one.bytes.data()); };
  if (!std::ranges::is_sorted(all, {}, place)) std::ranges::sort(all, {}, place);
  return true;
}

uint64_t Number(std::string_view varint) {
  uint64_t value = 0;
  for (size_t i = 0; i < varint.size(); ++i)
    value |= static_cast<uint64_t>(static_cast<unsigned char>(varint[i]) & 0x7F) << (7 * i);
  return value;
}

// An entry of a map, and what it is found by.
struct Entry {
  uint64_t number = 0;
  std::string_view text;
  std::string_view bytes;

  auto key() const { return std::tie(number, text); }
  auto place() const { return std::tuple(number, text, bytes.data()); }
  // That is 0, or empty, where it says none.
  void SetKey(const Said& said) {
    if (said.kind == WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      text = said.bytes;
    } else if (said.kind == WireFormatLite::WIRETYPE_VARINT) {
      number = Number(said.bytes);
    } else {
      std::memcpy(&number, said.bytes.data(), said.bytes.size());
    }
    using CppType = FieldDescriptor::CppType;
    const CppType type = said.field->cpp_type();
    if (type == CppType::CPPTYPE_BOOL) number = number != 0 ? 1 : 0;
    if (type == CppType::CPPTYPE_INT32 || type == CppType::CPPTYPE_UINT32)
      number = static_cast<uint32_t>(number);
  }
};

void AppendDefault(const FieldDescriptor& field, std::string& out) {
  const WireType kind = WireTypeOf(field);
  AppendTag(field.number(), kind, out);
  if (kind == WireFormatLite::WIRETYPE_FIXED32) {
    out.append(4, '\0');
  } else if (kind == WireFormatLite::WIRETYPE_FIXED64) {
    out.append(8, '\0');
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    AppendVarint(static_cast<uint64_t>(int64_t{field.default_value_enum()->number()}), out);
  } else {
    out += '\0';  // 0, or the length of nothing
  }
}

class Merger {
 public:
  Merger(const DescriptorPool& pool, size_t most_fields) : pool_(pool), fields_left_(most_fields) {}

  // False: malformed or too deep.
  bool Message(const Descriptor& type, Pieces pieces, const FieldDescriptor* only, std::string& out) {
    const auto fields = static_cast<size_t>(type.field_count());
    if (depth_ == kMaxMessageDepth || fields > fields_left_) return false;
    fields_left_ -= fields;
    ++depth_;
    std::vector<Said> all;
    const bool good = ReadAll(type, pieces, all) &&
                      (type.full_name() == "google.protobuf.Any" ? Any(all, out) : Fields(all, only, out));
    --depth_;
    return good;
  }

 private:
  bool Fields(std::span<const Said> all, const FieldDescriptor* only, std::string& out) {
    while (!all.empty()) {
      const FieldDescriptor& field = *all[0].field;
      const auto other = std::ranges::find_if(all, [&field](const Said& one) { return one.field != &field; });
      const auto count = static_cast<size_t>(other - all.begin());
      if ((only == nullptr || only == &field) && !Field(field, all.first(count), out)) return false;
      all = all.subspan(count);
    }
    return true;
  }

  bool Field(const FieldDescriptor& field, std::span<const Said> said, std::string& out) {
    if (field.is_map()) return Map(field, said, out);
    if (field.is_packable()) {
      std::string values;
      for (const Said& one : said) values += one.bytes;
      if (!values.empty()) AppendField(field.number(), values, out);
      return true;
    }
    if (field.message_type() != nullptr) {
      std::vector<std::string_view> pieces;
      pieces.reserve(said.size());
      for (const Said& one : said) pieces.push_back(one.bytes);
      if (!field.is_repeated()) return Inner(field, pieces, out);
      return std::ranges::all_of(pieces,
                                 [&](const std::string_view& one) { return Inner(field, {&one, 1}, out); });
    }
    if (!field.is_repeated()) said = said.last(1);
    for (const Said& one : said) {
      if (one.kind == WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
        AppendField(field.number(), one.bytes, out);
      } else {
        AppendTag(field.number(), one.kind, out);
        out += one.bytes;
      }
    }
    return true;
  }

  bool Inner(const FieldDescriptor& field, Pieces pieces, std::string& out) {
    std::string content;
    if (!Message(*field.message_type(), pieces, nullptr, content)) return false;
    AppendField(field.number(), content, out);
    return true;
  }

  bool Map(const FieldDescriptor& field, std::span<const Said> said, std::string& out) {
    const Descriptor& type = *field.message_type();
    std::vector<Entry> entries;
    entries.reserve(said.size());
    std::vector<Said> parts;
    for (const Said& one : said) {
      parts.clear();
      if (!ReadAll(type, {&one.bytes, 1}, parts)) return false;
      entries.push_back({0, {}, one.bytes});
      for (const Said& part : parts) {
        if (part.field == type.map_key()) entries.back().SetKey(part);
      }
    }
    std::ranges::sort(entries, {}, &Entry::place);
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i + 1 < entries.size() && entries[i].key() == entries[i + 1].key())
        continue;  // there is a later one
      std::string content;
      parts.clear();
      if (!ReadAll(type, {&entries[i].bytes, 1}, parts)) return false;
      if (parts.empty() || parts.front().field != type.map_key()) AppendDefault(*type.map_key(), content);
      if (!Fields(parts, nullptr, content)) return false;
      if (parts.empty() || parts.back().field != type.map_value()) AppendDefault(*type.map_value(), content);
      AppendField(field.number(), content, out);
    }
    return true;
  }

  // type_url and value.
  bool Any(std::span<const Said> all, std::string& out) {
    std::string_view url;
    std::string_view value;
    for (const Said& one : all) (one.field->number() == 1 ? url : value) = one.bytes;
    const Descriptor* const inner = pool_.FindMessageTypeByName(std::string(url.substr(url.rfind('/') + 1)));
    std::string content;
    if (inner != nullptr) {
      if (anys_ == kMaxAnyDepth) return false;
      ++anys_;
      const bool good = Message(*inner, {&value, 1}, nullptr, content);
      --anys_;
      if (!good) return false;
      value = content;
    }
    if (!url.empty()) AppendField(1, url, out);
    if (!value.empty()) AppendField(2, value, out);
    return true;
  }

  const DescriptorPool& pool_;
  size_t fields_left_;
  int depth_ = 0;
  int anys_ = 0;
};

}  // namespace

std::optional<std::string> Merge(const DescriptorPool& pool, const Descriptor& type, std::string_view message,
                                 const FieldDescriptor* only, size_t most_fields) {
  std::string out;
  if (message.size() > INT_MAX) return std::nullopt;
  if (!Merger(pool, most_fields).Message(type, {&message, 1}, only, out)) return std::nullopt;
  return out;
}

void AppendField(int number, std::string_view content, std::string& out) {
  AppendTag(number, WireFormatLite::WIRETYPE_LENGTH_DELIMITED, out);
  AppendVarint(content.size(), out);
  out += content;
}

std::string_view ContentOf(std::string_view message) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(message.data()),
                                            static_cast<int>(message.size()));
  int size = 0;
  if (in.ReadTag() == 0 || !in.ReadVarintSizeAsInt(&size)) return {};
  return message.substr(static_cast<size_t>(in.CurrentPosition()));
}

}  // namespace pillion::filters
