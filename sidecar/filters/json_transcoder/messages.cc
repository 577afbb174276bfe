#include "sidecar/filters/json_transcoder/messages.h"

#include <google/protobuf/io/zero_copy_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdint>

#include "google/rpc/status.pb.h"
#include "sidecar/base/json_writer.h"
#include "sidecar/filters/json_transcoder/json_values.h"
#include "sidecar/filters/json_transcoder/wire_merge.h"

namespace pillion::filters {
namespace {

using config::FieldChain;
using config::Transcoding;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
namespace util = google::protobuf::util;

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

size_t MostBytes(const Transcoding& transcoding) {
  return transcoding.options().max_response_bytes * kMaxJsonGrowth;
}

// With print_defaults the printer builds the whole of an answer, about 300 bytes for each field of its
// messages, set or not. Attack: a million empty messages of a type with a hundred fields.
constexpr size_t kMostPrintedFields = 250'000;

std::optional<std::string> MergeFor(const Transcoding& transcoding, const Descriptor& type,
                                    std::string_view message, const FieldDescriptor* only) {
  const size_t most = transcoding.options().print_defaults ? kMostPrintedFields : SIZE_MAX;
  return Merge(transcoding.pool(), type, message, only, most);
}

// Of a message that has been merged.
std::optional<std::string> Print(const Transcoding& transcoding, const Descriptor& type,
                                 std::string_view merged, const util::JsonPrintOptions& options) {
  google::protobuf::io::ArrayInputStream in(merged.data(), static_cast<int>(merged.size()));
  LimitedText out(MostBytes(transcoding));
  const auto status =
      util::BinaryToJsonStream(&transcoding.types(), config::TypeUrl(type), &in, &out, options);
  if (!status.ok() || out.exceeded) return std::nullopt;
  if (out.text.empty()) out.text = "null";  // a google.protobuf.Value that is none
  return std::move(out.text);
}

std::optional<std::string> ToJson(const Transcoding& transcoding, const Descriptor& type,
                                  std::string_view message, const util::JsonPrintOptions& options) {
  const std::optional<std::string> merged = MergeFor(transcoding, type, message, nullptr);
  return merged ? Print(transcoding, type, *merged, options) : std::nullopt;
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
  const Descriptor& type = *field.containing_type();
  const std::optional<std::string> alone = MergeFor(transcoding, type, message, &field);
  if (!alone) return std::nullopt;
  if (field.message_type() != nullptr && !field.is_repeated())
    return Print(transcoding, *field.message_type(), ContentOf(*alone), PrintOptions(transcoding, line));
  util::JsonPrintOptions options = PrintOptions(transcoding, true);
  options.always_print_primitive_fields = false;
  options.preserve_proto_field_names = true;
  const auto json = Print(transcoding, type, *alone, options);
  if (!json) return std::nullopt;
  std::string before = "{";
  AppendQuoted(field.name(), before);
  before += ':';
  if (!json->starts_with(before)) return DefaultJson(field, options);
  return json->substr(before.size(), json->size() - before.size() - 1);
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
    AppendField(field.number(), *message, out);
    return out;
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
  status.set_message(ValidUtf8(message, SIZE_MAX));  // a peer may have sent any bytes
  return ToJson(transcoding, type, status.SerializeAsString(), options).value_or("{}");
}

}  // namespace pillion::filters
