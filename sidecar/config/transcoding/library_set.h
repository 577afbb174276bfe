// The descriptor set of protos/pillion/testing/v1/library.proto, as protoc --include_imports would write it.
#ifndef PILLION_SIDECAR_CONFIG_TRANSCODING_LIBRARY_SET_H_
#define PILLION_SIDECAR_CONFIG_TRANSCODING_LIBRARY_SET_H_

#include <google/protobuf/descriptor.pb.h>

#include <set>
#include <string>

#include "pillion/testing/v1/library.pb.h"

namespace pillion::testing {

inline constexpr char kLibrary[] = "pillion.testing.v1.Library";

inline void AddWithImports(const google::protobuf::FileDescriptor& file, std::set<std::string>& known,
                           google::protobuf::FileDescriptorSet& set) {
  if (!known.insert(file.name()).second) return;
  for (int i = 0; i < file.dependency_count(); ++i) AddWithImports(*file.dependency(i), known, set);
  file.CopyTo(set.add_file());
  file.CopyJsonNameTo(set.mutable_file(set.file_size() - 1));
}

// Imports first; the library is the last file.
inline google::protobuf::FileDescriptorSet LibrarySet() {
  google::protobuf::FileDescriptorSet set;
  std::set<std::string> known;
  AddWithImports(*v1::Book::descriptor()->file(), known, set);
  return set;
}

}  // namespace pillion::testing

#endif  // PILLION_SIDECAR_CONFIG_TRANSCODING_LIBRARY_SET_H_
