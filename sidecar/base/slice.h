// Ref-counted byte slices: how bodies travel through the sidecar without being copied.
//
//   Block   one heap block; counted by the slices that point into it
//   Slice   a view into a block that keeps the block alive
//   SliceQueue   bytes in order, with a count; what streams hold between turns
//
// Threads: a block belongs to one worker; the count is a plain integer. Slices never cross threads.
#ifndef PILLION_SIDECAR_BASE_SLICE_H_
#define PILLION_SIDECAR_BASE_SLICE_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/inlined_vector.h"

namespace pillion {

// One allocation: this header, then `capacity` bytes. Made and freed only through Slice and MutableBlock.
class Block {
 public:
  static Block* New(size_t capacity);
  void Retain() { ++refs_; }
  void Release() {
    if (--refs_ == 0) Free(this);
  }
  bool shared() const { return refs_ > 1; }
  char* bytes() { return reinterpret_cast<char*>(this + 1); }
  size_t capacity() const { return capacity_; }

 private:
  explicit Block(size_t capacity) : refs_(1), capacity_(static_cast<uint32_t>(capacity)) {}
  static void Free(Block* block);
  uint32_t refs_;
  uint32_t capacity_;
};

// An immutable view that owns one count of its block. Cheap to copy, cheaper to move.
class Slice {
 public:
  Slice() = default;
  // Shares `block`; [data, data+size) must lie inside it.
  Slice(Block* block, const char* data, size_t size) : block_(block), data_(data), size_(size) {
    if (block_ != nullptr) block_->Retain();
  }
  Slice(const Slice& other) : Slice(other.block_, other.data_, other.size_) {}
  Slice(Slice&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  Slice& operator=(Slice other) noexcept {
    std::swap(block_, other.block_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Slice() {
    if (block_ != nullptr) block_->Release();
  }

  // Copies `bytes` into a block of their own.
  static Slice Copy(std::string_view bytes);
  // A slice of static storage: nothing to count.
  static Slice Static(std::string_view bytes) { return Slice(nullptr, bytes.data(), bytes.size()); }

  std::string_view view() const { return {data_, size_}; }
  const char* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // Drops the first `n` bytes; n <= size().
  void RemovePrefix(size_t n) {
    data_ += n;
    size_ -= n;
  }
  Slice Prefix(size_t n) const { return Slice(block_, data_, n); }
  // True when `next` starts where this ends in the same block: the two are one run of bytes.
  bool Continues(const Slice& next) const {
    return block_ != nullptr && block_ == next.block_ && data_ + size_ == next.data_;
  }
  void Extend(size_t n) { size_ += n; }

 private:
  Block* block_ = nullptr;
  const char* data_ = nullptr;
  size_t size_ = 0;
};

// Bytes in order. Small pieces are packed into a tail block of the queue's own, so that a queue of n bytes
// never pins more than n * 8 + one read block of 64 KiB (a peer that sends one byte a segment must not make
// us hold a whole read block for each).
class SliceQueue {
 public:
  // A piece below this is copied when the queue already holds something.
  static constexpr size_t kPackBelowBytes = size_t{8} * 1024;

  SliceQueue() = default;
  SliceQueue(SliceQueue&& other) noexcept { *this = std::move(other); }
  SliceQueue& operator=(SliceQueue&& other) noexcept;
  SliceQueue(const SliceQueue&) = delete;
  SliceQueue& operator=(const SliceQueue&) = delete;
  ~SliceQueue();

  void Append(Slice slice);
  // Copies bytes into the tail block.
  void AppendCopy(std::string_view bytes);
  // Moves up to `max_bytes` from the front of `from` to the back of this; returns the number moved.
  size_t MoveFrom(SliceQueue& from, size_t max_bytes);
  // Shares (does not remove) all bytes of `from`.
  void AppendShared(const SliceQueue& from);
  // Drops the first `n` bytes; n <= bytes().
  void Consume(size_t n);
  // Copies the first min(n, bytes()) bytes to `out`, without removing them; returns the count.
  size_t CopyTo(char* out, size_t n) const;
  // Fills at most `max` iovecs from the front; returns how many. Valid until the queue changes.
  size_t Iovecs(iovec* out, size_t max) const;
  // Each piece, from the front.
  template <typename Use>
  void ForEach(Use use) const {
    for (size_t i = head_; i < slices_.size(); ++i) use(slices_[i].view());
  }
  std::string ToString() const;

  size_t bytes() const { return bytes_; }
  bool empty() const { return bytes_ == 0; }
  size_t slice_count() const { return slices_.size() - head_; }
  const Slice& front() const { return slices_[head_]; }
  void Clear();

 private:
  void DropEmptyHead();
  absl::InlinedVector<Slice, 1> slices_;  // most queues hold one piece
  size_t head_ = 0;
  size_t bytes_ = 0;
  Block* tail_ = nullptr;  // owned count; where packed pieces go
  size_t tail_used_ = 0;
};

}  // namespace pillion

#endif  // PILLION_SIDECAR_BASE_SLICE_H_
