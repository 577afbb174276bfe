// The bytes of one connection: its socket, what was read and not consumed, what is written and not sent.
//
//   socket --Fill()--> [worker's read block | own block] --input()--> codec
//   codec --out()--> [queue] --Flush()--> socket
//
// All connections of a worker read into one shared block; only what is left over at the end of a Run (half a
// head) is copied to a block of the connection's own. So an idle connection holds no buffer. Owner: a
// session; one thread.
#ifndef PILLION_SIDECAR_SESSION_WIRE_H_
#define PILLION_SIDECAR_SESSION_WIRE_H_

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "sidecar/base/slice.h"
#include "sidecar/net/loop.h"
#include "sidecar/telemetry/stats.h"

namespace pillion::session {

// A tunnel is over and its last bytes have not left: so long the peer may take none of them before they are
// given up, with a reset. Attack: an app that opens tunnels and reads nothing.
inline constexpr auto kLastBytesTimeout = std::chrono::minutes(5);

// The block that all connections of a worker read into. While slices still point into it the next reads take
// the room behind them, so that a turn of many small answers fills one block and not one block each.
class ReadScratch {
 public:
  static constexpr size_t kBytes = size_t{64} * 1024 - sizeof(Block);
  // A read gets at least this much room; less is left unused.
  static constexpr size_t kMinRoomBytes = size_t{16} * 1024;
  static constexpr size_t kHeadBytesPerTurn = size_t{1024} * 1024;
  ReadScratch() : block_(Block::New(kBytes)) {}
  ~ReadScratch() { block_->Release(); }
  ReadScratch(const ReadScratch&) = delete;
  ReadScratch& operator=(const ReadScratch&) = delete;
  // A block with room from used() to its end. Not counted: the caller retains it.
  Block* Fresh();
  size_t used() const { return used_; }
  // What was read into the block of the last Fresh ends at `end`.
  void Use(size_t end) { used_ = end; }
  // What the HTTP/2 connections of the worker may still bring of decoded fields in that turn together.
  // Attack: HPACK makes a hundred MiB of what they read in one, before the first of the exchanges has run.
  size_t HeadsLeft(uint64_t turn) {
    if (std::exchange(turn_, turn) != turn) heads_left_ = kHeadBytesPerTurn;
    return heads_left_;
  }
  void TakeHeads(size_t bytes) {
    heads_left_ -= std::min(heads_left_, bytes);
    head_bytes_ += bytes;
  }
  // Taken, ever.
  uint64_t head_bytes() const { return head_bytes_; }

 private:
  Block* block_;
  size_t used_ = 0;
  uint64_t turn_ = 0;
  size_t heads_left_ = kHeadBytesPerTurn;
  uint64_t head_bytes_ = 0;
};

class Wire {
 public:
  Wire(ReadScratch& scratch, telemetry::WireStats& stats) : scratch_(scratch), stats_(stats) {}
  ~Wire();
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  void Attach(std::unique_ptr<net::Socket> socket) { socket_ = std::move(socket); }
  net::Socket& socket() { return *socket_; }
  ReadScratch& scratch() { return scratch_; }
  bool attached() const { return socket_ != nullptr; }

  // Readiness, as the loop reports it.
  void Mark(bool readable, bool writable) {
    readable_ = readable_ || readable;
    writable_ = writable_ || writable;
  }
  bool readable() const { return readable_; }

  enum class Filled : uint8_t { kBytes, kBlocked, kEnd, kReset };
  // One read of at most so many bytes, appended to input(). kBlocked: wait for readiness.
  Filled Fill(size_t most = SIZE_MAX);
  std::string_view input() const {
    return {input_block_ == nullptr ? nullptr : input_block_->bytes() + begin_, end_ - begin_};
  }
  void Consume(size_t n) { begin_ += n; }
  // Between two Runs: memory that what is left of the input takes.
  size_t HeldInput() const { return own_block_ ? input_block_->capacity() : 0; }
  // A slice that shares a part of input().
  Slice Share(std::string_view part) { return Slice(input_block_, part.data(), part.size()); }
  // Call at the end of each Run: moves what is left out of the shared block.
  void KeepRest();
  // Bytes that came before the session was made (an inspector read them); once, before the first Fill.
  void Prepend(std::string_view bytes);

  // Asks whether a reset has come, for whoever neither reads nor writes now. True once.
  bool IsReset();

  SliceQueue& out() { return out_; }
  const SliceQueue& out() const { return out_; }
  enum class Flushed : uint8_t { kAll, kBlocked, kBroken };
  Flushed Flush();
  // A write failed: nothing more leaves, and the error that it took is one that no read will report again.
  bool broken() const { return broken_; }
  // Written to the kernel since the connection began.
  uint64_t written() const { return written_; }

 private:
  void CountSilent(int error);

  ReadScratch& scratch_;
  telemetry::WireStats& stats_;
  std::unique_ptr<net::Socket> socket_;
  Block* input_block_ = nullptr;  // owned count
  size_t begin_ = 0;
  size_t end_ = 0;
  SliceQueue out_;
  uint64_t written_ = 0;
  bool own_block_ = false;
  bool silence_counted_ = false;
  // Four facts about the socket, each told by another event.
  bool readable_ = false;
  bool writable_ = true;
  bool broken_ = false;
  // It was a RST that no FIN had come before (then it were EPIPE): the end that reads tell of now is none.
  bool reset_met_ = false;
};

}  // namespace pillion::session

#endif  // PILLION_SIDECAR_SESSION_WIRE_H_
