#include "sidecar/config/document/document.h"

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <exception>
#include <sstream>
#include <utility>

#include "sidecar/config/document/filler.h"
#include "sidecar/config/document/limits.h"
#include "sidecar/config/document/source_file.h"

namespace pillion::config {
namespace {

// Goes over the events of a file before its nodes are built: yaml-cpp 0.7 answers a stray "," with one empty
// document after the other, for ever, without reading on.
class Survey : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (mark.pos <= last_start_) throw YAML::ParserException(mark, "expected a document");
    last_start_ = mark.pos;
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
  }
  void OnMapEnd() override {}

 private:
  int last_start_ = -1;
};

// Throws what yaml-cpp throws.
std::vector<YAML::Node> LoadNodes(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  Survey survey;
  while (parser.HandleNextDocument(survey)) {
  }
  return YAML::LoadAll(text);
}

}  // namespace

std::string DocumentError::ToString() const {
  std::string text = file;
  if (position.line > 0) {
    text += ":" + std::to_string(position.line) + ":" + std::to_string(position.column);
  }
  text += ": ";
  if (!path.empty()) text += path + ": ";
  return text + message;
}

Position Positions::Of(std::string_view path) const {
  while (true) {
    if (const auto it = by_path_.find(path); it != by_path_.end()) return it->second;
    const size_t cut = path.find_last_of(".[");
    if (cut == std::string_view::npos) break;
    path = path.substr(0, cut);
  }
  return {};
}

Document::Document(const YAML::Node& root, std::shared_ptr<const SourceFile> source)
    : root_(root), source_(std::move(source)) {}

std::optional<std::string> Document::Text(std::string_view key) const {
  if (!root_.IsMap()) return std::nullopt;
  for (const auto& entry : root_) {
    if (entry.first.IsScalar() && entry.first.Scalar() == key && entry.second.IsScalar()) {
      return entry.second.Scalar();
    }
  }
  return std::nullopt;
}

DocumentError Document::ErrorAt(std::string_view key, std::string message) const {
  DocumentError error{.file = source_->name,
                      .position = source_->PositionOf(root_.Mark()),
                      .path = std::string(key),
                      .message = std::move(message)};
  if (!root_.IsMap()) return error;
  for (const auto& entry : root_) {
    if (entry.first.IsScalar() && entry.first.Scalar() == key) {
      error.position = source_->PositionOf(entry.first.Mark());
    }
  }
  return error;
}

std::vector<DocumentError> Document::Fill(google::protobuf::Message& message, Positions* positions) const {
  Filler filler(*source_, positions);
  filler.Fill(message, root_);
  return filler.TakeErrors();
}

ParsedDocuments ParseDocuments(std::string_view text, std::string_view file) {
  ParsedDocuments parsed;
  const auto fail = [&](Position position, const std::string& message) {
    parsed.documents.clear();
    parsed.errors.push_back(
        {.file = std::string(file), .position = position, .path = "", .message = message});
  };
  if (text.size() > kMaxDocumentBytes) {
    fail({}, "expected at most " + std::to_string(kMaxDocumentBytes) + " bytes");
    return parsed;
  }
  const auto source = std::make_shared<const SourceFile>(ReadSource(text, file));
  // yaml-cpp throws; nothing of that goes further.
  try {
    for (const YAML::Node& root : LoadNodes(source->text)) {
      if (root.IsDefined() && !root.IsNull()) parsed.documents.emplace_back(root, source);
    }
  } catch (const YAML::Exception& error) {
    const bool too_deep =
        dynamic_cast<const YAML::DeepRecursion*>(&error) != nullptr;  // its text: "bad file"
    fail(source->PositionOf(error.mark),
         too_deep ? "expected at most " + std::to_string(kMaxDocumentDepth) + " levels of lists and maps"
                  : "not YAML: " + error.msg);
  } catch (const std::exception& error) {
    fail({}, std::string("not YAML: ") + error.what());
  }
  return parsed;
}

std::vector<DocumentError> LoadDocument(std::string_view text, std::string_view file,
                                        google::protobuf::Message& message, Positions* positions) {
  ParsedDocuments parsed = ParseDocuments(text, file);
  if (!parsed.errors.empty()) return std::move(parsed.errors);
  if (parsed.documents.empty()) {
    return {{.file = std::string(file), .position = {}, .path = "", .message = "expected a document"}};
  }
  if (parsed.documents.size() > 1) {
    return {parsed.documents[1].ErrorAt("", "expected one document, this is a second one")};
  }
  return parsed.documents[0].Fill(message, positions);
}

}  // namespace pillion::config
