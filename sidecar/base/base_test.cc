#include <gtest/gtest.h>

#include <array>

#include <memory>
#include <string>
#include <vector>

#include "sidecar/base/hex.h"
#include "sidecar/base/intrusive_list.h"
#include "sidecar/base/local_ref.h"
#include "sidecar/base/mutant.h"
#include "sidecar/base/recycled.h"
#include "sidecar/base/slice.h"
#include "sidecar/base/text.h"

namespace pillion {
namespace {

TEST(SliceQueue, KeepsBytesInOrderAcrossMovesAndConsumes) {
  SliceQueue queue;
  std::string expected;
  for (int i = 0; i < 500; ++i) {
    const std::string piece(static_cast<size_t>(i * 7 % 3000 + 1), static_cast<char>('a' + i % 26));
    queue.Append(Slice::Copy(piece));
    expected += piece;
  }
  EXPECT_EQ(queue.bytes(), expected.size());
  SliceQueue other;
  std::string seen;
  size_t step = 1;
  while (!queue.empty()) {
    const size_t moved = other.MoveFrom(queue, step);
    EXPECT_LE(moved, step);
    step = step * 3 % 5000 + 1;
    if (other.bytes() > 6000) {
      std::string part(4000, '\0');
      EXPECT_EQ(other.CopyTo(part.data(), part.size()), 4000u);
      seen += part;
      other.Consume(4000);
    }
  }
  seen += other.ToString();
  EXPECT_EQ(seen, expected);
}

TEST(SliceQueue, PacksSmallPiecesSoThatTheyDoNotPinTheirBlocks) {
  SliceQueue queue;
  queue.Append(Slice::Copy("first"));
  Block* block = Block::New(size_t{16} * 1024);
  block->bytes()[0] = 'x';
  queue.Append(Slice(block, block->bytes(), 1));
  EXPECT_FALSE(block->shared());
  EXPECT_EQ(queue.ToString(), "firstx");
  block->Release();
}

TEST(SliceQueue, SharedBytesSurviveTheOriginal) {
  SliceQueue copy;
  {
    SliceQueue queue;
    queue.AppendCopy("hello ");
    queue.AppendCopy(std::string(5000, 'z'));
    copy.AppendShared(queue);
    queue.Consume(3);
    queue.Clear();
  }
  EXPECT_EQ(copy.ToString(), "hello " + std::string(5000, 'z'));
}

TEST(SliceQueue, PackedTailIsNotOverwrittenWhileSomebodyHoldsIt) {
  SliceQueue queue;
  queue.AppendCopy("aaaa");
  SliceQueue holder;
  holder.MoveFrom(queue, 4);
  queue.AppendCopy("bbbb");
  EXPECT_EQ(holder.ToString(), "aaaa");
  EXPECT_EQ(queue.ToString(), "bbbb");
}

struct Tag;
struct Item : ListNode<Tag> {
  explicit Item(int v) : value(v) {}
  int value;
};

TEST(IntrusiveList, AMemberThatDiesLeavesTheList) {
  IntrusiveList<Item, Tag> list;
  Item a(1), c(3);
  list.PushBack(&a);
  {
    Item b(2);
    list.PushBack(&b);
    list.PushBack(&c);
  }
  EXPECT_EQ(list.front()->value, 1);
  EXPECT_EQ(list.Next(&a)->value, 3);
  EXPECT_EQ(list.PopFront()->value, 1);
  EXPECT_EQ(list.PopFront()->value, 3);
  EXPECT_TRUE(list.empty());
}

struct Counted : LocalCounted {
  explicit Counted(bool* dead) : dead_(dead) {}
  ~Counted() { *dead_ = true; }
  bool* dead_;
};

TEST(LocalRef, TheLastReferenceDeletes) {
  bool dead = false;
  LocalRef<Counted> a(new Counted(&dead));
  LocalRef<Counted> b = a;
  a.Reset();
  EXPECT_FALSE(dead);
  b = LocalRef<Counted>();
  EXPECT_TRUE(dead);
}

TEST(Text, ListElementsAreTrimmedAndEmptyOnesSkipped) {
  std::string seen;
  ForEachListElement(" a, ,b ,, c\t", [&](std::string_view e) { seen += "[" + std::string(e) + "]"; });
  EXPECT_EQ(seen, "[a][b][c]");
  EXPECT_TRUE(EqualsIgnoreCase("Content-Length", "content-LENGTH"));
  EXPECT_FALSE(EqualsIgnoreCase("a[", "a{"));
}

TEST(FreeMemory, KeepsSoManyPiecesAndGivesTheLastFirst) {
  FreeMemory free(2);
  EXPECT_EQ(free.Take(), nullptr);
  void* const a = ::operator new(64);
  void* const b = ::operator new(64);
  void* const c = ::operator new(64);
  EXPECT_TRUE(free.Keep(a));
  EXPECT_TRUE(free.Keep(b));
  EXPECT_FALSE(free.Keep(c));
  ::operator delete(c);
  EXPECT_EQ(free.Take(), b);
  ::operator delete(b);
  // `a` is freed with the stack: the leak checker looks.
}

struct Animal {
  virtual ~Animal() = default;
};
struct Dog : Animal, Recycled<Dog> {
  explicit Dog(int age) : age(age) {}
  int age;
};
struct BigDog : Dog {
  BigDog() : Dog(1) {}
  char coat[1000] = {};
};

TEST(Recycled, MemoryComesBackAndObjectsAreMadeAnew) {
  Animal* first = new Dog(3);
  delete first;
  const std::unique_ptr<Dog> second(new Dog(4));
  EXPECT_EQ(second->age, 4);
  if (PILLION_RECYCLES != 0) EXPECT_EQ(static_cast<void*>(second.get()), static_cast<void*>(first));
}

TEST(Recycled, ASubclassOfAnotherSizeIsLeftToTheAllocator) {
  Animal* big = new BigDog;
  delete big;
  const std::unique_ptr<Dog> dog(new Dog(2));
  EXPECT_EQ(dog->age, 2);
}

TEST(SliceQueue, WhatItPinsIsInProportionToWhatItHolds) {
  constexpr size_t kBlock = size_t{64} * 1024;
  for (const size_t piece : {size_t{1}, size_t{100}, size_t{2047}, size_t{2048}, size_t{4096}, size_t{8191},
                             size_t{8192}, size_t{30'000}}) {
    std::vector<Block*> blocks;
    SliceQueue queue;
    for (int i = 0; i < 100; ++i) {
      blocks.push_back(Block::New(kBlock));
      queue.Append(Slice(blocks.back(), blocks.back()->bytes(), piece));
    }
    size_t pinned = 0;
    for (Block* block : blocks) {
      pinned += block->shared() ? kBlock : 0;
      block->Release();
    }
    EXPECT_LE(pinned, queue.bytes() * 8 + kBlock) << "in pieces of " << piece;
  }
}

// In a build that has them this does not compile: there it is not a constant.
TEST(Mutant, IsInNoOrdinaryBuild) {
  static_assert(!Mutated(Mutant::kNone));
  static_assert(!Mutated(kLastMutant));
  EXPECT_FALSE(PutInForce(Mutant::kTakeover));
}

TEST(Hex, DigitsAreInLowerCaseAndAllThere) {
  const std::array<uint8_t, 3> bytes = {0x00, 0xab, 0x1f};
  EXPECT_EQ(ToHex(bytes), "00ab1f");
  std::array<uint8_t, 3> read{};
  EXPECT_TRUE(ParseHex("00ab1f", read));
  EXPECT_EQ(read, bytes);
  for (const char* const bad : {"", "00ab1", "00ab1f0", "00AB1f", "00ab1g", "00ab1 "})
    EXPECT_FALSE(ParseHex(bad, read)) << bad;
}

}  // namespace
}  // namespace pillion
