#include "sidecar/config/unknown_fields.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/unknown_field_set.h>

#include <memory>
#include <set>

#include "sidecar/config/contract/contract.h"
#include "sidecar/config/field_path.h"

namespace pillion::config {
namespace {

using google::protobuf::Any;
using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::Reflection;

void Walk(const Message& message, const std::string& path, int depth, std::vector<UnknownField>& out);

void ListUnknown(const Message& message, const std::string& path, std::vector<UnknownField>& out) {
  const auto& fields = message.GetReflection()->GetUnknownFields(message);
  std::set<int> numbers;
  for (int i = 0; i < fields.field_count(); ++i) numbers.insert(fields.field(i).number());
  const std::string& type = message.GetDescriptor()->full_name();
  for (const int number : numbers) {
    const auto name = contract::FieldName(type, number);
    std::string said = "field ";
    said.append(name ? std::string(*name) : "number " + std::to_string(number));
    said.append(" of ").append(type).append(" is not implemented");
    out.push_back({.path = FieldPath(path, std::to_string(number)), .message = std::move(said)});
  }
}

void WalkAny(const Any& any, const std::string& path, int depth, std::vector<UnknownField>& out) {
  const std::string& url = any.type_url();
  const Descriptor* type =
      DescriptorPool::generated_pool()->FindMessageTypeByName(url.substr(url.rfind('/') + 1));
  // What a type that we do not have is good for is the business of whoever reads that Any.
  if (type == nullptr) return;
  const std::unique_ptr<Message> inner(MessageFactory::generated_factory()->GetPrototype(type)->New());
  if (!inner->ParseFromString(any.value())) {
    out.push_back(
        {.path = FieldPath(path, "value"), .message = "expected a serialized " + type->full_name()});
    return;
  }
  Walk(*inner, path, depth + 1, out);
}

void WalkField(const Message& message, const FieldDescriptor& field, const std::string& path, int depth,
               std::vector<UnknownField>& out) {
  const Reflection& reflection = *message.GetReflection();
  const std::string field_path = FieldPath(path, field.name());
  if (!field.is_repeated()) {
    Walk(reflection.GetMessage(message, &field), field_path, depth + 1, out);
    return;
  }
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    const Message& element = reflection.GetRepeatedMessage(message, &field, i);
    if (!field.is_map()) {
      Walk(element, ElementPath(field_path, static_cast<size_t>(i)), depth + 1, out);
      continue;
    }
    const FieldDescriptor* value = field.message_type()->map_value();
    const FieldDescriptor* key = field.message_type()->map_key();
    if (value->message_type() == nullptr) continue;
    const bool text = key->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
    const std::string name = text ? element.GetReflection()->GetString(element, key) : std::to_string(i);
    Walk(element.GetReflection()->GetMessage(element, value), EntryPath(field_path, name), depth + 1, out);
  }
}

void Walk(const Message& message, const std::string& path, int depth, std::vector<UnknownField>& out) {
  if (depth > kMaxMessageDepth) {
    out.push_back(
        {.path = FieldPath(path, "value"),
         .message = "expected at most " + std::to_string(kMaxMessageDepth) + " levels of messages"});
    return;
  }
  ListUnknown(message, path, out);
  if (message.GetDescriptor() == Any::descriptor()) {
    WalkAny(static_cast<const Any&>(message), path, depth, out);
    return;
  }
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->message_type() != nullptr) WalkField(message, *field, path, depth, out);
  }
}

}  // namespace

std::vector<UnknownField> UnknownFields(const Message& message) {
  std::vector<UnknownField> out;
  Walk(message, "", 0, out);
  return out;
}

}  // namespace pillion::config
