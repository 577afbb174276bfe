#include "sidecar/admin/admin.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "sidecar/base/hex.h"
#include "sidecar/base/slice.h"
#include "sidecar/base/text.h"
#include "sidecar/http/head.h"
#include "sidecar/net/address.h"

namespace pillion::admin {
namespace {

constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::string_view kJson = "application/json";
constexpr std::string_view kMetrics = "text/plain; version=0.0.4; charset=utf-8";

constexpr std::string_view kIndex =
    "GET  /ready          200 when the sidecar serves what it was told first, else 503 with the reasons\n"
    "GET  /config_dump    configuration in use, and what was rejected and why\n"
    "GET  /clusters       endpoints, load and connections\n"
    "GET  /certs          certificates in use, and when they expire\n"
    "GET  /tokens         idempotency tokens by state and route; ?hash=... the records of one\n"
    "GET  /metrics        counters as Prometheus text\n"
    "POST /quitquitquit   drains and exits\n";

std::string Lines(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// Answers that cannot be read or made in this time are given up. Start: the request's head; stop: our last
// byte.
constexpr auto kPageTimeout = std::chrono::seconds(30);

// An IP literal or localhost, with or without a port.
bool IsLiteralHost(std::string_view authority) {
  const bool bracketed = authority.starts_with('[');
  const size_t end = authority.find(bracketed ? ']' : ':');
  const std::string_view host = authority.substr(bracketed ? 1 : 0, bracketed ? end - 1 : end);
  if (bracketed && end == std::string_view::npos) return false;
  if (bracketed && end + 1 < authority.size() && authority[end + 1] != ':') return false;
  if (!bracketed && EqualsIgnoreCase(host, "localhost")) return true;
  return net::Address::Parse(host, 0).has_value();
}

struct Page {
  uint16_t status = 200;
  std::string_view type = kText;
  std::string body;
  std::string_view allow;  // of a 405
};

// Waits for its page when workers have to be asked, sends it, ends.
class AdminExchange final : public stream::Runnable {
 public:
  AdminExchange(stream::Turn& turn, std::shared_ptr<const Sources> sources,
                std::shared_ptr<size_t> alive_count, std::unique_ptr<stream::ClientStream> client)
      : turn_(turn),
        sources_(std::move(sources)),
        alive_count_(std::move(alive_count)),
        client_(std::move(client)),
        timer_(this) {
    client_->set_owner(this);
    turn_.Arm(timer_, turn_.now() + kPageTimeout);
    ++*alive_count_;
  }
  ~AdminExchange() override {
    *alive_ = false;
    --*alive_count_;
  }

  stream::Progress Run() override {
    const RequestError& error = client_->in().error;
    // A malformed request is answered; one whose client left is not.
    if (error &&
        (step_ != Step::kAsk || error.kind == ErrorKind::kClosed || error.kind == ErrorKind::kReset)) {
      client_->Reset(error);
      return stream::Progress::kDone;
    }
    if (!timer_.armed()) GiveUp();
    if (step_ == Step::kAsk) Ask();
    if (step_ == Step::kSend && !body_.empty()) {
      client_->SendContent(body_);
      if (!body_.empty()) return stream::Progress::kIdle;
      client_->Finish();
    }
    if (step_ != Step::kSend) return stream::Progress::kIdle;
    if (!client_->in().ended) client_->EndEarly();
    return stream::Progress::kDone;
  }

 private:
  enum class Step : uint8_t { kAsk, kWaitForWorkers, kSend };

  // A worker that does not answer gets its page a 503, a client that does not read a broken connection.
  void GiveUp() {
    if (step_ == Step::kWaitForWorkers) return Send({503, kText, "the workers did not answer in time\n", ""});
    if (step_ != Step::kSend) return;
    body_.Clear();
    client_->Reset(
        {ErrorKind::kIdleTimeout, Side::kClient, Outcome::kAnswered, "the admin page was not read"});
  }

  void Ask() {
    const http::RequestHead& head = client_->request();
    const std::string_view path = std::string_view(head.path).substr(0, head.path.find('?'));
    const bool read = head.method == http::Method::kGet || head.method == http::Method::kHead;
    if (client_->in().error) {
      Send({400, kText, "malformed request\n", ""});
    } else if (*alive_count_ > kMaxAdminExchanges) {
      Send({503, kText, "too many admin requests at once\n", ""});
    } else if (head.has_authority && !IsLiteralHost(head.authority)) {  // no browser leaves Host out
      Send({403, kText, "admin pages are served to IP addresses and localhost only\n", ""});
    } else if (!read && head.headers.Find("origin")) {
      // Host is no help against a form on any web page that posts to 127.0.0.1; its Origin is.
      Send({403, kText, "not for web pages\n", ""});
    } else if (path == "/quitquitquit") {
      if (head.method != http::Method::kPost) return Send({405, kText, "expected POST\n", "POST"});
      sources_->quit();
      Send({200, kText, "draining\n", ""});
    } else if (!read) {
      Send({405, kText, "expected GET\n", "GET, HEAD"});
    } else if (path == "/clusters") {
      sources_->clusters(WhenWorkersAnswer());
    } else {
      const auto query = std::string_view(head.path).substr(std::min(path.size() + 1, head.path.size()));
      if (path == "/tokens" && !query.empty() && sources_->token) return AskForToken(query);
      Send(MakePage(path));
    }
  }

  std::function<void(std::string)> WhenWorkersAnswer() {
    step_ = Step::kWaitForWorkers;
    return [this, alive = alive_](std::string body) {
      if (!*alive || step_ != Step::kWaitForWorkers) return;
      Send({200, kJson, std::move(body), ""});
      turn_.Wake(*this);
    };
  }

  void AskForToken(std::string_view query) {
    constexpr std::string_view kHash = "hash=";
    TokenHash hash;
    if (!query.starts_with(kHash) || !ParseHex(query.substr(kHash.size()), hash))
      return Send({400, kText, "expected hash= and 16 hexadecimal digits\n", ""});
    sources_->token(hash, WhenWorkersAnswer());
  }

  Page MakePage(std::string_view path) const {
    if (path == "/") return {200, kText, std::string(kIndex), ""};
    if (path == "/metrics") return {200, kMetrics, sources_->metrics(), ""};
    if (path == "/config_dump") return {200, kJson, sources_->config_dump(), ""};
    if (path == "/certs" && sources_->certs) return {200, kJson, sources_->certs(), ""};
    if (path == "/tokens" && sources_->tokens) return {200, kJson, sources_->tokens(), ""};
    if (path != "/ready") return {404, kText, "no such page; there are:\n" + std::string(kIndex), ""};
    const std::vector<std::string> reasons = sources_->not_ready();
    if (reasons.empty()) return {200, kText, "ready\n" + Lines(sources_->remarks()), ""};
    return {503, kText, Lines(reasons), ""};
  }

  void Send(const Page& page) {
    http::ResponseHead head;
    head.status = page.status;
    head.keep_alive = page.status != 400;
    head.content = {http::ContentLength::Kind::kSized, page.body.size()};
    head.headers.Add(http::Known::kContentType, page.type);
    head.headers.Add("cache-control", "no-store");
    if (!page.allow.empty()) head.headers.Add("allow", page.allow);
    const bool no_content = http::ResponseHasNoContent(client_->request().method, page.status);
    if (no_content) head.declared_length = page.body.size();
    if (!no_content) body_.AppendCopy(page.body);
    step_ = Step::kSend;
    if (client_->SendResponse(head, body_.empty())) return;
    body_.Clear();
    client_->Reset({ErrorKind::kInternal, Side::kLocal, Outcome::kAnswered, "no room for a head"});
  }

  stream::Turn& turn_;
  std::shared_ptr<const Sources> sources_;
  std::shared_ptr<size_t> alive_count_;
  std::unique_ptr<stream::ClientStream> client_;
  stream::Timer timer_;
  SliceQueue body_;
  Step step_ = Step::kAsk;
  // Told to callbacks that may outlive this exchange.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

void AdminFactory::Begin(std::unique_ptr<stream::ClientStream> client) {
  turn_.Wake(*new AdminExchange(turn_, sources_, alive_count_, std::move(client)));
}

}  // namespace pillion::admin
