// URL paths of google.api.http (google/api/http.proto): templates, and a table of them. No protobuf.
//
//   /v1/{name=shelves/*/books/*}:publish      Segment = * | ** | literal, or several of them as {field=...}
//
// `*` is one segment that is not empty; `**` is any number and comes last. Values: any thread.
#ifndef PILLION_SIDECAR_CONFIG_TRANSCODING_PATH_TEMPLATE_H_
#define PILLION_SIDECAR_CONFIG_TRANSCODING_PATH_TEMPLATE_H_

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pillion::config {

struct PathTemplate {
  enum class Kind : uint8_t { kLiteral, kOne, kRest };
  struct Segment {
    Kind kind;
    std::string text;
  };
  struct Variable {
    std::string field;  // dotted
    size_t first;       // its segments are [first, last)
    size_t last;
    bool rest;  // its last one is `**`: to the end of the path
  };
  std::vector<Segment> segments;
  std::vector<Variable> variables;
  std::string verb;
};

// nullopt when it is not one.
std::optional<PathTemplate> ParsePathTemplate(std::string_view text);

// A path cut at its slashes; views into it.
std::vector<std::string_view> SplitPath(std::string_view path);

// Templates by method and path. A literal is preferred to `*`, that to `**`, from the left.
class PathTable {
 public:
  PathTable();
  ~PathTable();
  // `value` is what Find answers. False: the same is there already.
  bool Add(const PathTemplate& path, const std::string& method, size_t value);
  // `method` itself is preferred to the method `*`.
  std::optional<size_t> Find(std::string_view method, const std::vector<std::string_view>& segments,
                             std::string_view verb) const;

 private:
  struct Node;
  static const size_t* Walk(const Node& node, std::string_view method,
                            const std::vector<std::string_view>& segments, size_t at, std::string_view verb);
  std::unique_ptr<Node> root_;
};

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_TRANSCODING_PATH_TEMPLATE_H_
