// Runs a fuzz target without libFuzzer: every file of the corpus as it is, then a fixed number of mutations
// of them from one seed. A crash is the failure; the input at fault is left in $TEST_UNDECLARED_OUTPUTS_DIR
// or the working folder as "crash-input".
//
//   NAME_replay FOLDER [MUTATIONS]
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "sidecar/base/random.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using pillion::Random;

constexpr size_t kMutations = 2000;
constexpr size_t kMaxBytes = 4096;

std::string crash_path;

void Try(const std::string& input) {
  if (!crash_path.empty()) std::ofstream(crash_path, std::ios::binary) << input;
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

std::vector<std::string> Load(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> inputs;
  for (const std::string& path : paths) {
    std::ifstream file(path, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return inputs;
}

std::string Mutate(const std::vector<std::string>& inputs, Random& random) {
  const auto below = [&random](size_t bound) { return bound == 0 ? 0 : random.Next() % bound; };
  std::string text = inputs[below(inputs.size())];
  for (size_t changes = 1 + below(4); changes > 0; --changes) {
    const size_t at = below(text.size() + 1);
    const std::string& other = inputs[below(inputs.size())];
    const size_t from = below(other.size());
    switch (below(6)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(random.Next());
        break;
      case 1:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ 1 << below(8));
        break;
      case 2:
        text.insert(at, 1, static_cast<char>(random.Next()));
        break;
      case 3:
        text.erase(at, 1 + below(8));
        break;
      case 4:
        text.insert(at, other, from, 1 + below(40));
        break;
      default:
        text.replace(at, 1 + below(16), other, from, 1 + below(16));
        break;
    }
    if (text.size() > kMaxBytes) text.resize(kMaxBytes);
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const char* const outputs = std::getenv("TEST_UNDECLARED_OUTPUTS_DIR");
  crash_path = (outputs != nullptr ? std::string(outputs) + "/" : "") + "crash-input";
  const std::vector<std::string> inputs = Load(argv[1]);
  if (inputs.empty()) {
    std::fprintf(stderr, "no corpus in %s\n", argv[1]);
    return 1;
  }
  for (const std::string& input : inputs) Try(input);
  Random random(1);
  const size_t mutations = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : kMutations;
  for (size_t i = 0; i < mutations; ++i) Try(Mutate(inputs, random));
  std::remove(crash_path.c_str());
  std::printf("%zu files, %zu mutations\n", inputs.size(), mutations);
  return 0;
}
