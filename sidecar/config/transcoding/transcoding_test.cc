#include "sidecar/config/transcoding/transcoding.h"

#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include "pillion/testing/v1/library.pb.h"
#include "sidecar/config/transcoding/library_set.h"

namespace pillion::config {
namespace {

using google::protobuf::FileDescriptorSet;
using testing::LibrarySet;

std::shared_ptr<const Transcoding> Build(const FileDescriptorSet& set, TranscodingErrors& errors,
                                         TranscodingOptions options = {}) {
  return Transcoding::Build(set.SerializeAsString(), {testing::kLibrary}, std::move(options), errors);
}

std::shared_ptr<const Transcoding> Library(TranscodingOptions options = {}) {
  TranscodingErrors errors;
  auto result = Build(LibrarySet(), errors, std::move(options));
  EXPECT_NE(result, nullptr);
  return result;
}

std::string Found(const Transcoding& library, std::string_view method, std::string_view path) {
  const auto match = library.Find(method, path);
  if (!match) return "none";
  std::string text = match->rule->method->name();
  for (size_t i = 0; i < match->values.size(); ++i)
    text += " " + match->rule->path.variables[i].field + "=" + match->values[i];
  return text;
}

TEST(Transcoding, RequestsFindTheirMethods) {
  const auto library = Library();
  const struct {
    std::string_view method;
    std::string_view path;
    std::string_view found;
  } cases[] = {
      {"GET", "/v1/shelves/1/books/2", "Get name=shelves/1/books/2"},
      {"GET", "/v1/books/2", "Get id=2"},
      {"GET", "/v1/shelves/a%2Fb%20c/books/%2f", "Get name=shelves/a%2Fb c/books/%2f"},
      {"GET", "/v1/books/a%2Fb%20c", "Get id=a/b c"},
      {"GET", "/v1/books/a+b", "Get id=a+b"},
      {"GET", "/v1/books/2/three", "Get id=2 book.name=three"},
      {"GET", "/v1/books/2/tags", "Tags id=2"},
      {"POST", "/v1/shelves/1/books", "Create name=shelves/1"},
      {"PUT", "/v1/books/2/tags", "Replace id=2"},
      {"PATCH", "/v1/books/2", "Update id=2"},
      {"DELETE", "/v1/books/2", "Delete id=2"},
      {"LOCK", "/v1/books/2", "Lock id=2"},
      {"POST", "/v1/shelves/1:publish", "Publish name=shelves/1"},
      {"POST", "/v1/shelves/1:2:publish", "Publish name=shelves/1:2"},
      {"GET", "/v1/books/2:publish", "Get id=2:publish"},
      {"GET", "/v1/books/2:other", "Get id=2:other"},
      {"GET", "/v1/files/a/b%2Fc/d%41", "File path=a/b%2Fc/dA"},
      {"GET", "/v1/files", "File path="},
      {"GET", "/v1/books", "List"},
      {"POST", "/v1/upload/9", "Upload id=9"},
      {"GET", "/v1/shelves/1", "none"},
      {"POST", "/v1/books/2", "none"},
      {"POST", "/pillion.testing.v1.Library/Plain", "none"},
      {"GET", "/", "none"},
      {"OPTIONS", "*", "none"},
  };
  for (const auto& one : cases) EXPECT_EQ(Found(*library, one.method, one.path), one.found) << one.path;
}

TEST(Transcoding, OptionsChangeTheMatch) {
  TranscodingOptions options;
  options.auto_mapping = true;
  options.any_verb = true;
  options.keep_escaped = "/";
  const auto library = Library(std::move(options));
  const auto plain = library->Find("POST", "/pillion.testing.v1.Library/Plain");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->rule->method->name(), "Plain");
  EXPECT_EQ(plain->rule->body, Transcoding::Rule::Body::kWhole);
  EXPECT_EQ(Found(*library, "GET", "/v1/books/2:other"), "none");
  EXPECT_EQ(Found(*library, "GET", "/v1/files/a%2Fb%23"), "File path=a%2Fb#");
}

TEST(Transcoding, EscapesAreTakenOff) {
  EXPECT_EQ(Unescape("%41%2f+%zz%4", "", false), "A/+%zz%4");
  EXPECT_EQ(Unescape("%41%2f+", "/", true), "A%2f ");
}

TEST(Transcoding, FieldsAreFoundByEitherName) {
  const auto& request = *pillion::testing::v1::BookRequest::descriptor();
  EXPECT_TRUE(FindField(request, "book.in_print", false));
  EXPECT_TRUE(FindField(request, "book.inPrint", false));
  EXPECT_TRUE(FindField(request, "book.author.born", false));
  EXPECT_TRUE(FindField(request, "book.rating", false));
  EXPECT_TRUE(FindField(request, "copies", true));
  for (const char* name : {"", ".", "book", "book.", ".book", "nothing", "book.stock", "name.x", "copies"})
    EXPECT_FALSE(FindField(request, name, false)) << name;
  std::string deep = "book";
  for (int i = 0; i < 100; ++i) deep += ".sequel";
  EXPECT_FALSE(FindField(request, deep + ".title", false));
}

// A file with one message, whose fields are of the types of google.protobuf and named after them.
const google::protobuf::Descriptor& WellKnown(google::protobuf::DescriptorPool& pool,
                                              const std::vector<std::string>& types) {
  google::protobuf::FileDescriptorProto file;
  file.set_name("well_known.proto");
  for (const char* import : {"any", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers"})
    file.add_dependency("google/protobuf/" + std::string(import) + ".proto");
  auto& message = *file.add_message_type();
  message.set_name("WellKnown");
  for (const std::string& type : types) {
    auto& field = *message.add_field();
    field.set_name(type);
    field.set_json_name("json_" + type);
    field.set_number(message.field_size());
    field.set_type_name(".google.protobuf." + type);
    field.set_label(google::protobuf::FieldDescriptorProto::LABEL_OPTIONAL);
  }
  return *pool.BuildFile(file)->message_type(0);
}

// https://protobuf.dev/programming-guides/json: which messages are one text, and which names a field has.
TEST(Transcoding, MessagesThatAreOneTextAreFields) {
  const std::vector<std::string> texts = {"BoolValue",   "BytesValue", "DoubleValue", "Duration",
                                          "FieldMask",   "FloatValue", "Int32Value",  "Int64Value",
                                          "StringValue", "Timestamp",  "UInt32Value", "UInt64Value"};
  const std::vector<std::string> others = {"Any", "Empty", "Struct", "Value", "ListValue"};
  std::vector<std::string> all = texts;
  all.insert(all.end(), others.begin(), others.end());
  google::protobuf::DescriptorPool pool(google::protobuf::DescriptorPool::generated_pool());
  const auto& message = WellKnown(pool, all);
  for (const std::string& name : texts) {
    EXPECT_TRUE(FindField(message, name, false)) << name;
    EXPECT_TRUE(FindField(message, "json_" + name, false)) << name;
    // Its name in JSON has been given another.
    std::string camel = name;
    camel.front() = static_cast<char>(camel.front() + 'a' - 'A');
    EXPECT_FALSE(FindField(message, camel, false)) << camel;
  }
  for (const std::string& name : others) EXPECT_FALSE(FindField(message, name, false)) << name;
}

std::vector<std::string> Problems(const FileDescriptorSet& set) {
  TranscodingErrors errors;
  EXPECT_EQ(Build(set, errors), nullptr);
  std::vector<std::string> all = errors.descriptor_set;
  for (const auto& [index, problem] : errors.services) all.push_back(problem);
  return all;
}

using Lines = std::vector<std::string>;

// Of the method at `index`.
google::api::HttpRule& Rule(FileDescriptorSet& set, int index) {
  auto& file = *set.mutable_file(set.file_size() - 1);
  return *file.mutable_service(0)->mutable_method(index)->mutable_options()->MutableExtension(
      google::api::http);
}

TEST(Transcoding, WhatIsWrongIsTold) {
  TranscodingErrors errors;
  EXPECT_EQ(Transcoding::Build("\xff\xff", {}, {}, errors), nullptr);
  EXPECT_EQ(errors.descriptor_set, Lines{"expected a serialized google.protobuf.FileDescriptorSet"});
  errors = {};
  EXPECT_EQ(Transcoding::Build(LibrarySet().SerializeAsString(), {"no.Service"}, {}, errors), nullptr);
  ASSERT_EQ(errors.services.size(), 1u);
  EXPECT_EQ(errors.services[0].second, "expected a service of the descriptor set");

  FileDescriptorSet set = LibrarySet();
  Rule(set, 0).set_get("/v1/{nothing}");
  EXPECT_EQ(Problems(set), Lines{"method Get: the path variable nothing is no single field of "
                                 "pillion.testing.v1.BookRequest"});
  set = LibrarySet();
  Rule(set, 1).set_body("nothing");
  EXPECT_EQ(Problems(set),
            Lines{"method Create: the body nothing is no field of pillion.testing.v1.BookRequest"});
  set = LibrarySet();
  Rule(set, 1).set_response_body("nothing");
  EXPECT_EQ(Problems(set), Lines{"method Create: the response_body nothing is no field"});
  set = LibrarySet();
  Rule(set, 1).set_post("v1");
  EXPECT_EQ(Problems(set), Lines{"method Create: not a path template: v1"});
  set = LibrarySet();
  Rule(set, 1).set_get("/v1/books");
  EXPECT_EQ(Problems(set), Lines{"method List: another method has the path GET /v1/books"});
  set = LibrarySet();
  Rule(set, 1).clear_pattern();
  EXPECT_EQ(Problems(set), Lines{"method Create: its google.api.http rule has no path"});
}

TEST(Transcoding, FilesMustFitTogether) {
  FileDescriptorSet set = LibrarySet();
  *set.add_file() = set.file(0);
  EXPECT_EQ(Problems(set).size(), 1u);
  set = LibrarySet();
  set.mutable_file(set.file_size() - 1)->add_dependency("missing.proto");
  EXPECT_EQ(Problems(set), Lines{"expected also the imported file missing.proto"});
  set = LibrarySet();
  set.mutable_file(set.file_size() - 1)->add_dependency(set.file(set.file_size() - 1).name());
  EXPECT_EQ(Problems(set), Lines{"expected no file that imports itself: pillion/testing/v1/library.proto"});
  set = LibrarySet();
  set.mutable_file(set.file_size() - 1)->mutable_message_type(0)->mutable_field(0)->set_type_name(".no.Type");
  EXPECT_EQ(Problems(set).size(), 1u);
}

TEST(Transcoding, WellKnownFilesNeedNotBeInTheSet) {
  FileDescriptorSet set = LibrarySet();
  FileDescriptorSet own;
  *own.add_file() = set.file(set.file_size() - 1);
  TranscodingErrors errors;
  EXPECT_NE(Build(own, errors), nullptr);
}

}  // namespace
}  // namespace pillion::config
