#include "sidecar/base/slice.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "sidecar/base/recycled.h"

namespace pillion {
namespace {
constexpr size_t kTailBlockBytes = 4096 - sizeof(Block);
// Tail blocks come and go with every message.
constexpr size_t kMaxFreeTailBlocks = 64;
thread_local FreeMemory free_tail_blocks{kMaxFreeTailBlocks};
}  // namespace

Block* Block::New(size_t capacity) {
  if (PILLION_RECYCLES != 0 && capacity == kTailBlockBytes) {
    if (void* const memory = free_tail_blocks.Take()) return new (memory) Block(capacity);
  }
  return new (::operator new(sizeof(Block) + capacity)) Block(capacity);
}

void Block::Free(Block* block) {
  if (PILLION_RECYCLES != 0 && block->capacity_ == kTailBlockBytes && free_tail_blocks.Keep(block)) return;
  ::operator delete(block);
}

Slice Slice::Copy(std::string_view bytes) {
  Block* block = Block::New(bytes.size());
  std::memcpy(block->bytes(), bytes.data(), bytes.size());
  Slice slice(block, block->bytes(), bytes.size());
  block->Release();
  return slice;
}

SliceQueue& SliceQueue::operator=(SliceQueue&& other) noexcept {
  if (this == &other) return *this;
  Clear();
  std::swap(slices_, other.slices_);
  std::swap(head_, other.head_);
  std::swap(bytes_, other.bytes_);
  std::swap(tail_, other.tail_);
  std::swap(tail_used_, other.tail_used_);
  return *this;
}

SliceQueue::~SliceQueue() {
  if (tail_ != nullptr) tail_->Release();
}

void SliceQueue::Append(Slice slice) {
  if (slice.empty()) return;
  if (!empty() && slices_.back().Continues(slice)) {
    slices_.back().Extend(slice.size());
    bytes_ += slice.size();
    return;
  }
  if (!empty() && slice.size() < kPackBelowBytes) {
    AppendCopy(slice.view());
    return;
  }
  bytes_ += slice.size();
  slices_.push_back(std::move(slice));
}

void SliceQueue::AppendCopy(std::string_view bytes) {
  while (!bytes.empty()) {
    if (tail_ == nullptr || tail_used_ == tail_->capacity()) {
      if (tail_ != nullptr) tail_->Release();
      tail_ = Block::New(std::max(kTailBlockBytes, std::min<size_t>(bytes.size(), size_t{64} * 1024)));
      tail_used_ = 0;
    }
    const size_t n = std::min(bytes.size(), tail_->capacity() - tail_used_);
    char* at = tail_->bytes() + tail_used_;
    std::memcpy(at, bytes.data(), n);
    tail_used_ += n;
    Slice piece(tail_, at, n);
    if (!empty() && slices_.back().Continues(piece)) {
      slices_.back().Extend(n);
    } else {
      slices_.push_back(std::move(piece));
    }
    bytes_ += n;
    bytes.remove_prefix(n);
  }
}

size_t SliceQueue::MoveFrom(SliceQueue& from, size_t max_bytes) {
  // The usual case: one piece, and nobody has any before it.
  if (empty() && from.bytes_ <= max_bytes && from.slice_count() == 1) {
    slices_.push_back(std::move(from.slices_[from.head_]));
    bytes_ = std::exchange(from.bytes_, 0);
    from.DropEmptyHead();
    return bytes_;
  }
  size_t moved = 0;
  while (moved < max_bytes && !from.empty()) {
    Slice& front = from.slices_[from.head_];
    const size_t n = std::min(front.size(), max_bytes - moved);
    if (n == front.size()) {
      Append(std::move(front));
      front = Slice();
    } else {
      Append(front.Prefix(n));
      front.RemovePrefix(n);
    }
    from.bytes_ -= n;
    from.DropEmptyHead();
    moved += n;
  }
  return moved;
}

void SliceQueue::AppendShared(const SliceQueue& from) {
  for (size_t i = from.head_; i < from.slices_.size(); ++i) Append(from.slices_[i]);
}

void SliceQueue::Consume(size_t n) {
  while (n > 0) {
    Slice& front = slices_[head_];
    const size_t take = std::min(n, front.size());
    front.RemovePrefix(take);
    bytes_ -= take;
    n -= take;
    DropEmptyHead();
  }
}

void SliceQueue::DropEmptyHead() {
  if (bytes_ == 0) {
    slices_.clear();
    head_ = 0;
    if (tail_ != nullptr && tail_->shared()) return;
    tail_used_ = 0;
    return;
  }
  while (head_ < slices_.size() && slices_[head_].empty()) {
    slices_[head_] = Slice();
    ++head_;
  }
  if (head_ > 32 && head_ * 2 > slices_.size()) {  // keep the vector from growing without end
    slices_.erase(slices_.begin(), slices_.begin() + static_cast<ptrdiff_t>(head_));
    head_ = 0;
  }
}

size_t SliceQueue::CopyTo(char* out, size_t n) const {
  size_t done = 0;
  for (size_t i = head_; i < slices_.size() && done < n; ++i) {
    const size_t take = std::min(n - done, slices_[i].size());
    std::memcpy(out + done, slices_[i].data(), take);
    done += take;
  }
  return done;
}

size_t SliceQueue::Iovecs(iovec* out, size_t max) const {
  size_t count = 0;
  for (size_t i = head_; i < slices_.size() && count < max; ++i, ++count) {
    out[count] = {const_cast<char*>(slices_[i].data()), slices_[i].size()};
  }
  return count;
}

std::string SliceQueue::ToString() const {
  std::string text(bytes_, '\0');
  CopyTo(text.data(), bytes_);
  return text;
}

void SliceQueue::Clear() {
  slices_.clear();
  slices_.shrink_to_fit();
  head_ = 0;
  bytes_ = 0;
  if (tail_ != nullptr) tail_->Release();
  tail_ = nullptr;
  tail_used_ = 0;
}

}  // namespace pillion
