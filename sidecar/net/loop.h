// The loop contract: readiness and sockets of one thread. Two implementations: epoll, and the simulated
// network.
//
//   Wait(deadline)  ->  observers are marked (OnReady), nothing else happens  ->  the caller runs its turn
//
// Readiness is edge-triggered: after OnReady(readable) read until kWouldBlock or `drained`. Observers must
// outlive their socket.
#ifndef PILLION_SIDECAR_NET_LOOP_H_
#define PILLION_SIDECAR_NET_LOOP_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "sidecar/net/address.h"
#include "sidecar/net/security.h"
#include "sidecar/time/clock.h"

namespace pillion::net {

// Told of readiness; must only mark work.
class Observer {
 public:
  virtual void OnReady(bool readable, bool writable) = 0;

 protected:
  ~Observer() = default;
};

struct IoResult {
  enum class Kind : uint8_t {
    kBytes,
    kWouldBlock,
    kEnd,    // read: the peer sent FIN
    kReset,  // the connection is dead; `error` is the errno
  };
  Kind kind = Kind::kWouldBlock;
  size_t bytes = 0;
  int error = 0;
  // Read, with kBytes: nothing is left, and OnReady tells when something comes. Saves the read that would
  // only say kWouldBlock. May be false although nothing is left.
  bool drained = false;
};

// Closed by its destructor.
class Socket {
 public:
  virtual ~Socket() = default;
  virtual IoResult Read(std::span<char> into) = 0;
  virtual IoResult Write(std::span<const iovec> from) = 0;
  // 0 when connected; EINPROGRESS while not, also when no longer; else the errno of the failed connect, or of
  // the reset that has come since, which is told once, here or by the next read or write. Over TLS
  // "connected" includes the handshake, at either end; a failure of it is EPROTO, and security() says more.
  virtual int ConnectError() = 0;
  virtual void ShutdownWrite() = 0;
  // False: it holds back what Write or ShutdownWrite took, and OnReady(writable) tells when to ask again.
  virtual bool Flush() { return true; }
  // Of what the next Write must begin with, some may have left already: "nothing was written" is no proof
  // that nothing was sent.
  virtual bool MayHaveSent() const { return false; }
  // The destructor resets the connection: where its end is the message's end, the peer must not take a broken
  // message for a whole one. Best effort.
  virtual void ResetOnClose() {}
  // Bytes of ours that the peer's kernel acknowledged, SYN included (tcpi_bytes_acked); nullopt when not
  // known.
  virtual std::optional<uint64_t> AckedBytes() = 0;
  // Ends the connection when the peer's kernel has answered nothing, or its window was closed, for about
  // `limit`; at least 3 s. Without it: half a minute for an idle connection whose peer is gone, and as long
  // as the kernel tries to deliver what was sent. Nothing to do where no packet is lost without a word.
  virtual void GiveUpSilentPeerAfter(time::Duration limit) { static_cast<void>(limit); }
  virtual const Address& peer() const = 0;
  // A proxy before us told between whom the connection was: peer() and local() answer so from now on.
  virtual void SetEnds(const Address& client, const Address& destination) = 0;
  virtual const Address& local() const = 0;
  // The other end, whatever SetEnds said; also when it has reset the connection, of which the kernel knows
  // nobody any more.
  virtual Address direct_peer() const { return peer(); }
  // Our end, whatever SetEnds said; may cost a system call.
  virtual Address own() const { return local(); }
  // What the client dialled, where the kernel has redirected it to us (REDIRECT of iptables or nft); else
  // own(). Of an accepted socket. Costs two system calls.
  virtual Address OriginalDestination() const { return own(); }
  // What TLS found out and agreed; null: plain text. Lives as long as the socket.
  virtual const Security* security() const { return nullptr; }
  // Whom a loop has to watch, and tell, so that `observer` hears of this socket: a decorator puts itself
  // between.
  virtual std::pair<Socket*, Observer*> Watched(Observer& observer) { return {this, &observer}; }
};

class ListenSocket {
 public:
  virtual ~ListenSocket() = default;
  // The next client, or null when none waits.
  virtual std::unique_ptr<Socket> Accept() = 0;
  // Takes the first bytes of a client that has been here before with its SYN (RFC 7413), where the kernel
  // allows it. Such bytes may come twice: only for what stands that, as the beginning of TLS does.
  virtual void FastOpen(bool on) { static_cast<void>(on); }
  // Clients that Accept closed so far because there was no descriptor for them.
  virtual uint64_t shed() const { return 0; }
  virtual const Address& local() const = 0;
};

class Loop {
 public:
  virtual ~Loop() = default;
  // Starts a connect. Ends with OnReady(writable); ask ConnectError then. Null: no descriptor, no route, or
  // one too many for the kernel to watch; `error` says which.
  virtual std::unique_ptr<Socket> Connect(const Address& to, Observer& observer, int* error) = 0;
  // Hands over an accepted or a decorated socket: from now on `observer` is told. False: it is one too many
  // for the kernel to watch; close it. Only of one that was accepted and is observed for the first time.
  virtual bool Observe(Socket& socket, Observer& observer) = 0;
  // Null on failure; `error` is the errno.
  virtual std::unique_ptr<ListenSocket> Listen(const Address& at, Observer& observer, int* error) = 0;
  // Waits for readiness, a Wake or the deadline; marks observers.
  virtual void Wait(time::MonotonicTime deadline) = 0;
  // From any thread: makes the current or next Wait return.
  virtual void Wake() = 0;
};

}  // namespace pillion::net

#endif  // PILLION_SIDECAR_NET_LOOP_H_
