#include "sidecar/config/transcoding/path_template.h"

#include <algorithm>

namespace pillion::config {
namespace {

using Kind = PathTemplate::Kind;

bool IsFieldPathCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

// "a.b": names of letters, digits and _, none of them empty.
bool IsFieldPath(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, IsFieldPathCharacter) && !text.starts_with('.') &&
         !text.ends_with('.') && text.find("..") == std::string_view::npos;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  std::optional<PathTemplate> Parse() {
    if (!Take('/') || !Segments(true)) return std::nullopt;
    if (Take(':')) {
      result_.verb = std::string(rest_);
      if (result_.verb.empty() || result_.verb.find_first_of("/:{}*") != std::string::npos)
        return std::nullopt;
      rest_ = {};
    }
    if (!rest_.empty()) return std::nullopt;
    // `**` has to be the last segment of all.
    for (size_t i = 0; i + 1 < result_.segments.size(); ++i) {
      if (result_.segments[i].kind == Kind::kRest) return std::nullopt;
    }
    return std::move(result_);
  }

 private:
  bool Take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool Segments(bool variables) {
    do {
      if (!(variables && rest_.starts_with('{') ? Variable() : Segment())) return false;
    } while (Take('/'));
    return true;
  }

  bool Segment() {
    const std::string_view text = rest_.substr(0, rest_.find_first_of("/:{}="));
    if (text.empty()) return false;
    rest_.remove_prefix(text.size());
    const Kind kind = text == "*" ? Kind::kOne : text == "**" ? Kind::kRest : Kind::kLiteral;
    if (kind == Kind::kLiteral && text.find('*') != std::string_view::npos) return false;
    result_.segments.push_back({kind, std::string(text)});
    return true;
  }

  bool Variable() {
    Take('{');
    const std::string_view field = rest_.substr(0, rest_.find_first_of("=}"));
    if (!IsFieldPath(field)) return false;
    rest_.remove_prefix(field.size());
    const size_t first = result_.segments.size();
    if (Take('=')) {
      if (!Segments(false)) return false;
    } else {
      result_.segments.push_back({Kind::kOne, "*"});
    }
    if (!Take('}')) return false;
    result_.variables.push_back(
        {std::string(field), first, result_.segments.size(), result_.segments.back().kind == Kind::kRest});
    return true;
  }

  std::string_view rest_;
  PathTemplate result_;
};

}  // namespace

std::optional<PathTemplate> ParsePathTemplate(std::string_view text) { return Parser(text).Parse(); }

std::vector<std::string_view> SplitPath(std::string_view path) {
  std::vector<std::string_view> segments;
  if (path.starts_with('/')) path.remove_prefix(1);
  while (true) {
    const size_t slash = path.find('/');
    segments.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return segments;
    path.remove_prefix(slash + 1);
  }
}

struct PathTable::Node {
  std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
  std::unique_ptr<Node> one;
  std::unique_ptr<Node> rest;
  // By verb, then method.
  std::map<std::string, std::map<std::string, size_t, std::less<>>, std::less<>> ends;
};

PathTable::PathTable() : root_(std::make_unique<Node>()) {}
PathTable::~PathTable() = default;

bool PathTable::Add(const PathTemplate& path, const std::string& method, size_t value) {
  Node* node = root_.get();
  for (const PathTemplate::Segment& segment : path.segments) {
    std::unique_ptr<Node>& next = segment.kind == Kind::kLiteral ? node->literals[segment.text]
                                  : segment.kind == Kind::kOne   ? node->one
                                                                 : node->rest;
    if (next == nullptr) next = std::make_unique<Node>();
    node = next.get();
  }
  return node->ends[path.verb].emplace(method, value).second;
}

// Each node is entered once at most: its depth is the segment's number.
const size_t* PathTable::Walk(const Node& node, std::string_view method,
                              const std::vector<std::string_view>& segments, size_t at,
                              std::string_view verb) {
  const auto end = [&](const Node& last) -> const size_t* {
    const auto by_method = last.ends.find(verb);
    if (by_method == last.ends.end()) return nullptr;
    auto found = by_method->second.find(method);
    if (found == by_method->second.end()) found = by_method->second.find(std::string_view("*"));
    return found == by_method->second.end() ? nullptr : &found->second;
  };
  if (at == segments.size()) {
    if (const size_t* const found = end(node)) return found;
  } else {
    if (const auto next = node.literals.find(segments[at]); next != node.literals.end()) {
      if (const size_t* const found = Walk(*next->second, method, segments, at + 1, verb)) return found;
    }
    if (node.one != nullptr && !segments[at].empty()) {
      if (const size_t* const found = Walk(*node.one, method, segments, at + 1, verb)) return found;
    }
  }
  return node.rest == nullptr ? nullptr : end(*node.rest);
}

std::optional<size_t> PathTable::Find(std::string_view method, const std::vector<std::string_view>& segments,
                                      std::string_view verb) const {
  const size_t* const found = Walk(*root_, method, segments, 0, verb);
  return found == nullptr ? std::nullopt : std::optional(*found);
}

}  // namespace pillion::config
