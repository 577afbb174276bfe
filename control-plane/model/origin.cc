#include "control-plane/model/origin.h"

#include <algorithm>

namespace pillion::control {
namespace {

// The loader spells unknown names as it spells ours.
std::string CamelCase(const std::string& name) {
  std::string camel;
  for (const char c : name) {
    if (!camel.empty() && camel.back() == '_' && c >= 'a' && c <= 'z') {
      camel.back() = static_cast<char>(c - 'a' + 'A');
    } else {
      camel += c;
    }
  }
  return camel;
}

}  // namespace

std::string ShownPath(const google::protobuf::Descriptor& type, std::string_view path) {
  std::string shown;
  const google::protobuf::Descriptor* message = &type;
  while (!path.empty()) {
    // A name, then what follows it up to the next name: indices, keys, the dot.
    const size_t name_end = std::min(path.find_first_of(".["), path.size());
    const std::string name(path.substr(0, name_end));
    const google::protobuf::FieldDescriptor* field =
        message == nullptr ? nullptr : message->FindFieldByName(name);
    shown += field == nullptr ? CamelCase(name) : field->json_name();
    message = field == nullptr ? nullptr : field->message_type();
    path.remove_prefix(name_end);
    if (path.starts_with("[\"")) {
      // A key of a map may hold anything, also dots; it ends the part whose names are ours.
      shown += path;
      return shown;
    }
    const size_t next = path.find('.');
    if (next == std::string_view::npos) return shown.append(path);
    shown += path.substr(0, next + 1);
    path.remove_prefix(next + 1);
  }
  return shown;
}

}  // namespace pillion::control
