// The types that JSON writes in a form of their own.
#include <google/protobuf/any.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/empty.pb.h>
#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/time_util.h>
#include <google/protobuf/wrappers.pb.h>

#include <cmath>
#include <memory>
#include <set>
#include <utility>

#include "sidecar/base/serialize_in_order.h"
#include "sidecar/config/contract/contract.h"
#include "sidecar/config/document/filler.h"
#include "sidecar/config/field_path.h"

namespace pillion::config {
namespace {

using google::protobuf::Any;
using google::protobuf::Descriptor;
using google::protobuf::Duration;
using google::protobuf::ListValue;
using google::protobuf::Message;
using google::protobuf::Struct;
using google::protobuf::Timestamp;
using google::protobuf::Value;

constexpr char kTypePrefix[] = "type.googleapis.com/";
// The range of google.protobuf.Duration, 10,000 years.
constexpr int64_t kMaxDurationSeconds = 315'576'000'000;
constexpr size_t kNanoDigits = 9;

const std::set<const Descriptor*>& Wrappers() {
  static const std::set<const Descriptor*> types = {
      google::protobuf::BoolValue::descriptor(),   google::protobuf::BytesValue::descriptor(),
      google::protobuf::DoubleValue::descriptor(), google::protobuf::FloatValue::descriptor(),
      google::protobuf::Int32Value::descriptor(),  google::protobuf::Int64Value::descriptor(),
      google::protobuf::StringValue::descriptor(), google::protobuf::UInt32Value::descriptor(),
      google::protobuf::UInt64Value::descriptor()};
  return types;
}

// "1.5s": an optional minus, seconds, up to nine decimals.
bool ParseDuration(std::string_view text, Duration& duration) {
  const bool negative = text.starts_with("-");
  if (negative) text.remove_prefix(1);
  if (!text.ends_with("s")) return false;
  text.remove_suffix(1);
  const size_t point = text.find('.');
  std::string nanos(point == std::string_view::npos ? "" : text.substr(point + 1));
  if (point != std::string_view::npos && (nanos.empty() || nanos.size() > kNanoDigits)) return false;
  nanos.resize(kNanoDigits, '0');
  int64_t parts[2] = {0, 0};
  const std::string_view texts[2] = {text.substr(0, point), nanos};
  for (int i = 0; i < 2; ++i) {
    if (texts[i].empty() || texts[i].size() > 12) return false;
    for (const char c : texts[i]) {
      if (c < '0' || c > '9') return false;
      parts[i] = parts[i] * 10 + (c - '0');
    }
  }
  if (parts[0] > kMaxDurationSeconds || (parts[0] == kMaxDurationSeconds && parts[1] > 0)) return false;
  duration.set_seconds(negative ? -parts[0] : parts[0]);
  duration.set_nanos(static_cast<int32_t>(negative ? -parts[1] : parts[1]));
  return true;
}

}  // namespace

bool HasJsonForm(const Descriptor& type) {
  return &type == Any::descriptor() || &type == Duration::descriptor() || &type == Timestamp::descriptor() ||
         &type == Struct::descriptor() || &type == Value::descriptor() || &type == ListValue::descriptor() ||
         &type == google::protobuf::Empty::descriptor() ||
         &type == google::protobuf::FieldMask::descriptor() || Wrappers().contains(&type);
}

bool Filler::FillWellKnown(Message& message, const Place& place) {
  const Descriptor* type = message.GetDescriptor();
  if (!HasJsonForm(*type) || type == google::protobuf::Empty::descriptor()) return false;
  if (Wrappers().contains(type)) {
    FillWrapper(message, place);
  } else if (type == Any::descriptor()) {
    FillAny(static_cast<Any&>(message), place);
  } else if (type == Struct::descriptor()) {
    FillStruct(static_cast<Struct&>(message), place);
  } else if (type == ListValue::descriptor()) {
    FillListValue(static_cast<ListValue&>(message), place);
  } else if (type == Value::descriptor()) {
    FillDynamicValue(static_cast<Value&>(message), place);
  } else {
    FillFromText(message, place);
  }
  return true;
}

void Filler::FillFromText(Message& message, const Place& place) {
  const Descriptor* type = message.GetDescriptor();
  if (type == Duration::descriptor()) {
    const std::string expected = "expected a duration in seconds such as 1.5s";
    const std::optional<Scalar> scalar = ScalarOf(place, expected);
    if (scalar && !ParseDuration(scalar->text, static_cast<Duration&>(message))) Error(place, expected);
    return;
  }
  if (type == Timestamp::descriptor()) {
    const std::string expected = "expected a time such as 2026-01-02T03:04:05Z";
    const std::optional<Scalar> scalar = ScalarOf(place, expected);
    auto* timestamp = static_cast<Timestamp*>(&message);
    if (scalar && !google::protobuf::util::TimeUtil::FromString(std::string(scalar->text), timestamp)) {
      Error(place, expected);
    }
    return;
  }
  Error(place, "cannot be written in a document: " + type->full_name());
}

void Filler::FillWrapper(Message& message, const Place& place) {
  // The value is no level of its own: it is counted where it stands.
  FillValue(message, *message.GetDescriptor()->FindFieldByNumber(1), place);
}

void Filler::FillAny(Any& any, const Place& place) {
  if (!place.node.IsMap()) {
    Error(place, "expected a map with \"@type\" and the fields of that type");
    return;
  }
  std::optional<Place> type_place, value_place;
  bool others = false;
  ForEachEntry(place, [&](const std::string& key, Place& value) {
    if (key == "@type") {
      type_place = value;
    } else if (key == "value") {
      value_place = value;
    } else {
      others = true;
    }
  });
  if (!type_place) {
    if (others || value_place) Error(place, "expected \"@type\" beside the fields");
    return;
  }
  type_place->path = FieldPath(place.path, "@type");
  const std::optional<Scalar> url = ScalarOf(*type_place, "expected the name of a type");
  if (!url) return;
  const std::string name(url->text.substr(url->text.rfind('/') + 1));
  const Descriptor* type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  if (type == nullptr) {
    const bool envoy = contract::HasMessage(name);
    if (envoy) {
      KeyError(*type_place, "type " + name + " is not implemented", true);
    } else {
      Error(*type_place, "expected \"" + std::string(kTypePrefix) + "\" and a known type");
    }
    return;
  }
  const Message* prototype = google::protobuf::MessageFactory::generated_factory()->GetPrototype(type);
  const std::unique_ptr<Message> inner(prototype->New());
  if (HasJsonForm(*type) && type != google::protobuf::Empty::descriptor()) {
    if (others) {
      Error(place, "expected \"value\" and nothing else beside this \"@type\"");
      return;
    }
    // protobuf's printer leaves a default value out.
    if (value_place) {
      value_place->path = FieldPath(place.path, "value");
      FillMessage(*inner, *value_place);
    }
  } else {
    FillMessage(*inner, place, /*type_key=*/true);
  }
  any.set_type_url(kTypePrefix + name);
  any.set_value(SerializeInOrder(*inner));
}

void Filler::FillStruct(Struct& fields, const Place& place) {
  if (!place.node.IsMap()) {
    Error(place, "expected a map");
    return;
  }
  ForEachEntry(place, [&](const std::string& key, Place& value) {
    value.path = EntryPath(place.path, key);
    if (!IsUtf8(key)) {
      Error(value, "expected valid UTF-8 in the key");
      return;
    }
    if (positions_ != nullptr) positions_->Record(value.path, source_.PositionOf(value.at));
    FillMessage((*fields.mutable_fields())[key], value);
  });
}

void Filler::FillListValue(ListValue& list, const Place& place) {
  if (!place.node.IsSequence()) {
    Error(place, "expected a list");
    return;
  }
  size_t index = 0;
  for (const YAML::Node& node : place.node) {
    FillMessage(*list.add_values(), {.node = node,
                                     .path = ElementPath(place.path, index++),
                                     .depth = place.depth + 1,
                                     .at = node.Mark()});
  }
}

void Filler::FillDynamicValue(Value& value, const Place& place) {
  if (place.node.IsNull()) {
    value.set_null_value(google::protobuf::NULL_VALUE);
  } else if (place.node.IsMap()) {
    FillStruct(*value.mutable_struct_value(), place);
  } else if (place.node.IsSequence()) {
    FillListValue(*value.mutable_list_value(), place);
  } else if (const std::optional<Scalar> scalar = ScalarOf(place, "expected a value")) {
    if (TypeOf(*scalar) == ScalarType::kBool) {
      value.set_bool_value(ParseBoolean(*scalar).value.value_or(false));
    } else if (TypeOf(*scalar) == ScalarType::kNumber) {
      const auto number = ParseFloating(*scalar);
      // JSON has no way to write what is not finite.
      const bool finite = number.value && std::isfinite(*number.value);
      if (!finite) Error(place, number.value ? "expected a finite number" : number.expected);
      value.set_number_value(finite ? *number.value : 0);
    } else {
      const auto text = ParseText(*scalar);
      if (!text.value) Error(place, text.expected);
      value.set_string_value(text.value.value_or(""));
    }
  }
}

}  // namespace pillion::config
