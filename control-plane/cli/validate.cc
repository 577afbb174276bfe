#include "control-plane/cli/validate.h"

#include <filesystem>
#include <iterator>
#include <memory>

#include "control-plane/model/model.h"
#include "control-plane/snapshot/build.h"
#include "control-plane/source/file/directory.h"

namespace pillion::control {
namespace {

void Append(std::vector<Problem>& to, const std::vector<Problem>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

std::vector<Problem> ValidateFiles(const std::vector<std::string>& paths) {
  std::vector<std::shared_ptr<const Object>> objects;
  std::vector<Problem> problems;
  for (const std::string& path : paths) {
    std::vector<std::shared_ptr<const Object>> found;
    if (std::error_code code; std::filesystem::is_directory(path, code)) {
      Directory directory(path);
      directory.Reload();
      found = directory.objects();
      Append(problems, directory.problems());
    } else {
      std::string error;
      const std::optional<std::string> text = ReadWholeFile(path, error);
      if (!text.has_value()) {
        problems.push_back({.file = path, .position = {}, .path = "", .message = "cannot be read: " + error});
        continue;
      }
      DecodedFile decoded = DecodeFile(*text, path);
      found = std::move(decoded.objects);
      Append(problems, decoded.problems);
    }
    objects.insert(objects.end(), found.begin(), found.end());
  }
  // Whether the control plane has keys is not in the files. Nothing is sent of what these are in.
  const TokenKeys keys = TokenKeys::Worthless();
  const BuiltModel built = BuildModel(objects, &keys);
  Append(problems, built.problems);
  Append(problems, ProblemsOfOverrides(*built.model));
  return problems;
}

}  // namespace pillion::control
