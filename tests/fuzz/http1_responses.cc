// Any bytes as responses: the verdict does not depend on the cuts (http1_parser.h).
#include "tests/fuzz/http1_parser.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pillion::fuzz::Input input(data, size);
  pillion::http1::Limits limits;
  CheckCuts(pillion::http1::Role::kResponses, input, limits);
  return 0;
}
