// A client with a fixed request rate: request n is due at start + n / rate, whatever happened to those
// before. Latency counts from the due time, so a proxy that stalls is charged for every request that had to
// wait
// ("coordinated omission" does not occur). A request that finds no idle connection waits here, on the clock.
//
//   open_loop PORT PATH CONNECTIONS RATE SECONDS
//
// Prints one JSON object. It speaks just enough HTTP/1.1 for the benchmark's backends: a 200 with
// content-length.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kGraceNs = 2 * kSecondNs;  // for what is in flight when the last request has been sent

int64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecondNs + now.tv_nsec;
}

struct Connection {
  int fd = -1;
  int64_t due_ns = 0;  // of the request in flight
  std::string input;
};

// The size of the whole response at the front of `input`; 0 while incomplete, -1 when it is not the expected
// one.
int64_t ResponseBytes(std::string_view input) {
  const size_t head_end = input.find("\r\n\r\n");
  if (head_end == std::string_view::npos) return 0;
  std::string head(input.substr(0, head_end));
  std::transform(head.begin(), head.end(), head.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  if (head.rfind("http/1.1 200", 0) != 0) return -1;
  const size_t at = head.find("\r\ncontent-length:");
  if (at == std::string::npos) return -1;
  const auto total = static_cast<int64_t>(head_end + 4) + std::atoll(head.c_str() + at + 17);
  return static_cast<int64_t>(input.size()) >= total ? total : 0;
}

class Client {
 public:
  Client(uint16_t port, const std::string& path)
      : port_(port),
        request_("GET " + path + " HTTP/1.1\r\nHost: bench\r\nUser-Agent: open_loop\r\n\r\n"),
        epoll_(epoll_create1(EPOLL_CLOEXEC)) {}
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() {
    for (Connection& connection : connections_) close(connection.fd);
    close(epoll_);
  }

  bool Open(size_t count) {
    connections_.resize(count);
    for (Connection& connection : connections_) {
      if (!Dial(connection)) return false;
      idle_.push_back(&connection);
    }
    return true;
  }

  void Run(int64_t rate, int64_t seconds) {
    latencies_ns_.reserve(static_cast<size_t>(rate * seconds));
    const int64_t start = NowNs();
    const int64_t total = rate * seconds;
    int64_t planned = 0;
    while (planned < total || Outstanding()) {
      const int64_t now = NowNs();
      while (planned < total && start + planned * kSecondNs / rate <= now) {
        waiting_.push_back(start + planned++ * kSecondNs / rate);
      }
      SendWaiting();
      if (planned == total && now > start + seconds * kSecondNs + kGraceNs) break;
      Wait(planned < total ? start + planned * kSecondNs / rate : now + kSecondNs / 10);
    }
    unanswered_ = static_cast<int64_t>(waiting_.size() + connections_.size() - idle_.size());
    elapsed_ns_ = NowNs() - start;
  }

  void Print() {
    std::sort(latencies_ns_.begin(), latencies_ns_.end());
    const auto at = [&](double share) {
      if (latencies_ns_.empty()) return 0.0;
      const auto index = static_cast<size_t>(share * static_cast<double>(latencies_ns_.size() - 1));
      return static_cast<double>(latencies_ns_[index]) / 1e3;
    };
    std::printf("{\"answered\": %zu, \"errors\": %lld, \"unanswered\": %lld, \"per_second\": %.1f, ",
                latencies_ns_.size(), static_cast<long long>(errors_), static_cast<long long>(unanswered_),
                static_cast<double>(latencies_ns_.size()) * 1e9 / static_cast<double>(elapsed_ns_));
    std::printf("\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n", at(0.5), at(0.9),
                at(0.99), at(1.0));
  }

 private:
  bool Outstanding() const { return !waiting_.empty() || idle_.size() < connections_.size(); }

  bool Dial(Connection& connection) {
    connection.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(connection.fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) return false;
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.ptr = &connection;
    return epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event) == 0;
  }

  void SendWaiting() {
    while (!waiting_.empty() && !idle_.empty()) {
      Connection& connection = *idle_.front();  // the longest idle: all connections carry the same load
      idle_.pop_front();
      connection.due_ns = waiting_.front();
      waiting_.pop_front();
      const ssize_t sent = send(connection.fd, request_.data(), request_.size(), MSG_NOSIGNAL);
      if (sent != static_cast<ssize_t>(request_.size())) Fail(connection);
    }
  }

  void Wait(int64_t until_ns) {
    const int64_t left = std::max<int64_t>(until_ns - NowNs(), 0);
    const timespec timeout = {left / kSecondNs, left % kSecondNs};
    epoll_event events[256];
    const int count = epoll_pwait2(epoll_, events, 256, &timeout, nullptr);
    for (int i = 0; i < count; ++i) Receive(*static_cast<Connection*>(events[i].data.ptr));
  }

  void Receive(Connection& connection) {
    char bytes[16384];
    const ssize_t n = recv(connection.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n > 0) connection.input.append(bytes, static_cast<size_t>(n));
    const int64_t whole = n > 0 ? ResponseBytes(connection.input) : -1;
    if (whole == 0) return;
    if (whole < 0 || whole != static_cast<int64_t>(connection.input.size())) {
      Fail(connection);
      return;
    }
    connection.input.clear();
    latencies_ns_.push_back(NowNs() - connection.due_ns);
    idle_.push_back(&connection);
  }

  // The request in flight counts as an error; the connection is replaced.
  void Fail(Connection& connection) {
    ++errors_;
    close(connection.fd);
    connection.input.clear();
    idle_.erase(std::remove(idle_.begin(), idle_.end(), &connection), idle_.end());
    if (Dial(connection)) idle_.push_back(&connection);
  }

  uint16_t port_;
  std::string request_;
  int epoll_;
  std::vector<Connection> connections_;
  std::deque<Connection*> idle_;
  std::deque<int64_t> waiting_;  // due times without a connection
  std::vector<int64_t> latencies_ns_;
  int64_t errors_ = 0;
  int64_t unanswered_ = 0;
  int64_t elapsed_ns_ = 1;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: open_loop PORT PATH CONNECTIONS RATE SECONDS\n");
    return 2;
  }
  prctl(PR_SET_TIMERSLACK, 1);  // 50 us by default: as much as what is measured
  Client client(static_cast<uint16_t>(std::atoi(argv[1])), argv[2]);
  if (!client.Open(static_cast<size_t>(std::atoi(argv[3])))) {
    std::fprintf(stderr, "open_loop: cannot connect to port %s\n", argv[1]);
    return 1;
  }
  client.Run(std::atoll(argv[4]), std::atoll(argv[5]));
  client.Print();
}
