#include "sidecar/idempotency/shared/record_cipher.h"

#include <gtest/gtest.h>

#include <string>

#include "sidecar/base/random.h"
#include "sidecar/idempotency/test_answer.h"

namespace pillion::idempotency {
namespace {

constexpr std::array<uint8_t, 32> kKey = {1, 2, 3};
constexpr Digest kRecord = {{9, 8, 7}};

bool All(const http::HeaderList::Field&) { return true; }

SavedAnswer Full() {
  http::HeaderList head;
  head.Add("Content-Type", "text/plain");
  head.Add("set-cookie", "a=1");
  head.Add("set-cookie", std::string_view("b\0=2", 4));
  head.Add("x-empty", "");
  http::HeaderList trailers;
  trailers.Add("grpc-status", "0");
  SliceQueue content;
  content.AppendCopy(std::string_view("body\0\xff", 6));
  const ExecutionSpan execution{.at = DomainTime(1'700'000'000'123), .trace = {1, 2, 255}, .span = {3}};
  std::string written;
  WriteAnswer(201, head, All, content, &trailers, execution, written);
  return SavedAnswer(written);
}

// All that it says.
void ExpectSame(const SavedAnswer& a, const SavedAnswer& b) { EXPECT_EQ(a.written(), b.written()); }

TEST(Answer, ComesBackAsItWas) {
  for (const SavedAnswer& answer : {Full(), SavedAnswer(AnswerOf("")), SavedAnswer(AnswerOf("x", 500))}) {
    const SavedAnswer decoded = DecodeAnswer(EncodeAnswer(answer));
    ASSERT_TRUE(decoded);
    ExpectSame(decoded, answer);
  }
}

TEST(Answer, KnownFieldsAreFoundAgain) {
  http::HeaderList head;
  DecodeAnswer(EncodeAnswer(Full())).AddHeadTo(head);
  EXPECT_EQ(head.Find(http::Known::kContentType), "text/plain");
}

TEST(Answer, IsReadWholeOrNotAtAll) {
  const std::string bytes = EncodeAnswer(Full());
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(DecodeAnswer(bytes.substr(0, size))) << size;
  EXPECT_FALSE(DecodeAnswer(bytes + "x"));
}

// Bytes of an answer of which some are changed, which may lie about all sizes: read within what is there, and
// what is read can be written again as it came.
TEST(Answer, AnyBytesAreReadOrRefused) {
  const std::string good = EncodeAnswer(Full());
  Random random(11);
  size_t read = 0;
  for (int i = 0; i < 50'000; ++i) {
    std::string bytes = good;
    const uint64_t changes = 1 + Below(random.Next(), 4);
    for (uint64_t j = 0; j < changes; ++j) {
      const uint64_t at = Below(random.Next(), bytes.size());
      switch (Below(random.Next(), 4)) {
        case 0:
          bytes[at] = static_cast<char>(random.Next());
          break;
        case 1:
          bytes[at] = '\xff';
          break;
        case 2:
          bytes.erase(at, 1 + Below(random.Next(), 5));
          break;
        default:
          bytes.insert(at, 1, '\0');
      }
      if (bytes.empty()) bytes = "x";
    }
    const std::string copy(bytes);  // its end is the end of an allocation
    if (const SavedAnswer answer = DecodeAnswer({copy.data(), copy.size()})) {
      ++read;
      ASSERT_EQ(EncodeAnswer(answer), copy);
    }
  }
  EXPECT_GT(read, 1000U);
  EXPECT_LT(read, 49'000U);
}

TEST(RecordCipher, OpensWhatItSealed) {
  RecordCipher cipher(kKey, 5);
  RecordCipher other(kKey, 5);
  const auto answer = other.Open(kRecord, cipher.Seal(kRecord, Full()));
  ASSERT_TRUE(answer);
  ExpectSame(answer, Full());
}

TEST(RecordCipher, HidesWhatItSealsAndNeverSealsAlike) {
  RecordCipher cipher(kKey, 5);
  const std::string sealed = cipher.Seal(kRecord, Full());
  EXPECT_EQ(sealed.find("body"), std::string::npos);
  EXPECT_EQ(sealed.find("text/plain"), std::string::npos);
  EXPECT_NE(sealed, cipher.Seal(kRecord, Full()));
}

TEST(RecordCipher, OpensNothingThatWasChangedByOneBit) {
  RecordCipher cipher(kKey, 5);
  const std::string sealed = cipher.Seal(kRecord, Full());
  for (size_t at = 0; at < sealed.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = sealed;
      changed[at] = static_cast<char>(changed[at] ^ 1 << bit);
      ASSERT_FALSE(cipher.Open(kRecord, changed)) << at;
    }
    ASSERT_FALSE(cipher.Open(kRecord, sealed.substr(0, at))) << at;
  }
  EXPECT_FALSE(cipher.Open(kRecord, sealed + "x"));
  EXPECT_TRUE(cipher.Open(kRecord, sealed)) << "and goes on after what it refused";
}

TEST(RecordCipher, AnAnswerBelongsToOneRecordOfOneDomainUnderOneKey) {
  RecordCipher cipher(kKey, 5);
  const std::string sealed = cipher.Seal(kRecord, Full());
  EXPECT_FALSE(cipher.Open({{9, 8, 6}}, sealed));
  RecordCipher other_domain(kKey, 6);
  EXPECT_FALSE(other_domain.Open(kRecord, sealed));
  RecordCipher other_key({1, 2, 4}, 5);
  EXPECT_FALSE(other_key.Open(kRecord, sealed));
}

}  // namespace
}  // namespace pillion::idempotency
