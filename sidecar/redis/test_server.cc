#include "sidecar/redis/test_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "sidecar/base/check.h"

namespace pillion::redis {
namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Nobody has it now.
uint16_t FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  PILLION_CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

pid_t Spawn(const std::vector<std::string>& command, int out) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(out, STDOUT_FILENO);
  execvp(arguments[0], arguments.data());
  _exit(127);
}

std::string BaseFolder() {
  const char* base = std::getenv("TEST_TMPDIR");
  return base == nullptr ? "/tmp" : base;
}

// In memory: a server that becomes a replica has its log written to the disk first, and answers nobody
// meanwhile. A machine that builds may take longer over that than any test waits.
std::string ServersFolder() {
  constexpr char kMemory[] = "/dev/shm";
  return access(kMemory, W_OK) == 0 ? kMemory : BaseFolder();
}

std::string MakeFolder(const std::string& base) {
  std::string folder = base + "/pillion-redis.XXXXXX";
  PILLION_CHECK(mkdtemp(folder.data()) != nullptr);
  return folder;
}

}  // namespace

TestConnection::TestConnection(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const timeval limit = {10, 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  sockaddr_in address = Loopback(port);
  if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    close(fd_);
    fd_ = -1;
  }
}

TestConnection::~TestConnection() {
  if (fd_ >= 0) close(fd_);
}

Reply TestConnection::Ask(const std::vector<std::string>& arguments) { return AskAll({arguments})[0]; }

std::vector<Reply> TestConnection::AskAll(const std::vector<std::vector<std::string>>& commands) {
  std::string out;
  for (const std::vector<std::string>& command : commands) {
    const std::vector<std::string_view> views(command.begin(), command.end());
    AppendCommand(views, out);
  }
  for (size_t sent = 0; sent < out.size();) {
    const ssize_t bytes = send(fd_, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
    if (bytes <= 0) break;
    sent += static_cast<size_t>(bytes);
  }
  std::vector<Reply> replies;
  replies.reserve(commands.size());
  for (size_t i = 0; i < commands.size(); ++i) replies.push_back(Next());
  return replies;
}

Reply TestConnection::Next() {
  Reply reply;
  std::array<char, 16384> room;
  while (true) {
    if (reader_.Next(reply) == ReplyReader::State::kReply) return reply;
    const ssize_t bytes = recv(fd_, room.data(), room.size(), 0);
    if (bytes <= 0) return {.kind = Reply::Kind::kError, .integer = 0, .text = "gone", .parts = {}};
    reader_.Feed({room.data(), static_cast<size_t>(bytes)});
  }
}

TestServer::TestServer(const std::vector<std::string>& arguments, Port kind)
    : arguments_(arguments), kind_(kind), folder_(MakeFolder(ServersFolder())) {
  // Somebody else may take the port meanwhile.
  for (int tries = 0; tries < 10; ++tries) {
    port_ = FreePort();
    if (Start()) return;
  }
  CheckFailed("redis-server cannot be started", __FILE__, __LINE__);
}

TestServer::~TestServer() {
  Kill();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

bool TestServer::Start() {
  const std::string port = std::to_string(port_);
  const bool tls = kind_ == Port::kTls;
  std::vector<std::string> command = {"redis-server",
                                      "--port",
                                      tls ? "0" : port,
                                      "--tls-port",
                                      tls ? port : "0",
                                      "--bind",
                                      "127.0.0.1",
                                      "--dir",
                                      folder_,
                                      "--save",
                                      "",
                                      "--appendonly",
                                      "yes",
                                      "--appendfsync",
                                      "no",
                                      "--databases",
                                      "1",
                                      "--repl-diskless-sync-delay",
                                      "0",
                                      "--enable-debug-command",
                                      "local"};
  command.insert(command.end(), arguments_.begin(), arguments_.end());
  std::array<int, 2> ends;
  PILLION_CHECK(pipe2(ends.data(), O_CLOEXEC) == 0);
  pid_ = Spawn(command, ends[1]);
  close(ends[1]);
  std::string said;
  while (said.find("Ready to accept connections") == std::string::npos) {
    pollfd one = {ends[0], POLLIN, 0};
    std::array<char, 4096> room;
    const ssize_t bytes = poll(&one, 1, 20'000) == 1 ? read(ends[0], room.data(), room.size()) : 0;
    if (bytes <= 0) break;
    said.append(room.data(), static_cast<size_t>(bytes));
  }
  close(ends[0]);
  if (said.find("Ready to accept connections") != std::string::npos) return true;
  std::fprintf(stderr, "redis-server did not start:\n%s\n", said.c_str());
  Kill();
  return false;
}

void TestServer::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void TestServer::StartAgain() {
  Kill();
  PILLION_CHECK(Start());
}

void TestServer::Pause() {
  kill(pid_, SIGSTOP);
  waitpid(pid_, nullptr, WUNTRACED);
}

void TestServer::Resume() { kill(pid_, SIGCONT); }

// A write of this connection is what the replicas are asked for; while none is there it may be refused.
bool TestServer::AwaitReplicas(int count) {
  for (int tries = 0; tries < 20; ++tries) {
    const std::vector<Reply> replies =
        TestConnection(port_).AskAll({{"SET", "awaited", "1"}, {"WAIT", std::to_string(count), "1000"}});
    if (replies[0].text == "OK" && replies[1].integer >= count) return true;
  }
  return false;
}

net::Address TestServer::address() const {
  return net::Address::Parse("127.0.0.1", port_).value_or(net::Address());
}

std::vector<std::string> PrimaryArguments() {
  return {"--min-replicas-to-write", "1", "--min-replicas-max-lag", "2"};
}

std::vector<std::string> ReplicaArguments(const TestServer& primary) {
  std::vector<std::string> arguments = PrimaryArguments();
  arguments.insert(arguments.end(), {"--replicaof", "127.0.0.1", std::to_string(primary.port())});
  return arguments;
}

std::string MakeTestFolder() { return MakeFolder(BaseFolder()); }

void WriteTestFile(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace pillion::redis
