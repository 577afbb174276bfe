// The objects of a directory's files. A file with a problem keeps what it said before: an operator's slip
// must not take services out of the mesh.
#ifndef PILLION_CONTROL_PLANE_SOURCE_FILE_DIRECTORY_H_
#define PILLION_CONTROL_PLANE_SOURCE_FILE_DIRECTORY_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control-plane/source/file/decode.h"

namespace pillion::control {

// One thread. Files: *.yaml, *.yml and *.json directly in the directory, in the order of their names; those
// whose name begins with a dot are not ours (editors, and the `..data` of a mounted ConfigMap, whose files
// appear once more as links beside it).
class Directory {
 public:
  explicit Directory(std::string path) : path_(std::move(path)) {}

  // Reads what changed. True: objects() or problems() are new.
  bool Reload();

  // Of all files, last good.
  std::vector<std::shared_ptr<const Object>> objects() const;
  // Of all files as they are now.
  std::vector<Problem> problems() const;

 private:
  struct File {
    std::optional<std::string> text;  // as last read; nullopt: could not be read
    std::vector<std::shared_ptr<const Object>> objects;
    std::vector<Problem> problems;
  };

  bool ReloadFile(const std::string& name);

  std::string path_;
  std::map<std::string, File> files_;
  std::vector<Problem> own_problems_;  // of the directory itself
};

// The whole file. An error is errno's text. Files over config::kMaxDocumentBytes are cut just over it, which
// the loader then refuses.
std::optional<std::string> ReadWholeFile(const std::string& path, std::string& error);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SOURCE_FILE_DIRECTORY_H_
