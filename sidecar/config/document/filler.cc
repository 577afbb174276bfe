#include "sidecar/config/document/filler.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "sidecar/config/contract/contract.h"
#include "sidecar/config/document/limits.h"
#include "sidecar/config/document/suggest.h"
#include "sidecar/config/field_path.h"

namespace pillion::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

const FieldDescriptor* FindField(const Descriptor& type, const std::string& key) {
  for (int i = 0; i < type.field_count(); ++i) {
    if (type.field(i)->name() == key || type.field(i)->json_name() == key) return type.field(i);
  }
  return nullptr;
}

std::vector<std::string> FieldNames(const Descriptor& type) {
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(type.field_count()));
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
  return names;
}

bool TakesNull(const FieldDescriptor& field) {
  return field.message_type() != nullptr && field.message_type() == google::protobuf::Value::descriptor();
}

// A setter of Reflection or its adder, by whether the field is repeated.
template <typename T>
void Put(Message& message, const FieldDescriptor& field, T value,
         void (Reflection::*set)(Message*, const FieldDescriptor*, T) const,
         void (Reflection::*add)(Message*, const FieldDescriptor*, T) const) {
  const Reflection& reflection = *message.GetReflection();
  (reflection.*(field.is_repeated() ? add : set))(&message, &field, std::move(value));
}

}  // namespace

void Filler::Fill(Message& message, const YAML::Node& root) {
  FillMessage(message, {.node = root, .path = "", .depth = 0, .at = root.Mark()});
}

std::vector<DocumentError> Filler::TakeErrors() {
  std::ranges::sort(errors_, {}, [](const DocumentError& error) {
    return std::tuple(error.position.line, error.position.column, error.path, error.message);
  });
  if (errors_.size() == kMaxDocumentErrors) errors_.back().message += "; further errors are not listed";
  return std::move(errors_);
}

bool Filler::Enter(const Place& place) {
  if (place.depth > kMaxDocumentDepth) {
    Error(place, "expected at most " + std::to_string(kMaxDocumentDepth) + " levels of lists and maps");
    return false;
  }
  if (++values_ > kMaxDocumentValues) {
    if (values_ == kMaxDocumentValues + 1) {
      Error(place, "expected at most " + std::to_string(kMaxDocumentValues) + " values, aliases written out");
    }
    return false;
  }
  const std::string& tag = place.node.Tag();
  if (tag.empty() || tag == "?" || tag == "!" || tag.starts_with("tag:yaml.org,2002:")) return true;
  Error(place, "expected no tag, found " + tag);
  return false;
}

void Filler::FillMessage(Message& message, const Place& place, bool type_key) {
  if (!Enter(place)) return;
  if (!type_key && FillWellKnown(message, place)) return;
  if (!place.node.IsMap()) {
    Error(place, "expected a map, the fields of " + message.GetDescriptor()->full_name());
    return;
  }
  FillFields(message, place, type_key);
}

void Filler::FillFields(Message& message, const Place& place, bool type_key) {
  const Reflection& reflection = *message.GetReflection();
  std::set<const FieldDescriptor*> seen;
  const auto fill_entry = [&](const std::string& key, Place& value) {
    if (type_key && key == "@type") return;
    const FieldDescriptor* field = FindField(*message.GetDescriptor(), key);
    value.path = FieldPath(place.path, field == nullptr ? SnakeCase(key) : field->name());
    if (field == nullptr) {
      UnknownField(message, key, value);
      return;
    }
    if (!seen.insert(field).second) {
      KeyError(value, "duplicate field; its other name is set too");
      return;
    }
    if (value.node.IsNull() && !TakesNull(*field)) return;  // as if it were not there (proto3 JSON)
    const auto* oneof = field->real_containing_oneof();
    if (oneof != nullptr && reflection.HasOneof(message, oneof)) {
      const std::string other = reflection.GetOneofFieldDescriptor(message, oneof)->name();
      KeyError(value, "expected only one of the " + oneof->name() + " choices; " + other + " is set too");
      return;
    }
    if (positions_ != nullptr) positions_->Record(value.path, source_.PositionOf(value.at));
    FillField(message, *field, value);
  };
  // FillAny has been over the keys of an Any already.
  ForEachEntry(place, fill_entry, /*report=*/!type_key);
}

void Filler::UnknownField(const Message& message, const std::string& key, const Place& place) {
  const std::string& type = message.GetDescriptor()->full_name();
  if (contract::FieldNumber(type, SnakeCase(key))) {
    KeyError(place, "field " + SnakeCase(key) + " of " + type + " is not implemented", true);
  } else if (key == "<<") {
    KeyError(place, "merge keys are not supported; write the fields out");
  } else {
    KeyError(place, "unknown field of " + type + DidYouMean(key, FieldNames(*message.GetDescriptor())));
  }
}

void Filler::FillField(Message& message, const FieldDescriptor& field, const Place& place) {
  if (field.is_map()) {
    FillMap(message, field, place);
  } else if (field.is_repeated()) {
    FillList(message, field, place);
  } else {
    // A oneof member counts as set even when its value turns out wrong, else a second one would pass.
    FillValue(message, field, place);
  }
}

void Filler::FillList(Message& message, const FieldDescriptor& field, const Place& place) {
  if (!Enter(place)) return;
  if (!place.node.IsSequence()) {
    Error(place, "expected a list");
    return;
  }
  size_t index = 0;
  for (const YAML::Node& node : place.node) {
    Place element{
        .node = node, .path = ElementPath(place.path, index++), .depth = place.depth + 1, .at = node.Mark()};
    if (positions_ != nullptr) positions_->Record(element.path, source_.PositionOf(element.at));
    if (node.IsNull() && !TakesNull(field)) {
      Error(element, "expected a value, found null");
    } else {
      FillValue(message, field, element);
    }
  }
}

void Filler::FillMap(Message& message, const FieldDescriptor& field, const Place& place) {
  if (!Enter(place)) return;
  if (!place.node.IsMap()) {
    Error(place, "expected a map");
    return;
  }
  const FieldDescriptor& value_field = *field.message_type()->map_value();
  ForEachEntry(place, [&](const std::string& key, Place& value) {
    value.path = EntryPath(place.path, key);
    if (positions_ != nullptr) positions_->Record(value.path, source_.PositionOf(value.at));
    if (value.node.IsNull() && !TakesNull(value_field)) {
      Error(value, "expected a value, found null");
      return;
    }
    Message* entry = message.GetReflection()->AddMessage(&message, &field);
    SetMapKey(*entry, key, value);
    FillValue(*entry, value_field, value);
  });
}

void Filler::SetMapKey(Message& entry, const std::string& key, const Place& place) {
  const FieldDescriptor& field = *entry.GetDescriptor()->map_key();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    if (!IsUtf8(key)) Error(place, "expected valid UTF-8 in the key");
    entry.GetReflection()->SetString(&entry, &field, IsUtf8(key) ? key : "");
    return;
  }
  // JSON keys are strings whatever they mean.
  const Scalar scalar{.text = key, .quoted = false};
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) {
    const auto parsed = ParseBoolean(scalar);
    if (!parsed.value) Error(place, parsed.expected);
    entry.GetReflection()->SetBool(&entry, &field, parsed.value.value_or(false));
    return;
  }
  FillNumber(entry, field, place, scalar);
}

void Filler::FillValue(Message& message, const FieldDescriptor& field, const Place& place) {
  const Reflection& reflection = *message.GetReflection();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    Message* inner = field.is_repeated() ? reflection.AddMessage(&message, &field)
                                         : reflection.MutableMessage(&message, &field);
    FillMessage(*inner, place);
    return;
  }
  if (!Enter(place)) return;
  const std::optional<Scalar> scalar = ScalarOf(place, "expected a single value, not a list or map");
  if (!scalar) return;
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    FillEnum(message, field, place, *scalar);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    const bool bytes = field.type() == FieldDescriptor::TYPE_BYTES;
    Parsed<std::string> parsed = bytes ? ParseBytes(*scalar) : ParseText(*scalar);
    if (!parsed.value) Error(place, parsed.expected);
    Put<std::string>(message, field, std::move(parsed.value).value_or(""), &Reflection::SetString,
                     &Reflection::AddString);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) {
    const auto parsed = ParseBoolean(*scalar);
    if (!parsed.value) Error(place, parsed.expected);
    Put(message, field, parsed.value.value_or(false), &Reflection::SetBool, &Reflection::AddBool);
  } else {
    FillNumber(message, field, place, *scalar);
  }
}

void Filler::FillNumber(Message& message, const FieldDescriptor& field, const Place& place,
                        const Scalar& scalar) {
  const auto signed_value = [&](int64_t min, int64_t max) {
    const auto parsed = ParseSigned(scalar, min, max);
    if (!parsed.value) Error(place, parsed.expected);
    return parsed.value.value_or(0);
  };
  const auto unsigned_value = [&](uint64_t max) {
    const auto parsed = ParseUnsigned(scalar, max);
    if (!parsed.value) Error(place, parsed.expected);
    return parsed.value.value_or(0);
  };
  const auto floating_value = [&](double max) {
    const auto parsed = ParseFloating(scalar, max);
    if (!parsed.value) Error(place, parsed.expected);
    return parsed.value.value_or(0);
  };
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      Put(message, field, static_cast<int32_t>(signed_value(INT32_MIN, INT32_MAX)), &Reflection::SetInt32,
          &Reflection::AddInt32);
      break;
    case FieldDescriptor::CPPTYPE_INT64:
      Put(message, field, signed_value(INT64_MIN, INT64_MAX), &Reflection::SetInt64, &Reflection::AddInt64);
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
      Put(message, field, static_cast<uint32_t>(unsigned_value(UINT32_MAX)), &Reflection::SetUInt32,
          &Reflection::AddUInt32);
      break;
    case FieldDescriptor::CPPTYPE_UINT64:
      Put(message, field, unsigned_value(UINT64_MAX), &Reflection::SetUInt64, &Reflection::AddUInt64);
      break;
    case FieldDescriptor::CPPTYPE_FLOAT:
      Put(message, field, static_cast<float>(floating_value(std::numeric_limits<float>::max())),
          &Reflection::SetFloat, &Reflection::AddFloat);
      break;
    default:
      Put(message, field, floating_value(std::numeric_limits<double>::max()), &Reflection::SetDouble,
          &Reflection::AddDouble);
      break;
  }
}

void Filler::FillEnum(Message& message, const FieldDescriptor& field, const Place& place,
                      const Scalar& scalar) {
  const auto& type = *field.enum_type();
  const auto* value = type.FindValueByName(std::string(scalar.text));
  if (value == nullptr) {
    const auto number = ParseSigned(scalar, INT32_MIN, INT32_MAX);
    if (number.value) value = type.FindValueByNumber(static_cast<int>(*number.value));
  }
  if (value == nullptr) {
    std::vector<std::string> names;
    std::string listed;
    for (int i = 0; i < type.value_count(); ++i) {
      names.push_back(type.value(i)->name());
      listed += (i == 0 ? "" : ", ") + names.back();
    }
    Error(place, "expected one of " + listed + DidYouMean(scalar.text, names));
  }
  Put(message, field, value == nullptr ? type.value(0)->number() : value->number(), &Reflection::SetEnumValue,
      &Reflection::AddEnumValue);
}

std::optional<Scalar> Filler::ScalarOf(const Place& place, const std::string& expected) {
  if (!place.node.IsScalar()) {
    Error(place, expected);
    return std::nullopt;
  }
  const std::string& tag = place.node.Tag();
  return Scalar{.text = place.node.Scalar(), .quoted = tag == "!" || tag == "tag:yaml.org,2002:str"};
}

void Filler::Error(const Place& place, std::string message) {
  // An empty value has no place of its own, and a list or map that begins on the next line is found by its
  // key.
  AddError(place, place.node.IsScalar() ? place.node.Mark() : place.at, std::move(message), false);
}

void Filler::KeyError(const Place& place, std::string message, bool unimplemented) {
  AddError(place, place.at, std::move(message), unimplemented);
}

void Filler::AddError(const Place& place, const YAML::Mark& mark, std::string message, bool unimplemented) {
  if (errors_.size() >= kMaxDocumentErrors) return;
  errors_.push_back({.file = source_.name,
                     .position = source_.PositionOf(mark),
                     .path = place.path,
                     .message = std::move(message),
                     .unimplemented = unimplemented});
}

}  // namespace pillion::config
