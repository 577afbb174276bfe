#include "sidecar/config/transcoding/transcoding.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/util/type_resolver_util.h>

#include <algorithm>
#include <array>
#include <map>

#include "google/api/annotations.pb.h"
#include "google/rpc/status.pb.h"
#include "sidecar/base/text.h"

namespace pillion::config {
namespace {

using google::api::HttpRule;
using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::FileDescriptorProto;
using google::protobuf::MethodDescriptor;

constexpr char kPrefix[] = "type.googleapis.com";

// Messages that JSON writes as one text or number.
bool IsText(const Descriptor& message) {
  constexpr std::array<std::string_view, 12> kNames = {
      "google.protobuf.BoolValue",  "google.protobuf.BytesValue",  "google.protobuf.DoubleValue",
      "google.protobuf.Duration",   "google.protobuf.FieldMask",   "google.protobuf.FloatValue",
      "google.protobuf.Int32Value", "google.protobuf.Int64Value",  "google.protobuf.StringValue",
      "google.protobuf.Timestamp",  "google.protobuf.UInt32Value", "google.protobuf.UInt64Value"};
  return std::ranges::count(kNames, message.full_name()) > 0;
}

const FieldDescriptor* FieldNamed(const Descriptor& message, std::string_view name) {
  const std::string text(name);
  if (const FieldDescriptor* const field = message.FindFieldByName(text)) return field;
  for (int i = 0; i < message.field_count(); ++i) {
    if (message.field(i)->json_name() == name) return message.field(i);
  }
  return nullptr;
}

class FirstProblem final : public DescriptorPool::ErrorCollector {
 public:
  void AddError(const std::string& file, const std::string& element, const google::protobuf::Message*,
                ErrorLocation, const std::string& message) override {
    if (text.empty()) text = file + ": " + element + ": " + message;
  }
  std::string text;
};

// Adds files with what they import first.
class FileAdder {
 public:
  FileAdder(DescriptorPool& pool, std::map<std::string, const FileDescriptorProto*>& files)
      : pool_(pool), files_(files) {}

  // The problem, or "".
  std::string Add(const std::string& name) {
    if (pool_.FindFileByName(name) != nullptr) return {};
    const auto found = files_.find(name);
    if (found == files_.end()) return AddOwn(name);
    const FileDescriptorProto* const proto = found->second;
    if (proto == nullptr) return "expected no file that imports itself: " + name;
    found->second = nullptr;
    for (const std::string& import : proto->dependency()) {
      if (std::string problem = Add(import); !problem.empty()) return problem;
    }
    return Build(*proto);
  }

 private:
  // What everybody imports need not be in the set.
  std::string AddOwn(const std::string& name) {
    const FileDescriptor* const file = DescriptorPool::generated_pool()->FindFileByName(name);
    if (file == nullptr || !name.starts_with("google/")) return "expected also the imported file " + name;
    FileDescriptorProto proto;
    file->CopyTo(&proto);
    for (const std::string& import : proto.dependency()) {
      if (std::string problem = Add(import); !problem.empty()) return problem;
    }
    return Build(proto);
  }

  std::string Build(const FileDescriptorProto& proto) {
    FirstProblem problem;
    if (pool_.BuildFileCollectingErrors(proto, &problem) != nullptr) return {};
    return "expected files that fit together: " + problem.text;
  }

  DescriptorPool& pool_;
  std::map<std::string, const FileDescriptorProto*>& files_;
};

struct Pattern {
  std::string method;
  std::string path;
};

std::optional<Pattern> PatternOf(const HttpRule& rule) {
  switch (rule.pattern_case()) {
    case HttpRule::kGet:
      return Pattern{"GET", rule.get()};
    case HttpRule::kPut:
      return Pattern{"PUT", rule.put()};
    case HttpRule::kPost:
      return Pattern{"POST", rule.post()};
    case HttpRule::kDelete:
      return Pattern{"DELETE", rule.delete_()};
    case HttpRule::kPatch:
      return Pattern{"PATCH", rule.patch()};
    case HttpRule::kCustom:
      return Pattern{rule.custom().kind(), rule.custom().path()};
    case HttpRule::PATTERN_NOT_SET:
      break;
  }
  return std::nullopt;
}

std::string FillRule(const HttpRule& proto, Transcoding::Rule& rule) {
  const Descriptor& request = *rule.method->input_type();
  for (const PathTemplate::Variable& variable : rule.path.variables) {
    auto chain = FindField(request, variable.field, false);
    if (!chain)
      return "the path variable " + variable.field + " is no single field of " + request.full_name();
    rule.variables.push_back(*std::move(chain));
  }
  if (proto.body() == "*") {
    rule.body = Transcoding::Rule::Body::kWhole;
  } else if (!proto.body().empty()) {
    rule.body = Transcoding::Rule::Body::kField;
    rule.body_field = request.FindFieldByName(proto.body());
    if (rule.body_field == nullptr)
      return "the body " + proto.body() + " is no field of " + request.full_name();
  }
  if (!proto.response_body().empty()) {
    rule.response_field = rule.method->output_type()->FindFieldByName(proto.response_body());
    if (rule.response_field == nullptr) return "the response_body " + proto.response_body() + " is no field";
  }
  return {};
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = AsciiLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::string TypeUrl(const Descriptor& message) { return std::string(kPrefix) + "/" + message.full_name(); }

std::string Unescape(std::string_view text, std::string_view keep, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
      continue;
    }
    if (text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 && HexDigit(text[i + 2]) >= 0) {
      const char byte = static_cast<char>(HexDigit(text[i + 1]) << 4 | HexDigit(text[i + 2]));
      if (keep.find(byte) == std::string_view::npos) {
        out += byte;
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

std::optional<FieldChain> FindField(const Descriptor& message, std::string_view dotted, bool repeated) {
  FieldChain chain;
  const Descriptor* in = &message;
  while (true) {
    if (in == nullptr || chain.size() == kMaxFieldDepth) return std::nullopt;
    const size_t dot = dotted.find('.');
    const FieldDescriptor* const field = FieldNamed(*in, dotted.substr(0, dot));
    if (field == nullptr || field->is_map()) return std::nullopt;
    chain.push_back(field);
    const bool last = dot == std::string_view::npos;
    if (field->is_repeated() && !(last && repeated)) return std::nullopt;
    if (last) break;
    in = field->message_type();
    dotted.remove_prefix(dot + 1);
  }
  const Descriptor* const type = chain.back()->message_type();
  if (type != nullptr && !IsText(*type)) return std::nullopt;
  return chain;
}

std::string Transcoding::AddFiles(const std::string& descriptor_set) {
  google::protobuf::FileDescriptorSet set;
  if (!set.ParseFromString(descriptor_set)) return "expected a serialized google.protobuf.FileDescriptorSet";
  std::map<std::string, const FileDescriptorProto*> files;
  for (const FileDescriptorProto& file : set.file()) {
    if (!files.emplace(file.name(), &file).second)
      return "expected each file once, found again " + file.name();
  }
  FileAdder adder(pool_, files);
  for (const FileDescriptorProto& file : set.file()) {
    if (std::string problem = adder.Add(file.name()); !problem.empty()) return problem;
  }
  // Errors are told in it; its Any holds messages of the set.
  const std::string& status = google::rpc::Status::descriptor()->file()->name();
  if (pool_.FindMessageTypeByName(google::rpc::Status::descriptor()->full_name()) != nullptr) return {};
  return adder.Add(status);
}

std::string Transcoding::AddMethod(const MethodDescriptor& method) {
  const std::string path = "/" + method.service()->full_name() + "/" + method.name();
  for (const Descriptor* const type : {method.input_type(), method.output_type()}) {
    if (type->full_name() == "google.api.HttpBody") return "google.api.HttpBody is not implemented";
  }
  HttpRule whole;
  if (method.options().HasExtension(google::api::http)) {
    whole = method.options().GetExtension(google::api::http);
  } else if (options_.auto_mapping) {
    whole.set_post(path);
    whole.set_body("*");
  } else {
    return {};
  }
  std::vector<const HttpRule*> protos = {&whole};
  for (const HttpRule& more : whole.additional_bindings()) protos.push_back(&more);
  for (const HttpRule* const proto : protos) {
    const auto pattern = PatternOf(*proto);
    if (!pattern) return "its google.api.http rule has no path";
    auto parsed = ParsePathTemplate(pattern->path);
    if (!parsed) return "not a path template: " + pattern->path;
    auto rule = std::make_unique<Rule>();
    rule->method = &method;
    rule->grpc_path = path;
    rule->path = *std::move(parsed);
    if (std::string problem = FillRule(*proto, *rule); !problem.empty()) return problem;
    if (!table_.Add(rule->path, pattern->method, rules_.size()))
      return "another method has the path " + pattern->method + " " + pattern->path;
    if (!rule->path.verb.empty()) verbs_.insert(rule->path.verb);
    rules_.push_back(std::move(rule));
  }
  return {};
}

std::shared_ptr<const Transcoding> Transcoding::Build(const std::string& descriptor_set,
                                                      const std::vector<std::string>& services,
                                                      TranscodingOptions options, TranscodingErrors& errors) {
  const std::shared_ptr<Transcoding> result(new Transcoding());
  result->options_ = std::move(options);
  if (std::string problem = result->AddFiles(descriptor_set); !problem.empty()) {
    errors.descriptor_set.push_back(std::move(problem));
    return nullptr;
  }
  result->types_.reset(google::protobuf::util::NewTypeResolverForDescriptorPool(kPrefix, &result->pool_));
  for (size_t i = 0; i < services.size(); ++i) {
    const auto* const service = result->pool_.FindServiceByName(services[i]);
    if (service == nullptr) {
      errors.services.emplace_back(i, "expected a service of the descriptor set");
      continue;
    }
    for (int m = 0; m < service->method_count(); ++m) {
      if (std::string problem = result->AddMethod(*service->method(m)); !problem.empty())
        errors.services.emplace_back(i, "method " + service->method(m)->name() + ": " + problem);
    }
  }
  return errors.services.empty() ? result : nullptr;
}

std::optional<Transcoding::Match> Transcoding::Find(std::string_view method, std::string_view path) const {
  std::vector<std::string_view> segments = SplitPath(path);
  std::optional<size_t> found;
  const size_t colon = segments.back().rfind(':');
  if (colon != std::string_view::npos) {
    const std::string_view last = segments.back();
    const std::string_view verb = last.substr(colon + 1);
    if (options_.any_verb || verbs_.count(verb) != 0) {
      segments.back() = last.substr(0, colon);
      found = table_.Find(method, segments, verb);
      if (!found) segments.back() = last;
    }
    if (!found && options_.any_verb) return std::nullopt;
  }
  if (!found) found = table_.Find(method, segments, {});
  if (!found) return std::nullopt;
  Match match{rules_[*found].get(), {}};
  for (const PathTemplate::Variable& variable : match.rule->path.variables) {
    const size_t last = variable.rest ? segments.size() : variable.last;
    const bool several = variable.rest || variable.last - variable.first > 1;
    std::string value;
    for (size_t i = variable.first; i < last; ++i) {
      if (i > variable.first) value += '/';
      value += Unescape(segments[i], several ? std::string_view(options_.keep_escaped) : std::string_view(),
                        false);
    }
    match.values.push_back(std::move(value));
  }
  return match;
}

}  // namespace pillion::config
