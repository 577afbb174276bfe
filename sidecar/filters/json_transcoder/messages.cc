#include "sidecar/filters/json_transcoder/messages.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <memory>

#include "google/rpc/status.pb.h"
#include "sidecar/filters/json_transcoder/json_values.h"

namespace pillion::filters {
namespace {

using config::FieldChain;
using config::Transcoding;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
namespace util = google::protobuf::util;

constexpr std::string_view kAny = "google.protobuf.Any";

void AppendQuoted(std::string_view text, std::string& out) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out += kDigits[static_cast<unsigned char>(c) >> 4];
      out += kDigits[static_cast<unsigned char>(c) & 0xF];
    } else {
      out += c;
    }
  }
  out += '"';
}

// The bound fields as the tree that they are.
struct Node {
  const FieldDescriptor* field = nullptr;
  std::vector<Node> children;
  std::vector<std::string_view> values;

  Node& Child(const FieldDescriptor* wanted) {
    const auto found = std::ranges::find(children, wanted, &Node::field);
    if (found != children.end()) return *found;
    children.push_back({wanted, {}, {}});
    return children.back();
  }

  void Print(std::string& out) const {  // not deeper than kMaxFieldDepth
    out += '{';
    for (const Node& child : children) {
      if (&child != &children.front()) out += ',';
      AppendQuoted(child.field->name(), out);
      out += ':';
      if (child.values.empty()) {
        child.Print(out);
      } else if (child.field->is_repeated()) {
        for (const std::string_view value : child.values) {
          out += value.data() == child.values.front().data() ? '[' : ',';
          AppendQuoted(value, out);
        }
        out += ']';
      } else {
        AppendQuoted(child.values.back(), out);
      }
    }
    out += '}';
  }
};

enum class Unknown : bool { kRefused, kLeftOut };  // fields, and names of enum values

std::optional<std::string> ToWire(const Transcoding& transcoding, const Descriptor& type,
                                  const std::string& json, Unknown unknown, std::string& problem) {
  util::JsonParseOptions options;
  options.ignore_unknown_fields = unknown == Unknown::kLeftOut;
  options.case_insensitive_enum_parsing = transcoding.options().case_insensitive_enums;
  std::string out;
  const auto status =
      util::JsonToBinaryString(&transcoding.types(), config::TypeUrl(type), json, &out, options);
  if (status.ok()) return out;
  problem = std::string(status.message());
  return std::nullopt;
}

util::JsonPrintOptions PrintOptions(const Transcoding& transcoding, bool line) {
  util::JsonPrintOptions options;
  options.add_whitespace = transcoding.options().add_whitespace && !line;
  options.always_print_primitive_fields = transcoding.options().print_defaults;
  options.always_print_enums_as_ints = transcoding.options().print_enums_as_ints;
  options.preserve_proto_field_names = transcoding.options().preserve_field_names;
  return options;
}

// Takes bytes up to a limit.
class LimitedText final : public google::protobuf::io::ZeroCopyOutputStream {
 public:
  explicit LimitedText(size_t limit) : limit_(limit) {}
  bool Next(void** data, int* size) override {
    const size_t more =
        std::min(std::clamp(text.size(), size_t{4096}, size_t{1024} * 1024), limit_ - text.size());
    exceeded = exceeded || more == 0;
    if (exceeded) return false;
    text.resize(text.size() + more);
    *data = text.data() + text.size() - more;
    *size = static_cast<int>(more);
    return true;
  }
  void BackUp(int count) override { text.resize(text.size() - static_cast<size_t>(count)); }
  int64_t ByteCount() const override { return static_cast<int64_t>(text.size()); }
  std::string text;
  bool exceeded = false;

 private:
  const size_t limit_;
};

// What a message on the wire is like, without building it.
struct Wire {
  bool in_pieces = false;  // a field stands in several places, which the printer would print as often
  size_t built_bytes = 0;  // about what it would take as an object
};

// Deeper ones are the printer's to refuse.
constexpr int kMaxDepth = 100;
// What a field takes in an object, set or not.
constexpr size_t kFieldBytes = 16;

// Whether the field may be written so; else it is one that we do not know.
bool IsWritten(const FieldDescriptor& field, WireFormatLite::WireType kind) {
  const auto own = WireFormatLite::WireTypeForFieldType(static_cast<WireFormatLite::FieldType>(field.type()));
  return kind == own || (field.is_packable() && kind == WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
}

// False: it is malformed. (The printer would print of it what it can.)
bool Look(const Transcoding& transcoding, const Descriptor& type, std::string_view message, int depth,
          Wire& wire);

// Null: one that nobody has given us.
const Descriptor* TypeOf(const Transcoding& transcoding, const std::string& url) {
  return transcoding.pool().FindMessageTypeByName(url.substr(url.rfind('/') + 1));
}

bool LookIntoAny(const Transcoding& transcoding, std::string_view message, int depth, Wire& wire) {
  google::protobuf::Any any;
  if (!any.ParseFromArray(message.data(), static_cast<int>(message.size()))) return false;
  const Descriptor* const inner = TypeOf(transcoding, any.type_url());
  return inner == nullptr || Look(transcoding, *inner, any.value(), depth - 1, wire);
}

bool Look(const Transcoding& transcoding, const Descriptor& type, std::string_view message, int depth,
          Wire& wire) {
  wire.built_bytes += static_cast<size_t>(type.field_count()) * kFieldBytes + message.size();
  if (depth == 0) return true;
  if (type.full_name() == kAny && !LookIntoAny(transcoding, message, depth, wire)) return false;
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(message.data()),
                                            static_cast<int>(message.size()));
  const FieldDescriptor* last = nullptr;
  bool interrupted = false;  // by a field that we do not know
  std::vector<const google::protobuf::OneofDescriptor*> chosen;
  while (const uint32_t tag = in.ReadTag()) {
    const FieldDescriptor* field = type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
    const auto kind = WireFormatLite::GetTagWireType(tag);
    if (field != nullptr && !IsWritten(*field, kind)) field = nullptr;
    if (field == nullptr) {
      interrupted = true;
    } else {
      // A serializer writes fields by their numbers.
      const bool again = last != nullptr && (field->number() < last->number() ||
                                             (field == last && (!field->is_repeated() || interrupted)));
      wire.in_pieces = wire.in_pieces || again || kind == WireFormatLite::WIRETYPE_START_GROUP;
      if (const auto* const oneof = field->real_containing_oneof()) {
        if (std::ranges::find(chosen, oneof) == chosen.end()) {
          chosen.push_back(oneof);
        } else {
          wire.in_pieces = true;
        }
      }
      last = field;
      interrupted = false;
    }
    if (kind != WireFormatLite::WIRETYPE_LENGTH_DELIMITED || field == nullptr ||
        field->message_type() == nullptr) {
      if (!WireFormatLite::SkipField(&in, tag)) return false;
      continue;
    }
    uint32_t size = 0;
    if (!in.ReadVarint32(&size)) return false;
    const auto at = static_cast<size_t>(in.CurrentPosition());
    if (size > message.size() - at || !in.Skip(static_cast<int>(size))) return false;
    const std::string_view part = message.substr(at, size);
    if (!Look(transcoding, *field->message_type(), part, depth - 1, wire)) return false;
  }
  return in.ConsumedEntireMessage();
}

// What is in an Any that is in an Any, and so on.
constexpr int kMaxAnyDepth = 32;

std::optional<std::string> Reserialized(const Transcoding& transcoding, const Descriptor& type,
                                        const std::string& message, int depth = kMaxAnyDepth);

void ReserializeAnys(const Transcoding& transcoding, google::protobuf::Message& message, int depth) {
  const auto& reflection = *message.GetReflection();
  const Descriptor& type = *message.GetDescriptor();
  if (type.full_name() == kAny) {
    const Descriptor* const inner =
        TypeOf(transcoding, reflection.GetString(message, type.FindFieldByNumber(1)));
    if (inner == nullptr || depth == 0) return;
    const FieldDescriptor* const value = type.FindFieldByNumber(2);
    auto again = Reserialized(transcoding, *inner, reflection.GetString(message, value), depth - 1);
    if (again) reflection.SetString(&message, value, *std::move(again));
    return;
  }
  std::vector<const FieldDescriptor*> set;
  reflection.ListFields(message, &set);
  for (const FieldDescriptor* const field : set) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated())
      ReserializeAnys(transcoding, *reflection.MutableMessage(&message, field), depth);
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 0;
    for (int i = 0; i < count; ++i)
      ReserializeAnys(transcoding, *reflection.MutableRepeatedMessage(&message, field, i), depth);
  }
}

std::optional<std::string> Reserialized(const Transcoding& transcoding, const Descriptor& type,
                                        const std::string& message, int depth) {
  const std::unique_ptr<google::protobuf::Message> whole = transcoding.NewMessage(type);
  if (!whole->ParsePartialFromString(message)) return std::nullopt;
  ReserializeAnys(transcoding, *whole, depth);
  return whole->SerializePartialAsString();
}

size_t MostBytes(const Transcoding& transcoding) {
  return transcoding.options().max_response_bytes * kMaxJsonGrowth;
}

// As our own serializer writes it, into `again`, where the message's is another: on the wire fields may come
// in any order, and one in several pieces (https://protobuf.dev/programming-guides/encoding: "Last One
// Wins"). Printed as it is such a field would stand there as often, which no reader of JSON takes (RFC 8259
// section 4: names should be unique). nullopt: it is no such message, or would be too large.
std::optional<std::string_view> InOnePiece(const Transcoding& transcoding, const Descriptor& type,
                                           const std::string& message, std::string& again) {
  Wire wire;
  if (Look(transcoding, type, message, kMaxDepth, wire) && !wire.in_pieces) return message;
  if (wire.built_bytes > MostBytes(transcoding)) return std::nullopt;
  auto made = Reserialized(transcoding, type, message);
  if (!made) return std::nullopt;
  again = *std::move(made);
  return again;
}

std::optional<std::string> ToJson(const Transcoding& transcoding, const Descriptor& type,
                                  const std::string& message, const util::JsonPrintOptions& options) {
  std::string again;
  const std::optional<std::string_view> whole = InOnePiece(transcoding, type, message, again);
  if (!whole) return std::nullopt;
  google::protobuf::io::ArrayInputStream in(whole->data(), static_cast<int>(whole->size()));
  LimitedText out(MostBytes(transcoding));
  const auto status =
      util::BinaryToJsonStream(&transcoding.types(), config::TypeUrl(type), &in, &out, options);
  return status.ok() && !out.exceeded ? std::optional(std::move(out.text)) : std::nullopt;
}

std::string DefaultJson(const FieldDescriptor& field, const util::JsonPrintOptions& options) {
  if (field.is_map()) return "{}";
  if (field.is_repeated()) return "[]";
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return "\"\"";
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT64:
      return "\"0\"";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "false";
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto& value = *field.default_value_enum();
      return options.always_print_enums_as_ints ? std::to_string(value.number()) : '"' + value.name() + '"';
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return "{}";
    default:
      return "0";
  }
}

// One field of the answer: printed with nothing beside it, and taken out of its braces.
std::optional<std::string> FieldJson(const Transcoding& transcoding, const FieldDescriptor& field,
                                     const std::string& message, bool line) {
  Wire wire;
  if (!Look(transcoding, *field.containing_type(), message, kMaxDepth, wire)) return std::nullopt;
  if (wire.built_bytes > MostBytes(transcoding)) return std::nullopt;
  const std::unique_ptr<google::protobuf::Message> whole = transcoding.NewMessage(*field.containing_type());
  if (!whole->ParseFromString(message)) return std::nullopt;
  const auto& reflection = *whole->GetReflection();
  const bool plain_message = field.message_type() != nullptr && !field.is_repeated();
  if (plain_message) {
    return ToJson(transcoding, *field.message_type(),
                  reflection.GetMessage(*whole, &field).SerializeAsString(), PrintOptions(transcoding, line));
  }
  std::vector<const FieldDescriptor*> set;
  reflection.ListFields(*whole, &set);
  for (const FieldDescriptor* const other : set) {
    if (other != &field) reflection.ClearField(whole.get(), other);
  }
  reflection.MutableUnknownFields(whole.get())->Clear();
  util::JsonPrintOptions options = PrintOptions(transcoding, true);
  options.always_print_primitive_fields = false;
  options.preserve_proto_field_names = true;
  const auto json = ToJson(transcoding, *field.containing_type(), whole->SerializeAsString(), options);
  if (!json) return std::nullopt;
  std::string before = "{";
  AppendQuoted(field.name(), before);
  before += ':';
  if (!json->starts_with(before)) return DefaultJson(field, options);
  return json->substr(before.size(), json->size() - before.size() - 1);
}

// Bytes that a peer has sent as a message need not be text: what is no UTF-8 (RFC 3629) becomes `?`.
std::string AsText(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const auto first = static_cast<unsigned char>(bytes[0]);
    const size_t size = first < 0x80   ? 1
                        : first < 0xC2 ? 0
                        : first < 0xE0 ? 2
                        : first < 0xF0 ? 3
                        : first < 0xF5 ? 4
                                       : 0;
    bool valid = size > 0 && size <= bytes.size();
    for (size_t i = 1; valid && i < size; ++i) valid = (static_cast<unsigned char>(bytes[i]) & 0xC0) == 0x80;
    // Overlong forms, surrogates, and what lies beyond U+10FFFF.
    const auto second = static_cast<unsigned char>(valid && size > 2 ? bytes[1] : 0);
    if (first == 0xE0) valid = valid && second >= 0xA0;
    if (first == 0xED) valid = valid && second < 0xA0;
    if (first == 0xF0) valid = valid && second >= 0x90;
    if (first == 0xF4) valid = valid && second < 0x90;
    text += valid ? bytes.substr(0, size) : "?";
    bytes.remove_prefix(valid ? size : 1);
  }
  return text;
}

void AppendVarint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

}  // namespace

std::optional<std::string> AddQuery(const Transcoding& transcoding, const Transcoding::Rule& rule,
                                    std::string_view query, Bindings& bindings) {
  const config::TranscodingOptions& options = transcoding.options();
  const size_t of_path = bindings.size();
  std::optional<std::string> unknown;
  Bindings added;
  while (!query.empty()) {
    const std::string_view parameter = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), parameter.size() + 1));
    if (parameter.empty()) continue;
    const size_t equals = std::min(parameter.find('='), parameter.size());
    const std::string name = config::Unescape(parameter.substr(0, equals), {}, options.plus_is_space);
    if (options.ignored_parameters.contains(name)) continue;
    auto chain = config::FindField(*rule.method->input_type(), name, true);
    if (!chain) {
      if (!options.ignore_unknown_parameters && !unknown) unknown = name;
      continue;
    }
    const auto same = [&chain](const auto& bound) { return bound.first == *chain; };
    if (std::any_of(bindings.begin(), bindings.begin() + static_cast<ptrdiff_t>(of_path), same)) continue;
    const std::string_view value = parameter.substr(std::min(equals + 1, parameter.size()));
    added.emplace_back(*std::move(chain), config::Unescape(value, {}, options.plus_is_space));
  }
  std::ranges::move(added, std::back_inserter(bindings));
  return unknown;
}

std::optional<std::string> BoundFields(const Transcoding& transcoding, const Transcoding::Rule& rule,
                                       const Bindings& bindings, std::string& problem) {
  if (bindings.empty()) return std::string();
  Node root;
  for (const auto& [chain, value] : bindings) {
    Node* node = &root;
    for (const FieldDescriptor* const field : chain) node = &node->Child(field);
    node->values.push_back(value);
  }
  std::string json;
  root.Print(json);
  return ToWire(transcoding, *rule.method->input_type(), json, Unknown::kRefused, problem);
}

std::optional<std::string> ContentFields(const Transcoding& transcoding, const Transcoding::Rule& rule,
                                         const std::string& json, std::string& problem) {
  using Body = Transcoding::Rule::Body;
  if (rule.body == Body::kNone) return std::string();
  const Descriptor& request = *rule.method->input_type();
  if (rule.body == Body::kWhole) return ToWire(transcoding, request, json, Unknown::kLeftOut, problem);
  const FieldDescriptor& field = *rule.body_field;
  if (field.type() == FieldDescriptor::TYPE_MESSAGE && !field.is_repeated()) {
    const auto message = ToWire(transcoding, *field.message_type(), json, Unknown::kLeftOut, problem);
    if (!message) return std::nullopt;
    std::string out;
    AppendVarint(static_cast<uint64_t>(field.number()) << 3 | 2, out);
    AppendVarint(message->size(), out);
    return out + *message;
  }
  // Set into an object of its own: it must be one value, and not the beginning of more fields.
  JsonValues values(JsonValues::Form::kOne);
  std::string_view rest = json;
  auto step = values.Next(rest);
  if (step == JsonValues::Step::kMore) step = values.Finish();
  if (step == JsonValues::Step::kValue) {
    std::string object = "{";
    AppendQuoted(field.name(), object);
    object.append(1, ':').append(values.value()).append(1, '}');
    if (values.Next(rest) == JsonValues::Step::kMore)
      return ToWire(transcoding, request, object, Unknown::kLeftOut, problem);
  }
  problem = "the content is not one JSON value";
  return std::nullopt;
}

std::optional<std::string> AnswerJson(const Transcoding& transcoding, const Transcoding::Rule& rule,
                                      const std::string& message, bool line) {
  if (rule.response_field != nullptr) return FieldJson(transcoding, *rule.response_field, message, line);
  return ToJson(transcoding, *rule.method->output_type(), message, PrintOptions(transcoding, line));
}

std::string StatusJson(const Transcoding& transcoding, uint32_t code, std::string_view message,
                       const std::optional<std::string>& serialized) {
  const Descriptor& type = *google::rpc::Status::descriptor();
  const util::JsonPrintOptions options = PrintOptions(transcoding, true);
  google::rpc::Status status;
  if (serialized && status.ParseFromString(*serialized) && status.code() == static_cast<int32_t>(code)) {
    // A detail whose type nobody has given us cannot be written; the rest can.
    if (auto json = ToJson(transcoding, type, *serialized, options)) return *std::move(json);
  }
  status.Clear();
  status.set_code(static_cast<int32_t>(code));
  status.set_message(AsText(message));
  return ToJson(transcoding, type, status.SerializeAsString(), options).value_or("{}");
}

}  // namespace pillion::filters
