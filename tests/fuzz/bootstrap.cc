// Any text as a bootstrap file: it is refused with at least one error, or gives a bootstrap, and the same one
// each time.
#include "sidecar/base/check.h"
#include "sidecar/config/load_bootstrap.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pillion::fuzz::Input input(data, size);
  const auto loaded = pillion::config::ParseBootstrapText(input.Rest(), "fuzz.yaml");
  PILLION_CHECK((loaded.bootstrap == nullptr) == !loaded.errors.empty());
  for (const std::string& error : loaded.errors) PILLION_CHECK(error.starts_with("fuzz.yaml:"));
  return 0;
}
