// The admin pages: what the running sidecar says about itself, over HTTP/1.1 on the main loop. No page
// changes anything but POST /quitquitquit.
//
// Who may read them is decided by the address that the bootstrap binds; a Host that is a name is refused, so
// that no web page can reach them through a rebound DNS name. Owner: the main loop; single-threaded.
#ifndef PILLION_SIDECAR_ADMIN_ADMIN_H_
#define PILLION_SIDECAR_ADMIN_ADMIN_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/stream/exchange_factory.h"
#include "sidecar/stream/turn.h"

namespace pillion::admin {

// Of a token: idempotency::ShortHash.
using TokenHash = std::array<uint8_t, 8>;

// Where the pages get their facts; filled by main. All are called on the main loop.
struct Sources {
  // Why the sidecar is not ready, one reason each; empty: it is.
  std::function<std::vector<std::string>()> not_ready;
  // What deserves a word although it is ready ("stale: ..."); may be empty.
  std::function<std::vector<std::string>()> remarks;
  std::function<std::string()> metrics;
  std::function<std::string()> config_dump;
  // Asks the workers; `done` is called later with the page, on the main loop, between turns.
  std::function<void(std::function<void(std::string)> done)> clusters;
  std::function<void()> quit;
  // /certs
  std::function<std::string()> certs = nullptr;
  // /tokens, and /tokens?hash=...
  std::function<std::string()> tokens = nullptr;
  std::function<void(const TokenHash& hash, std::function<void(std::string)> done)> token = nullptr;
};

// Attack: memory, by pages that are asked for and not read.
inline constexpr size_t kMaxAdminExchanges = 32;

class AdminFactory final : public stream::ExchangeFactory {
 public:
  // `turn` outlives the factory and its exchanges; so does what `sources` refers to.
  AdminFactory(stream::Turn& turn, Sources sources)
      : turn_(turn), sources_(std::make_shared<Sources>(std::move(sources))) {}
  void Begin(std::unique_ptr<stream::ClientStream> client) override;

 private:
  stream::Turn& turn_;
  std::shared_ptr<const Sources> sources_;
  std::shared_ptr<size_t> alive_count_ = std::make_shared<size_t>(0);
};

}  // namespace pillion::admin

#endif  // PILLION_SIDECAR_ADMIN_ADMIN_H_
