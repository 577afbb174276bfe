#include "sidecar/xds/last_good.h"

#include <errno.h>
#include <fcntl.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/delimited_message_util.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace pillion::xds {
namespace {

// First line of the file; the second is the node id, the third a checksum of the rest.
constexpr char kMagic[] = "pillion-last-good 1";

uint64_t Checksum(const std::string& bytes) {  // FNV-1a: against damage, not against an enemy
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3u;
  return hash;
}

absl::Status Failed(const std::string& what, const std::string& path) {
  return absl::UnavailableError(absl::StrCat(what, " ", path, ": ", std::strerror(errno)));
}

}  // namespace

absl::Status SaveLastGood(const std::string& path, const std::string& node_id, const Responses& responses) {
  std::ostringstream body;
  for (const auto& response : responses) {
    if (!google::protobuf::util::SerializeDelimitedToOstream(response, &body)) {
      return absl::InternalError("a held resource does not serialize");
    }
  }
  const std::string bytes = body.str();
  const std::string text = absl::StrCat(kMagic, "\n", node_id, "\n", Checksum(bytes), "\n", bytes);
  const std::string fresh = path + ".new";
  const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return Failed("cannot write", fresh);
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const absl::Status status = Failed("cannot write", fresh);
      close(fd);
      return status;
    }
    done += static_cast<size_t>(n);
  }
  const bool synced = fsync(fd) == 0;
  close(fd);
  if (!synced) return Failed("cannot sync", fresh);
  if (std::rename(fresh.c_str(), path.c_str()) != 0) return Failed("cannot rename to", path);
  return absl::OkStatus();
}

absl::StatusOr<Responses> LoadLastGood(const std::string& path, const std::string& node_id) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("no last good configuration at ", path));
  std::string magic;
  std::string id;
  std::string checksum;
  std::getline(file, magic);
  std::getline(file, id);
  std::getline(file, checksum);
  std::ostringstream rest;
  rest << file.rdbuf();
  const std::string bytes = rest.str();
  if (magic != kMagic) return absl::DataLossError(absl::StrCat(path, ": not a last good configuration"));
  if (id != node_id)
    return absl::DataLossError(absl::StrCat(path, ": belongs to node ", id, ", not ", node_id));
  if (checksum != std::to_string(Checksum(bytes)))
    return absl::DataLossError(absl::StrCat(path, ": damaged"));
  google::protobuf::io::ArrayInputStream stream(bytes.data(), static_cast<int>(bytes.size()));
  Responses responses;
  bool clean_eof = false;
  while (true) {
    envoy::service::discovery::v3::DiscoveryResponse response;
    if (!google::protobuf::util::ParseDelimitedFromZeroCopyStream(&response, &stream, &clean_eof)) break;
    responses.push_back(std::move(response));
  }
  if (!clean_eof) return absl::DataLossError(absl::StrCat(path, ": damaged"));
  return responses;
}

}  // namespace pillion::xds
