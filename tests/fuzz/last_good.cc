// Any bytes as the file with the last good configuration: refused with its path, or read back from what we
// would write of it.
//
//   byte 0: 0 the bytes are the file, else what follows our first lines, their checksum right
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "sidecar/base/check.h"
#include "sidecar/xds/last_good.h"
#include "tests/fuzz/input.h"

namespace pillion::fuzz {
namespace {

constexpr char kNode[] = "node";

std::string FilePath() {
  const char* const directory = std::getenv("TEST_TMPDIR");
  return std::string(directory != nullptr ? directory : "/dev/shm") + "/last_good." +
         std::to_string(getpid());
}

// As last_good.cc describes it.
std::string WithHead(std::string_view body) {
  uint64_t sum = 0xCBF29CE484222325u;
  for (const char c : body) sum = (sum ^ static_cast<uint8_t>(c)) * 0x100000001B3u;
  return "pillion-last-good 1\n" + std::string(kNode) + "\n" + std::to_string(sum) + "\n" + std::string(body);
}

void Check(Input from) {
  static const std::string path = FilePath();
  const bool raw = from.Byte() == 0;
  const std::string_view body = from.Rest();
  {
    std::ofstream file(path, std::ios::binary);
    file << (raw ? std::string(body) : WithHead(body));
  }
  const auto loaded = xds::LoadLastGood(path, kNode);
  if (!loaded.ok()) {
    PILLION_CHECK(loaded.status().message().find(path) != std::string::npos);
  } else {
    PILLION_CHECK(xds::SaveLastGood(path, kNode, *loaded).ok());
    const auto again = xds::LoadLastGood(path, kNode);
    PILLION_CHECK(again.ok() && again->size() == loaded->size());
    for (size_t i = 0; i < loaded->size(); ++i) {
      PILLION_CHECK((*again)[i].type_url() == (*loaded)[i].type_url());
      PILLION_CHECK((*again)[i].resources_size() == (*loaded)[i].resources_size());
    }
    PILLION_CHECK(!xds::LoadLastGood(path, "another").ok());
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace pillion::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pillion::fuzz::Check(pillion::fuzz::Input(data, size));
  return 0;
}
