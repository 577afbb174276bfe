// What a descriptor set and its google.api.http options say: which HTTP request is which gRPC method, and how
// the messages look. Built once per configuration; immutable, any thread.
#ifndef PILLION_SIDECAR_CONFIG_TRANSCODING_TRANSCODING_H_
#define PILLION_SIDECAR_CONFIG_TRANSCODING_TRANSCODING_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/type_resolver.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/config/transcoding/path_template.h"

namespace pillion::config {

struct TranscodingOptions {
  bool add_whitespace = false;
  bool print_defaults = false;
  bool print_enums_as_ints = false;
  bool preserve_field_names = false;
  bool newline_delimited = false;  // a stream of answers
  bool keep_route = false;
  bool auto_mapping = false;
  bool convert_status = false;
  bool ignore_unknown_parameters = false;
  bool plus_is_space = false;
  bool any_verb = false;
  bool reject_unknown_method = false;
  bool reject_unknown_parameters = false;
  bool case_insensitive_enums = false;
  std::set<std::string, std::less<>> ignored_parameters;
  // What stays escaped in a variable of several segments: the reserved characters of RFC 6570.
  std::string keep_escaped = ":/?#[]@!$&'()*+,;=";
  size_t max_request_bytes = size_t{1024} * 1024;
  size_t max_response_bytes = size_t{1024} * 1024;
};

struct TranscodingErrors {
  std::vector<std::string> descriptor_set;
  std::vector<std::pair<size_t, std::string>> services;  // by index
};

// From a message to a field within it.
using FieldChain = std::vector<const google::protobuf::FieldDescriptor*>;
// Messages below messages that a path or a query may name. Attack: a query of a thousand dots.
inline constexpr size_t kMaxFieldDepth = 32;

// nullopt: no such field, or it cannot be written as one text (RFC: google/api/http.proto). Names as declared
// or as in JSON. Only the last may be repeated, if `repeated`.
std::optional<FieldChain> FindField(const google::protobuf::Descriptor& message, std::string_view dotted,
                                    bool repeated);

class Transcoding {
 public:
  // One way to call one method.
  struct Rule {
    const google::protobuf::MethodDescriptor* method = nullptr;
    std::string grpc_path;
    PathTemplate path;
    std::vector<FieldChain> variables;  // of path.variables
    enum class Body : uint8_t { kNone, kWhole, kField } body = Body::kNone;
    const google::protobuf::FieldDescriptor* body_field = nullptr;
    const google::protobuf::FieldDescriptor* response_field = nullptr;  // null: the whole response
  };
  struct Match {
    const Rule* rule;
    std::vector<std::string> values;  // of rule->variables, unescaped
  };

  // Null when there is an error.
  static std::shared_ptr<const Transcoding> Build(const std::string& descriptor_set,
                                                  const std::vector<std::string>& services,
                                                  TranscodingOptions options, TranscodingErrors& errors);

  const TranscodingOptions& options() const { return options_; }
  google::protobuf::util::TypeResolver& types() const { return *types_; }
  const google::protobuf::DescriptorPool& pool() const { return pool_; }
  // `path` without its query.
  std::optional<Match> Find(std::string_view method, std::string_view path) const;

 private:
  Transcoding() = default;
  std::string AddFiles(const std::string& descriptor_set);
  std::string AddMethod(const google::protobuf::MethodDescriptor& method);

  TranscodingOptions options_;
  google::protobuf::DescriptorPool pool_;
  std::unique_ptr<google::protobuf::util::TypeResolver> types_;
  std::vector<std::unique_ptr<const Rule>> rules_;
  PathTable table_;
  std::set<std::string, std::less<>> verbs_;
};

// %XX is turned into its byte, except for those in `keep`. What is no escape stays.
std::string Unescape(std::string_view text, std::string_view keep, bool plus_is_space);

// "type.googleapis.com/" and the name: how `types()` knows a message.
std::string TypeUrl(const google::protobuf::Descriptor& message);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_TRANSCODING_TRANSCODING_H_
