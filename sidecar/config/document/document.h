// Reads YAML and JSON documents into protobuf messages: the only way in which Pillion reads files.
//
//   text --ParseDocuments--> documents (YAML nodes with places) --Fill--> message, errors, places by path
//
// Accepted is what proto3 JSON accepts (camelCase and snake_case names, numbers as strings, enums by name or
// number, Duration as "1.5s", bytes as base64, wrappers as bare values, Any with "@type" and its fields
// beside it) in YAML syntax, of which JSON is a part (but for names of more than 1024 characters). protobuf's
// own JSON parser is not used: it has no lines, stops at the first error, loses the path inside Any and takes
// duplicate keys.
//
// Not accepted, each an error with file, line, column and path, and all of them listed: unknown fields (a
// field that Envoy has and we do not is called unimplemented), unknown types, duplicate keys, wrong types,
// numbers out of range, two members of one oneof, null in a list, custom tags. Limits: limits.h.
//
// Pure: no files are opened here. Errors are values; no exception leaves. Any thread.
#ifndef PILLION_SIDECAR_CONFIG_DOCUMENT_DOCUMENT_H_
#define PILLION_SIDECAR_CONFIG_DOCUMENT_DOCUMENT_H_

#include <google/protobuf/message.h>
#include <yaml-cpp/yaml.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pillion::config {

// Counted from 1; 0: not known.
struct Position {
  int line = 0;
  int column = 0;
  bool operator==(const Position&) const = default;
};

struct DocumentError {
  std::string file;
  Position position;
  std::string path;     // field_path.h; "" when it concerns the document as a whole
  std::string message;  // what was expected
  // The field exists in Envoy and is not implemented: --unsupported-fields=warn may let it pass.
  bool unimplemented = false;

  // "file:line:column: path: message", without what is not known.
  std::string ToString() const;
};

// Where each field of a message stood in its file. Validation finds errors by path after the file is gone
// from sight; this gives them their line.
class Positions {
 public:
  void Record(std::string path, Position position) { by_path_.insert_or_assign(std::move(path), position); }
  // Of the field at `path`, else of the nearest one around it.
  Position Of(std::string_view path) const;

 private:
  std::map<std::string, Position, std::less<>> by_path_;
};

struct SourceFile;

// One YAML document of a file. A value; shares the nodes with its copies.
class Document {
 public:
  Document(const YAML::Node& root, std::shared_ptr<const SourceFile> source);

  const YAML::Node& root() const { return root_; }
  // A part of this document, e.g. an item of a Kubernetes List.
  Document Part(const YAML::Node& node) const { return {node, source_}; }

  // The text of a top-level entry such as "kind"; nothing when the entry is not there or is not a scalar.
  std::optional<std::string> Text(std::string_view key) const;

  // An error about this document, e.g. an unknown kind. `key`: the top-level entry that it is about, or "".
  DocumentError ErrorAt(std::string_view key, std::string message) const;

  // Sets in `message` (a generated one; empty) what the document says. Returns every error, in file order;
  // with errors the message holds what was right and must not be used. `positions` may be null.
  std::vector<DocumentError> Fill(google::protobuf::Message& message, Positions* positions = nullptr) const;

 private:
  YAML::Node root_;
  std::shared_ptr<const SourceFile> source_;
};

struct ParsedDocuments {
  std::vector<Document> documents;    // empty ones between `---` lines are left out
  std::vector<DocumentError> errors;  // at most one: after a syntax error nothing is known
};

// `file` is the name to show.
ParsedDocuments ParseDocuments(std::string_view text, std::string_view file);

// For a file that holds exactly one document.
std::vector<DocumentError> LoadDocument(std::string_view text, std::string_view file,
                                        google::protobuf::Message& message, Positions* positions = nullptr);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_DOCUMENT_DOCUMENT_H_
