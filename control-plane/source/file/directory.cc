#include "control-plane/source/file/directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "sidecar/config/document/limits.h"

namespace pillion::control {
namespace {

constexpr size_t kReadBytes = size_t{64} * 1024;

bool IsOurs(const std::string& name) {
  if (name.starts_with(".")) return false;
  return name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json");
}

Problem At(const std::string& file, const std::string& message) {
  return {.file = file, .position = {}, .path = "", .message = message};
}

// nullopt: the directory cannot be listed.
std::optional<std::set<std::string>> List(const std::string& path, std::string& error) {
  std::set<std::string> names;
  std::error_code code;
  for (std::filesystem::directory_iterator it(path, code), end; !code && it != end; it.increment(code)) {
    const std::string name = it->path().filename().string();
    if (IsOurs(name)) names.insert(name);
  }
  if (!code) return names;
  error = code.message();
  return std::nullopt;
}

}  // namespace

std::optional<std::string> ReadWholeFile(const std::string& path, std::string& error) {
  // Not blocking: a FIFO among the files must not hold us up.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    error = std::strerror(errno);
    return std::nullopt;
  }
  std::string text;
  char buffer[kReadBytes];
  ssize_t count = 0;
  while ((count = read(fd, buffer, sizeof(buffer))) > 0) {
    text.append(buffer, static_cast<size_t>(count));
    if (text.size() > config::kMaxDocumentBytes) break;
  }
  if (count < 0) error = std::strerror(errno);
  close(fd);
  if (count < 0) return std::nullopt;
  return text;
}

bool Directory::ReloadFile(const std::string& name) {
  const auto [it, fresh] = files_.try_emplace(name);
  File& file = it->second;
  const std::string shown = (std::filesystem::path(path_) / name).string();
  std::string error;
  std::optional<std::string> text = ReadWholeFile(shown, error);
  if (!fresh && text == file.text) return false;
  file.text = std::move(text);
  if (!file.text.has_value()) {
    file.problems = {At(shown, "cannot be read: " + error)};
    return true;
  }
  // An editor that truncates and then writes, caught between the two. Who wants the objects gone removes the
  // file.
  if (!file.objects.empty() && file.text->find_first_not_of(" \t\r\n") == std::string::npos) {
    file.problems = {At(shown, "expected objects, the file is empty; remove it to remove what was in it")};
    return true;
  }
  DecodedFile decoded = DecodeFile(*file.text, shown);
  if (decoded.problems.empty()) file.objects = std::move(decoded.objects);
  file.problems = std::move(decoded.problems);
  return true;
}

bool Directory::Reload() {
  std::string error;
  const std::optional<std::set<std::string>> names = List(path_, error);
  if (!names.has_value()) {
    const bool news = own_problems_.empty();
    own_problems_ = {At(path_, "the directory cannot be read: " + error)};
    return news;
  }
  bool changed = !own_problems_.empty();
  own_problems_.clear();
  for (const std::string& name : *names) changed = ReloadFile(name) || changed;
  const size_t gone = std::erase_if(files_, [&](const auto& file) { return !names->contains(file.first); });
  return changed || gone > 0;
}

std::vector<std::shared_ptr<const Object>> Directory::objects() const {
  std::vector<std::shared_ptr<const Object>> all;
  for (const auto& [name, file] : files_) all.insert(all.end(), file.objects.begin(), file.objects.end());
  return all;
}

std::vector<Problem> Directory::problems() const {
  std::vector<Problem> all = own_problems_;
  for (const auto& [name, file] : files_) all.insert(all.end(), file.problems.begin(), file.problems.end());
  return all;
}

}  // namespace pillion::control
