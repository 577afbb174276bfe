// Messages that say the same have the same bytes: maps have no order, their deterministic serialization has.
#ifndef PILLION_SIDECAR_TESTING_MESSAGE_BYTES_H_
#define PILLION_SIDECAR_TESTING_MESSAGE_BYTES_H_

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>

#include <string>

namespace pillion::testing {

inline std::string DeterministicBytes(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream output(&stream);
  output.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&output);
  output.Trim();
  return bytes;
}

}  // namespace pillion::testing

#endif  // PILLION_SIDECAR_TESTING_MESSAGE_BYTES_H_
