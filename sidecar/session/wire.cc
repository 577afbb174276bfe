#include "sidecar/session/wire.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace pillion::session {
namespace {
constexpr size_t kIovecsPerWrite = 64;
constexpr size_t kOwnBlockBytes = 4096 - sizeof(Block);
}  // namespace

Block* ReadScratch::Fresh() {
  if (!block_->shared()) {
    used_ = 0;
  } else if (block_->capacity() - used_ < kMinRoomBytes) {
    block_->Release();
    block_ = Block::New(kBytes);
    used_ = 0;
  }
  return block_;
}

Wire::~Wire() {
  if (input_block_ != nullptr) input_block_->Release();
}

Wire::Filled Wire::Fill(size_t most) {
  if (!readable_) return Filled::kBlocked;
  if (begin_ == end_) {  // nothing kept: read into the shared block
    if (input_block_ != nullptr) input_block_->Release();
    input_block_ = nullptr;  // before Fresh: our own count must not make the block look shared
    input_block_ = scratch_.Fresh();
    input_block_->Retain();
    own_block_ = false;
    begin_ = end_ = scratch_.used();
  } else if (!own_block_ || end_ == input_block_->capacity()) {
    // Grow by doubling, so that a head sent byte by byte is copied a linear number of times.
    const size_t kept = end_ - begin_;
    Block* block = Block::New(std::max(kOwnBlockBytes, kept * 2));
    std::memcpy(block->bytes(), input_block_->bytes() + begin_, kept);
    input_block_->Release();
    input_block_ = block;
    own_block_ = true;
    begin_ = 0;
    end_ = kept;
  }
  const std::span<char> room(input_block_->bytes() + end_, std::min(most, input_block_->capacity() - end_));
  const net::IoResult result = socket_->Read(room);
  switch (result.kind) {
    case net::IoResult::Kind::kBytes:
      end_ += result.bytes;
      if (!own_block_) scratch_.Use(end_);
      if (result.drained) readable_ = false;
      stats_.bytes_read.Add(result.bytes);
      return Filled::kBytes;
    case net::IoResult::Kind::kWouldBlock:
      readable_ = false;
      return Filled::kBlocked;
    case net::IoResult::Kind::kEnd:
      return reset_met_ ? Filled::kReset : Filled::kEnd;
    case net::IoResult::Kind::kReset:
      CountSilent(result.error);
      return Filled::kReset;
  }
  return Filled::kReset;
}

// The kernel tells it once, a TLS socket each time that it is asked. What the kernel has heard last of a peer
// that does not answer may be that there is no way to it.
void Wire::CountSilent(int error) {
  if (error != ETIMEDOUT && error != EHOSTUNREACH && error != ENETUNREACH) return;
  if (!std::exchange(silence_counted_, true)) stats_.silent.Add();
}

bool Wire::IsReset() {
  const int error = socket_->ConnectError();
  CountSilent(error);
  return error != 0 && error != EINPROGRESS;  // the latter also when both sides have ended
}

void Wire::KeepRest() {
  if (input_block_ == nullptr) return;
  const size_t kept = end_ - begin_;
  if (kept > 0 && own_block_) return;
  Block* block = nullptr;
  if (kept > 0) {
    block = Block::New(std::max(kOwnBlockBytes, kept));
    std::memcpy(block->bytes(), input_block_->bytes() + begin_, kept);
  }
  input_block_->Release();
  input_block_ = block;
  own_block_ = block != nullptr;
  begin_ = 0;
  end_ = kept;
}

void Wire::Prepend(std::string_view bytes) {
  if (bytes.empty()) return;
  input_block_ = Block::New(std::max(kOwnBlockBytes, bytes.size() * 2));
  std::memcpy(input_block_->bytes(), bytes.data(), bytes.size());
  own_block_ = true;
  begin_ = 0;
  end_ = bytes.size();
}

Wire::Flushed Wire::Flush() {
  if (broken_) {
    out_.Clear();
    return Flushed::kBroken;
  }
  while (!out_.empty()) {
    if (!writable_) return Flushed::kBlocked;
    std::array<iovec, kIovecsPerWrite> iovecs;
    const size_t count = out_.Iovecs(iovecs.data(), iovecs.size());
    size_t wanted = 0;
    for (size_t i = 0; i < count; ++i) wanted += iovecs[i].iov_len;
    const net::IoResult result = socket_->Write({iovecs.data(), count});
    if (result.kind == net::IoResult::Kind::kWouldBlock) {
      writable_ = false;
      return Flushed::kBlocked;
    }
    if (result.kind != net::IoResult::Kind::kBytes) {
      broken_ = true;
      CountSilent(result.error);
      reset_met_ =
          result.error != EPIPE;  // that one follows an end; others take the error from the next read
      out_.Clear();
      return Flushed::kBroken;
    }
    out_.Consume(result.bytes);
    written_ += result.bytes;
    stats_.bytes_written.Add(result.bytes);
    if (result.bytes < wanted) writable_ = false;  // the kernel's buffer is full; epoll tells when it is not
  }
  return Flushed::kAll;
}

}  // namespace pillion::session
