// Any bytes as what a server sends (http2.h).
#include "tests/fuzz/http2.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pillion::http2::FuzzCodec(pillion::http2::Role::kClient, pillion::fuzz::Input(data, size));
  return 0;
}
