#include "sidecar/route/edits.h"

#include <algorithm>

#include "sidecar/route/match.h"

namespace pillion::route {
namespace {

std::string_view FieldOf(const http::RequestHead& head, std::string_view name) {
  if (name.starts_with(':')) return RequestLineField(head, name).value_or("");
  return head.headers.Find(name).value_or("");
}

std::string_view WithoutPort(std::string_view address) {
  if (address.starts_with('[')) return address.substr(1, address.find(']') - 1);
  return address.substr(0, address.rfind(':'));
}

}  // namespace

std::string FillIn(const config::TextFormat& format, const EditFacts& facts) {
  using Kind = config::TextFormat::Kind;
  std::string text;
  for (const config::TextFormat::Piece& piece : format.pieces) {
    std::string_view value;
    switch (piece.kind) {
      case Kind::kText:
        value = piece.text;
        break;
      case Kind::kRequestField:
        value = FieldOf(facts.request, piece.text);
        if (value.empty() && !piece.otherwise.empty()) value = FieldOf(facts.request, piece.otherwise);
        break;
      case Kind::kResponseField:
        if (facts.response == nullptr) break;
        value = facts.response->Find(piece.text).value_or("");
        if (value.empty() && !piece.otherwise.empty())
          value = facts.response->Find(piece.otherwise).value_or("");
        break;
      case Kind::kClient:
        value = facts.client;
        break;
      case Kind::kClientWithoutPort:
        value = WithoutPort(facts.client);
        break;
      case Kind::kProtocol:
        value = http::ToString(facts.request.version);
        break;
      case Kind::kRoute:
        value = facts.route;
        break;
      case Kind::kCluster:
        value = facts.cluster;
        break;
    }
    text.append(value.substr(0, piece.most));
  }
  // RFC 9110 section 5.5: blanks at the ends are no part of a value, and HTTP/2 refuses them.
  const size_t last = text.find_last_not_of(" \t");
  text.resize(last == std::string::npos ? 0 : last + 1);
  return text.erase(0, std::min(text.find_first_not_of(" \t"), text.size()));
}

void Apply(const config::HeaderEdits& edits, const EditFacts& facts, http::HeaderList& fields) {
  using Action = config::HeaderEdit::Action;
  for (const config::HeaderEdit& edit : edits) {
    if (edit.action == Action::kRemove) {
      fields.Remove(edit.name);
      continue;
    }
    const bool there = fields.Find(edit.name).has_value();
    if (there ? edit.action == Action::kAddIfAbsent : edit.action == Action::kOverwriteIfExists) continue;
    const std::string value = FillIn(edit.value, facts);
    if (value.empty() && !edit.keep_empty) continue;
    if (edit.action == Action::kAppend || !there) {
      fields.Add(edit.name, value);
    } else {
      fields.Remove(edit.name);
      fields.Add(edit.name, value);
    }
  }
}

}  // namespace pillion::route
