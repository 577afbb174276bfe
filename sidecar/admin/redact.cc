#include "sidecar/admin/redact.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>

#include <memory>
#include <string>

#include "envoy/config/core/v3/core.pb.h"

namespace pillion::admin {
namespace {

using envoy::config::core::v3::DataSource;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr char kRedacted[] = "[redacted]";

bool IsSecret(const FieldDescriptor& field) {
  const std::string& name = field.name();
  return field.message_type() == DataSource::descriptor() &&
         (name == "private_key" || name == "password" || name == "keys" || name == "key");
}

void RedactAny(google::protobuf::Any& any) {
  const std::string name = any.type_url().substr(any.type_url().rfind('/') + 1);
  const auto* type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  if (type == nullptr) return;
  const std::unique_ptr<Message> inner(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  if (!inner->ParseFromString(any.value())) return;
  RedactKeys(*inner);
  any.set_value(inner->SerializeAsString());
}

void RedactField(Message& value, const FieldDescriptor& field) {
  if (auto* any = dynamic_cast<google::protobuf::Any*>(&value)) return RedactAny(*any);
  if (!IsSecret(field)) return RedactKeys(value);
  auto& source = static_cast<DataSource&>(value);
  if (source.filename().empty()) source.set_inline_string(kRedacted);
}

}  // namespace

void RedactKeys(Message& message) {
  if (auto* any = dynamic_cast<google::protobuf::Any*>(&message)) return RedactAny(*any);
  const auto* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      RedactField(*reflection->MutableMessage(&message, field), *field);
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(message, field); ++i)
      RedactField(*reflection->MutableRepeatedMessage(&message, field, i), *field);
  }
}

}  // namespace pillion::admin
