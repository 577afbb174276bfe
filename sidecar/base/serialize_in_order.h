// Messages that say the same become the same bytes, in each run: maps are written in the order of their keys,
// where protobuf's own order differs from run to run.
#ifndef PILLION_SIDECAR_BASE_SERIALIZE_IN_ORDER_H_
#define PILLION_SIDECAR_BASE_SERIALIZE_IN_ORDER_H_

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>

#include <string>

namespace pillion {

inline std::string SerializeInOrder(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream output(&stream);
  output.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&output);
  output.Trim();
  return bytes;
}

}  // namespace pillion

#endif  // PILLION_SIDECAR_BASE_SERIALIZE_IN_ORDER_H_
