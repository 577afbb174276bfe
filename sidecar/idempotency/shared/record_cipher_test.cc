#include "sidecar/idempotency/shared/record_cipher.h"

#include <gtest/gtest.h>

#include <string>

#include "sidecar/base/random.h"

namespace pillion::idempotency {
namespace {

constexpr std::array<uint8_t, 32> kKey = {1, 2, 3};
constexpr Digest kRecord = {{9, 8, 7}};

SavedAnswer Full() {
  SavedAnswer answer;
  answer.status = 201;
  answer.headers.Add("Content-Type", "text/plain");
  answer.headers.Add("set-cookie", "a=1");
  answer.headers.Add("set-cookie", std::string("b\0=2", 4));
  answer.headers.Add("x-empty", "");
  answer.body = std::string("body\0\xff", 6);
  answer.has_trailers = true;
  answer.trailers.Add("grpc-status", "0");
  answer.at = DomainTime(1'700'000'000'123);
  answer.trace = {1, 2, 255};
  answer.span = {3};
  return answer;
}

std::string Text(const http::HeaderList& fields) {
  std::string text;
  for (size_t i = 0; i < fields.size(); ++i)
    text += std::string(fields[i].name) + ": " + std::string(fields[i].value) + "\n";
  return text;
}

void ExpectSame(const SavedAnswer& a, const SavedAnswer& b) {
  EXPECT_EQ(a.status, b.status);
  EXPECT_EQ(Text(a.headers), Text(b.headers));
  EXPECT_EQ(a.body, b.body);
  EXPECT_EQ(a.has_trailers, b.has_trailers);
  EXPECT_EQ(Text(a.trailers), Text(b.trailers));
  EXPECT_EQ(a.at, b.at);
  EXPECT_EQ(a.trace, b.trace);
  EXPECT_EQ(a.span, b.span);
}

TEST(Answer, ComesBackAsItWas) {
  for (const SavedAnswer& answer : {Full(), SavedAnswer()}) {
    const std::optional<SavedAnswer> decoded = DecodeAnswer(EncodeAnswer(answer));
    ASSERT_TRUE(decoded);
    ExpectSame(*decoded, answer);
  }
}

TEST(Answer, KnownFieldsAreFoundAgain) {
  const std::optional<SavedAnswer> decoded = DecodeAnswer(EncodeAnswer(Full()));
  EXPECT_EQ(decoded->headers.Find(http::Known::kContentType), "text/plain");
  EXPECT_EQ(decoded->trailers.Find(http::Known::kGrpcStatus), "0");
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
    if (const auto answer = DecodeAnswer({copy.data(), copy.size()})) {
      ++read;
      ASSERT_EQ(EncodeAnswer(*answer), copy);
    }
  }
  EXPECT_GT(read, 1000U);
  EXPECT_LT(read, 49'000U);
}

TEST(RecordCipher, OpensWhatItSealed) {
  RecordCipher cipher(kKey, 5);
  RecordCipher other(kKey, 5);
  const auto answer = other.Open(kRecord, cipher.Seal(kRecord, Full()));
  ASSERT_NE(answer, nullptr);
  ExpectSame(*answer, Full());
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
      ASSERT_EQ(cipher.Open(kRecord, changed), nullptr) << at;
    }
    ASSERT_EQ(cipher.Open(kRecord, sealed.substr(0, at)), nullptr) << at;
  }
  EXPECT_EQ(cipher.Open(kRecord, sealed + "x"), nullptr);
  EXPECT_NE(cipher.Open(kRecord, sealed), nullptr) << "and goes on after what it refused";
}

TEST(RecordCipher, AnAnswerBelongsToOneRecordOfOneDomainUnderOneKey) {
  RecordCipher cipher(kKey, 5);
  const std::string sealed = cipher.Seal(kRecord, Full());
  EXPECT_EQ(cipher.Open({{9, 8, 6}}, sealed), nullptr);
  RecordCipher other_domain(kKey, 6);
  EXPECT_EQ(other_domain.Open(kRecord, sealed), nullptr);
  RecordCipher other_key({1, 2, 4}, 5);
  EXPECT_EQ(other_key.Open(kRecord, sealed), nullptr);
}

}  // namespace
}  // namespace pillion::idempotency
