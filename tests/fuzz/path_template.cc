// Templates of paths, and which of them a path finds: a template is read again from what it says, and a table
// finds the most exact one of those that a plain matcher finds.
//
//   byte 0: how many templates, each behind its length with a byte before it for its method; then a path, and
//   behind it a verb
#include "sidecar/config/transcoding/path_template.h"

#include "sidecar/base/check.h"
#include "tests/fuzz/input.h"

namespace pillion::fuzz {
namespace {

using config::PathTemplate;
using Kind = PathTemplate::Kind;

std::string Written(const PathTemplate& path) {
  std::string text;
  for (size_t i = 0; i < path.segments.size(); ++i) {
    text += '/';
    for (const PathTemplate::Variable& variable : path.variables) {
      if (variable.first == i) text += "{" + variable.field + "=";
    }
    text += path.segments[i].text;
    for (const PathTemplate::Variable& variable : path.variables) {
      if (variable.last == i + 1) text += '}';
    }
  }
  return path.verb.empty() ? text : text + ":" + path.verb;
}

void CheckTemplate(const PathTemplate& path) {
  PILLION_CHECK(!path.segments.empty());
  size_t at = 0;
  for (const PathTemplate::Variable& variable : path.variables) {
    PILLION_CHECK(at <= variable.first && variable.first < variable.last);
    at = variable.last;
    PILLION_CHECK(at <= path.segments.size());
    PILLION_CHECK(variable.rest == (path.segments[at - 1].kind == Kind::kRest));
  }
  const auto again = config::ParsePathTemplate(Written(path));
  PILLION_CHECK(again && Written(*again) == Written(path) && again->verb == path.verb);
  PILLION_CHECK(again->segments.size() == path.segments.size() &&
                again->variables.size() == path.variables.size());
}

bool Matches(const PathTemplate& path, const std::vector<std::string_view>& segments, std::string_view verb) {
  const bool rest = path.segments.back().kind == Kind::kRest;
  const size_t fixed = path.segments.size() - (rest ? 1 : 0);
  if (path.verb != verb || (rest ? segments.size() < fixed : segments.size() != fixed)) return false;
  for (size_t i = 0; i < fixed; ++i) {
    const PathTemplate::Segment& wanted = path.segments[i];
    if (wanted.kind == Kind::kLiteral ? wanted.text != segments[i] : segments[i].empty()) return false;
  }
  return true;
}

struct Entry {
  PathTemplate path;
  std::string method;
  // The smaller, the more exact: a literal before `*`, that before `**`, from the left; then the method.
  std::string rank;
};

Entry MakeEntry(PathTemplate path, bool any_method) {
  Entry entry{std::move(path), any_method ? "*" : "GET", {}};
  for (const PathTemplate::Segment& segment : entry.path.segments)
    entry.rank += segment.kind == Kind::kLiteral ? 'b' : segment.kind == Kind::kOne ? 'c' : 'd';
  entry.rank += any_method ? "aa" : "a";
  return entry;
}

void Check(Input input) {
  config::PathTable table;
  std::vector<Entry> entries;
  for (int i = input.Byte() % 8; i > 0; --i) {
    const bool any_method = (input.Byte() & 1) != 0;
    auto path = config::ParsePathTemplate(input.Text());
    if (!path) continue;
    CheckTemplate(*path);
    Entry entry = MakeEntry(*std::move(path), any_method);
    if (table.Add(entry.path, entry.method, entries.size())) entries.push_back(std::move(entry));
  }
  const std::string_view path = input.Text();
  const std::string_view verb = input.Rest();
  const std::vector<std::string_view> segments = config::SplitPath(path);
  std::string joined;
  for (const std::string_view segment : segments) joined.append(1, '/').append(segment);
  PILLION_CHECK(joined == (path.starts_with('/') ? "" : "/") + std::string(path));
  const Entry* best = nullptr;
  for (const Entry& entry : entries) {
    if (Matches(entry.path, segments, verb) && (best == nullptr || entry.rank < best->rank)) best = &entry;
  }
  const auto found = table.Find("GET", segments, verb);
  PILLION_CHECK(found.has_value() == (best != nullptr));
  PILLION_CHECK(!found || &entries[*found] == best);
}

}  // namespace
}  // namespace pillion::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pillion::fuzz::Check(pillion::fuzz::Input(data, size));
  return 0;
}
