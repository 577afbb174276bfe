// One connection to one Redis server, made again whenever it is lost. Owned by one worker, on whose thread,
// turn and loop all of it happens.
//
//   kWaiting --back-off over--> kConnecting --TCP, TLS--> kGreeting --AUTH, INFO, CONFIG GET--> kReady
//      ^                             |                        |                                   |
//      |                             |                        |          READONLY: it is no master any more
//      |                             |                        |                                   v
//      +-----------------------------+------------------------+---- broken, too late, drained -- kLeaving
//
// Use: each user has an Inbox. `Send` takes a command while the state is kReady; it leaves at the end of the
// turn, with all others of the turn, in one write. Nothing is called back: what has ended is put into the
// inbox, its owner is woken, and finds it when it runs (STYLE.md R3). Of each command that Send took, exactly
// one Ended is put there, and these stand in the order in which the commands were sent, whoever sent them:
//
//   kReply    the server's answer, an error among them
//   kNotSent  the connection ended before the last byte of the command left: the server has not run it
//   kUnknown  it ended later, before the reply came: the server may have run it
//
// A command without a reply by its deadline (command_timeout, and what the command itself blocks for) ends
// the connection, and with it all that are pending: replies have no names, so that one which comes late could
// not be told from the next.
//
// Before it is kReady a server is asked who it is. One that is no master (a failover is under way), or whose
// settings are not what `requirements` say, is left, and after the back-off (full jitter, from 0 to
// backoff_base doubled with each failure of all addresses, at most backoff_cap) the next address is dialled;
// trouble() says why. A new master is found so, or by what SetAddresses has replaced them by.
//
// kSubscriber: RESP2's publish/subscribe, by Subscribe and Unsubscribe, nothing else. What is subscribed is
// forgotten with the connection.
#ifndef PILLION_SIDECAR_REDIS_CLIENT_H_
#define PILLION_SIDECAR_REDIS_CLIENT_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "sidecar/base/intrusive_list.h"
#include "sidecar/base/random.h"
#include "sidecar/net/loop.h"
#include "sidecar/redis/limits.h"
#include "sidecar/redis/reply.h"
#include "sidecar/redis/server_check.h"
#include "sidecar/stream/turn.h"
#include "sidecar/tls/credentials.h"
#include "sidecar/tls/holder.h"
#include "sidecar/tls/worker_tools.h"

namespace pillion::redis {

struct ClientSettings {
  // Tried one after the other, until one is what `requirements` say.
  std::vector<net::Address> addresses;
  std::string user;      // "": Redis's own default
  std::string password;  // "": no AUTH
  // Null: plain text. While there is nothing in it nothing is dialled.
  std::shared_ptr<const tls::Holder<tls::ClientCredentials>> credentials;
  std::string server_name;                                   // SNI; "": that of the credentials
  time::Duration connect_timeout = std::chrono::seconds(2);  // from the dial until it is kReady
  time::Duration command_timeout = std::chrono::seconds(1);  // from Send until the reply
  time::Duration backoff_base = std::chrono::milliseconds(50);
  time::Duration backoff_cap = std::chrono::seconds(2);
  Requirements requirements;  // kCommander
  Limits limits;
};

// Parts of one worker; all outlive its clients.
struct ClientParts {
  stream::Turn& turn;
  net::Loop& loop;
  tls::WorkerTools& tls;
  Random& random;
};

// How a command ended.
struct Ended {
  enum class How : uint8_t { kReply, kNotSent, kUnknown };
  uint64_t tag = 0;  // the sender's own
  How how = How::kNotSent;
  Reply reply;  // kReply
};

// Of a channel.
struct Message {
  std::string channel;
  std::string text;
};

class Client;
struct InboxTag;

// One user's end of a client, which outlives it. Its owner, which outlives it too, is woken when something
// was put in, or the client has become ready or has ceased to be. Destroyed: what is pending goes on, and is
// told to nobody.
class Inbox : public ListNode<InboxTag> {
 public:
  Inbox(Client& client, stream::Runnable& owner);
  ~Inbox();
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;
  std::vector<Ended> TakeEnded() { return std::exchange(ended_, {}); }
  std::vector<Message> TakeMessages() { return std::exchange(messages_, {}); }

 private:
  friend class Client;
  Client& client_;
  stream::Runnable& owner_;
  std::vector<Ended> ended_;
  std::vector<Message> messages_;
};

class Client final : public net::Observer, public stream::Runnable, public stream::Flushable {
 public:
  enum class Use : uint8_t { kCommander, kSubscriber };
  enum class State : uint8_t { kWaiting, kConnecting, kGreeting, kReady, kLeaving };

  // Dials in the next turn.
  Client(const ClientParts& parts, ClientSettings settings, Use use);
  // Not from its own Run. Commands that are pending end nowhere.
  ~Client() override;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  enum class Taken : uint8_t {
    kYes,
    kNotReady,  // there is no server now
    kFull,      // a limit; try again when others have ended
  };
  // Views are copied. `blocks`: what the command itself may wait for at the server. Unless kYes nothing has
  // happened, and nothing is put into `inbox`.
  Taken Send(Inbox& inbox, uint64_t tag, std::span<const std::string_view> arguments,
             time::Duration blocks = time::Duration::zero());
  // kSubscriber. The Ended of `tag` says that messages come from now on. A channel has one inbox.
  Taken Subscribe(Inbox& inbox, uint64_t tag, std::string_view channel);
  void Unsubscribe(std::string_view channel);

  State state() const { return state_; }
  bool ready() const { return state_ == State::kReady; }
  // How often it has become ready: differs when the connection is another one.
  uint64_t generation() const { return generation_; }
  // kReady: the server's.
  const ServerFacts& server() const { return facts_; }
  // Why there was no connection the last time; "" before the first failure. For people: may hold what the
  // server said.
  const std::string& trouble() const { return trouble_; }
  size_t pending() const { return pending_.size(); }
  // Where and as whom it dials from the next time on.
  void SetAddresses(std::vector<net::Address> addresses) { settings_.addresses = std::move(addresses); }
  void SetCredentials(std::shared_ptr<const tls::Holder<tls::ClientCredentials>> credentials) {
    settings_.credentials = std::move(credentials);
  }
  void SetLogin(std::string user, std::string password) {
    settings_.user = std::move(user);
    settings_.password = std::move(password);
  }

  struct Counts {
    uint64_t dials = 0;
    uint64_t failures = 0;  // of connections, made or not
    uint64_t late = 0;      // of these: a command had no reply in time
    uint64_t commands = 0;
    uint64_t strays = 0;  // messages of channels that nobody listens to any more
  };
  const Counts& counts() const { return counts_; }

  void OnReady(bool readable, bool writable) override;
  stream::Progress Run() override;
  void Flush() override;

 private:
  friend class Inbox;
  struct Pending {
    Inbox* inbox;  // null: nobody is told
    uint64_t tag;
    uint64_t end;  // of its bytes, among all that the connection was given
    time::MonotonicTime deadline;
  };
  void Dial();
  void FinishDial();
  void Greet();
  void Judge();
  void Read();
  void TakeReplies();
  bool TakeMessage(Reply& reply);
  void TakeReply(Reply& reply);
  void GiveUp(std::string why);
  void CheckDeadline();
  void Append(Inbox* inbox, uint64_t tag, std::span<const std::string_view> arguments, time::Duration blocks);
  void Put(Inbox* inbox, Ended ended);
  void WakeAll();
  void Forget(Inbox& inbox);
  bool connected() const { return state_ != State::kWaiting && state_ != State::kConnecting; }

  const ClientParts parts_;
  ClientSettings settings_;
  const Use use_;
  State state_ = State::kWaiting;
  stream::Timer timer_;
  std::unique_ptr<net::Socket> socket_;
  std::unique_ptr<ReplyReader> reader_;
  std::string out_;
  size_t out_begin_ = 0;   // of what has not left
  uint64_t written_ = 0;   // of the connection's bytes, have left
  uint64_t appended_ = 0;  // were given to it
  uint64_t offered_ = 0;   // were offered to the socket
  std::string broken_;     // why a write failed; "": none did
  std::deque<Pending> pending_;
  std::vector<Reply> greeting_;
  ServerFacts facts_;
  std::string trouble_;
  size_t at_ = 0;          // of the addresses, which is dialled next, or is
  net::Address address_;   // that is
  uint32_t failures_ = 0;  // since the last command that was answered
  uint64_t generation_ = 0;
  Counts counts_;
  IntrusiveList<Inbox, InboxTag> inboxes_;
  absl::flat_hash_map<std::string, Inbox*> channels_;
  // Two facts about the socket, each told by another event.
  bool readable_ = false;
  bool writable_ = false;
};

}  // namespace pillion::redis

#endif  // PILLION_SIDECAR_REDIS_CLIENT_H_
