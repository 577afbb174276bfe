// The walk over YAML nodes and protobuf reflection at once. See document.h for what is accepted.
#ifndef PILLION_SIDECAR_CONFIG_DOCUMENT_FILLER_H_
#define PILLION_SIDECAR_CONFIG_DOCUMENT_FILLER_H_

#include <google/protobuf/any.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>
#include <yaml-cpp/yaml.h>

#include <set>
#include <string>
#include <vector>

#include "sidecar/config/document/document.h"
#include "sidecar/config/document/scalar.h"
#include "sidecar/config/document/source_file.h"
#include "sidecar/config/field_path.h"

namespace pillion::config {

// Lives for one Document::Fill. Works on through errors, so that all of them are found.
class Filler {
 public:
  // `source` and `positions` (may be null) outlive it.
  Filler(const SourceFile& source, Positions* positions) : source_(source), positions_(positions) {}

  void Fill(google::protobuf::Message& message, const YAML::Node& root);
  // In file order.
  std::vector<DocumentError> TakeErrors();

 private:
  using Message = google::protobuf::Message;
  using FieldDescriptor = google::protobuf::FieldDescriptor;

  // A node and where it belongs. `at` is where its key stands; without a key, where it stands itself.
  struct Place {
    YAML::Node node;
    std::string path;
    int depth = 0;
    YAML::Mark at;
  };

  // Counts the node against the limits; false: it is not to be looked into. Reports custom tags.
  bool Enter(const Place& place);
  // Calls use(key text, Place of the value) for each entry with a text key that was not there before. The
  // paths of the places are the parent's.
  // `report`: false when another walk over this map lists its wrong keys.
  template <typename Use>
  void ForEachEntry(const Place& map, Use use, bool report = true);

  // Any shape. `type_key`: skip "@type", this is the inside of an Any.
  void FillMessage(Message& message, const Place& place, bool type_key = false);
  void FillFields(Message& message, const Place& place, bool type_key);
  void UnknownField(const Message& message, const std::string& key, const Place& place);
  void FillField(Message& message, const FieldDescriptor& field, const Place& place);
  void FillList(Message& message, const FieldDescriptor& field, const Place& place);
  void FillMap(Message& message, const FieldDescriptor& field, const Place& place);
  void SetMapKey(Message& entry, const std::string& key, const Place& place);
  // Sets a singular field or adds to a repeated one.
  void FillValue(Message& message, const FieldDescriptor& field, const Place& place);
  void FillNumber(Message& message, const FieldDescriptor& field, const Place& place, const Scalar& scalar);
  void FillEnum(Message& message, const FieldDescriptor& field, const Place& place, const Scalar& scalar);

  // Types with a JSON form of their own. False: not one of them. (well_known.cc)
  bool FillWellKnown(Message& message, const Place& place);
  void FillFromText(Message& message, const Place& place);
  void FillWrapper(Message& message, const Place& place);
  void FillAny(google::protobuf::Any& any, const Place& place);
  void FillStruct(google::protobuf::Struct& fields, const Place& place);
  void FillListValue(google::protobuf::ListValue& list, const Place& place);
  void FillDynamicValue(google::protobuf::Value& value, const Place& place);

  // Nothing, with an error, when the node is no scalar. Its text lives as long as the node.
  std::optional<Scalar> ScalarOf(const Place& place, const std::string& expected);
  // About the value.
  void Error(const Place& place, std::string message);
  // About the entry as a whole: points at its key.
  void KeyError(const Place& place, std::string message, bool unimplemented = false);
  void AddError(const Place& place, const YAML::Mark& mark, std::string message, bool unimplemented);

  const SourceFile& source_;
  Positions* positions_;
  std::vector<DocumentError> errors_;
  size_t values_ = 0;
};

// Written in JSON otherwise than as a map of its fields.
bool HasJsonForm(const google::protobuf::Descriptor& type);

template <typename Use>
void Filler::ForEachEntry(const Place& map, Use use, bool report) {
  std::set<std::string, std::less<>> seen;
  for (const auto& entry : map.node) {
    Place value{.node = entry.second, .path = map.path, .depth = map.depth + 1, .at = entry.first.Mark()};
    if (!entry.first.IsScalar()) {
      if (report) KeyError(value, "expected a text as the key");
      continue;
    }
    const std::string& key = entry.first.Scalar();
    if (!seen.insert(key).second) {
      value.path = FieldPath(map.path, key);
      if (report) KeyError(value, "duplicate key");
      continue;
    }
    use(key, value);
  }
}

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_DOCUMENT_FILLER_H_
