// What routes write into the fields of messages.
#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <utility>

#include "sidecar/base/text.h"
#include "sidecar/config/editable_field.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/config/parse_edits.h"
#include "sidecar/http/scan.h"

namespace pillion::config {
namespace {

namespace core = envoy::config::core::v3;

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), AsciiLower);
  return lower;
}

// NAME or NAME(ARGUMENT), maybe followed by :LENGTH. Empty: it is one.
std::string ReadCommand(std::string_view command, TextFormat::Piece& piece) {
  using Kind = TextFormat::Kind;
  std::string_view rest = command;
  const size_t open = command.find_first_of("(:");
  const std::string_view name = command.substr(0, open);
  std::string_view argument;
  rest = open == std::string_view::npos ? std::string_view() : command.substr(open);
  if (rest.starts_with('(')) {
    const size_t close = rest.find(')');
    if (close == std::string_view::npos) return "expected a ) after %" + std::string(command);
    argument = rest.substr(1, close - 1);
    rest = rest.substr(close + 1);
  }
  if (name == "REQ" || name == "RESP") {
    const bool of_request = name == "REQ";
    piece.kind = of_request ? Kind::kRequestField : Kind::kResponseField;
    const auto field = of_request ? RequestFieldName : Lower;
    const size_t mark = argument.find('?');
    piece.text = field(argument.substr(0, mark));
    if (mark != std::string_view::npos) piece.otherwise = field(argument.substr(mark + 1));
    if (piece.text.empty()) return "expected %" + std::string(name) + "(FIELD)%";
  } else if (!argument.empty()) {
    return "expected %" + std::string(name) + "% without (...)";
  } else if (name == "DOWNSTREAM_REMOTE_ADDRESS") {
    piece.kind = Kind::kClient;
  } else if (name == "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT") {
    piece.kind = Kind::kClientWithoutPort;
  } else if (name == "PROTOCOL") {
    piece.kind = Kind::kProtocol;
  } else if (name == "ROUTE_NAME") {
    piece.kind = Kind::kRoute;
  } else if (name == "UPSTREAM_CLUSTER") {
    piece.kind = Kind::kCluster;
  } else {
    return "expected %REQ(FIELD)%, %RESP(FIELD)%, %DOWNSTREAM_REMOTE_ADDRESS%, "
           "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%, %PROTOCOL%, %ROUTE_NAME% or %UPSTREAM_CLUSTER% (%% for "
           "a %), not %" +
           std::string(name) + "%";
  }
  if (rest.empty()) return "";
  if (!rest.starts_with(':')) return "expected :LENGTH behind %" + std::string(name);
  rest.remove_prefix(1);
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), piece.most);
  if (error != std::errc() || end != rest.data() + rest.size())
    return "expected :LENGTH behind %" + std::string(name);
  return "";
}

// Empty: it is one.
std::string ReadFormat(std::string_view text, TextFormat& format) {
  std::string plain;
  const auto flush = [&] {
    if (plain.empty()) return;
    format.pieces.push_back({.text = std::exchange(plain, "")});
  };
  while (!text.empty()) {
    const size_t mark = text.find('%');
    plain.append(text.substr(0, mark));
    if (mark == std::string_view::npos) break;
    text.remove_prefix(mark + 1);
    if (text.starts_with('%')) {
      plain += '%';
      text.remove_prefix(1);
      continue;
    }
    const size_t end = text.find('%');
    if (end == std::string_view::npos) return "expected a second % (%% for a % itself)";
    flush();
    TextFormat::Piece& piece = format.pieces.emplace_back();
    if (std::string error = ReadCommand(text.substr(0, end), piece); !error.empty()) return error;
    text.remove_prefix(end + 1);
  }
  flush();
  return "";
}

std::string ReadName(const std::string& name, const std::string& path, ConfigErrors& errors) {
  std::string lower = Lower(name);
  if (const std::string_view why = WhyNotEditable(lower); !why.empty()) {
    Add(errors, path, std::string(why));
  } else if (!IsFieldName(lower)) {
    Add(errors, path, "expected a field name");
  }
  return lower;
}

HeaderEdit ReadAdded(const core::HeaderValueOption& proto, const std::string& path, ConfigErrors& errors) {
  using Option = core::HeaderValueOption;
  HeaderEdit edit;
  const std::string header_path = FieldPath(path, "header");
  edit.name = ReadName(proto.header().key(), FieldPath(header_path, "key"), errors);
  const bool raw = !proto.header().raw_value().empty();
  const std::string& value = raw ? proto.header().raw_value() : proto.header().value();
  const std::string value_path = FieldPath(header_path, raw ? "raw_value" : "value");
  if (value.size() > kMaxEditBytes) {
    Add(errors, value_path, "expected at most " + std::to_string(kMaxEditBytes) + " bytes");
  } else if (http::SkipText(value.data(), value.data() + value.size()) != value.data() + value.size()) {
    Add(errors, value_path, "expected no control bytes");
  } else if (std::string error = ReadFormat(value, edit.value); !error.empty()) {
    Add(errors, value_path, std::move(error));
  }
  edit.keep_empty = proto.keep_empty_value();
  switch (proto.append_action()) {
    case Option::APPEND_IF_EXISTS_OR_ADD:
      edit.action = HeaderEdit::Action::kAppend;
      break;
    case Option::ADD_IF_ABSENT:
      edit.action = HeaderEdit::Action::kAddIfAbsent;
      break;
    case Option::OVERWRITE_IF_EXISTS_OR_ADD:
      edit.action = HeaderEdit::Action::kOverwrite;
      break;
    case Option::OVERWRITE_IF_EXISTS:
      edit.action = HeaderEdit::Action::kOverwriteIfExists;
      break;
    default:
      Add(errors, FieldPath(path, "append_action"), "expected a HeaderAppendAction");
      break;
  }
  if (proto.has_append()) {
    if (proto.append_action() != Option::APPEND_IF_EXISTS_OR_ADD)
      Add(errors, FieldPath(path, "append"), "expected append or append_action, not both");
    if (!proto.append().value()) edit.action = HeaderEdit::Action::kOverwrite;
  }
  return edit;
}

}  // namespace

HeaderEdits ReadEdits(const google::protobuf::RepeatedPtrField<core::HeaderValueOption>& add,
                      const google::protobuf::RepeatedPtrField<std::string>& remove, const std::string& path,
                      std::string_view side, ConfigErrors& errors) {
  HeaderEdits edits;
  const std::string remove_path = FieldPath(path, std::string(side) + "_headers_to_remove");
  const std::string add_path = FieldPath(path, std::string(side) + "_headers_to_add");
  edits.reserve(static_cast<size_t>(add.size()) + static_cast<size_t>(remove.size()));
  for (int i = 0; i < remove.size(); ++i) {
    HeaderEdit& edit = edits.emplace_back();
    edit.name = ReadName(remove[i], ElementPath(remove_path, static_cast<size_t>(i)), errors);
  }
  for (int i = 0; i < add.size(); ++i)
    edits.push_back(ReadAdded(add[i], ElementPath(add_path, static_cast<size_t>(i)), errors));
  return edits;
}

}  // namespace pillion::config
