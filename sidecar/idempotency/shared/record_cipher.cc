#include "sidecar/idempotency/shared/record_cipher.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "sidecar/base/check.h"

namespace pillion::idempotency {
namespace {

constexpr char kVersion = 1;
constexpr size_t kNonceBytes = 12;
constexpr size_t kTagBytes = 16;
constexpr size_t kEnvelopeBytes = 1 + kNonceBytes + kTagBytes;

template <typename T>
void Put(T number, std::string& out) {
  for (size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(static_cast<uint64_t>(number) >> (8 * i));
}

void Put(std::span<const uint8_t> bytes, std::string& out) {
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void Put(const http::HeaderList& fields, std::string& out) {
  Put(static_cast<uint32_t>(fields.size()), out);
  for (size_t i = 0; i < fields.size(); ++i) {
    const http::HeaderList::Field field = fields[i];
    Put(static_cast<uint16_t>(field.name.size()), out);
    Put(static_cast<uint32_t>(field.value.size()), out);
    out.append(field.name).append(field.value);
  }
}

// Takes from the front; once it was too short, all that it takes is nothing.
class Input {
 public:
  explicit Input(std::string_view bytes) : rest_(bytes) {}
  std::string_view Take(size_t bytes) {
    if (bytes > rest_.size()) good_ = false;
    if (!good_) return {};
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }
  template <typename T>
  T Number() {
    uint64_t number = 0;
    const std::string_view taken = Take(sizeof(T));
    for (size_t i = 0; i < taken.size(); ++i) number |= uint64_t{static_cast<uint8_t>(taken[i])} << (8 * i);
    return static_cast<T>(number);
  }
  void Bytes(std::span<uint8_t> into) { std::ranges::copy(Take(into.size()), into.begin()); }
  // Each field takes six bytes at least, so that a number of them that lies is found out in time.
  void Fields(http::HeaderList& fields) {
    const auto count = Number<uint32_t>();
    for (uint32_t i = 0; i < count && good_; ++i) {
      const auto name_size = Number<uint16_t>();
      const auto value_size = Number<uint32_t>();
      const std::string_view name = Take(name_size);
      const std::string_view value = Take(value_size);
      if (good_) fields.Add(name, value);
    }
  }
  void Refuse() { good_ = false; }
  bool whole() const { return good_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool good_ = true;
};

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* Bytes(std::string& text, size_t at) {
  return reinterpret_cast<unsigned char*>(text.data() + at);
}

}  // namespace

void FillWithSecretBytes(std::span<uint8_t> bytes) {
  PILLION_CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
}

std::string EncodeAnswer(const SavedAnswer& answer) {
  http::HeaderList head;
  http::HeaderList trailers;
  answer.AddHeadTo(head);
  answer.AddTrailersTo(trailers);
  std::string out;
  out.reserve(64 + answer.bytes() + 8 * (head.size() + trailers.size()));
  Put(answer.status(), out);
  Put(answer.execution().at.count(), out);
  Put(std::span<const uint8_t>(answer.execution().trace), out);
  Put(std::span<const uint8_t>(answer.execution().span), out);
  out += static_cast<char>(answer.has_trailers());
  Put(head, out);
  Put(trailers, out);
  Put(static_cast<uint32_t>(answer.content().size()), out);
  return out.append(answer.content());
}

SavedAnswer DecodeAnswer(std::string_view bytes) {
  Input input(bytes);
  const auto status = input.Number<uint16_t>();
  ExecutionSpan execution;
  execution.at = DomainTime(input.Number<int64_t>());
  input.Bytes(execution.trace);
  input.Bytes(execution.span);
  const auto has_trailers = input.Number<uint8_t>();
  if (has_trailers > 1) input.Refuse();
  http::HeaderList head;
  http::HeaderList trailers;
  input.Fields(head);
  input.Fields(trailers);
  // Who has no trailers writes none.
  if (has_trailers == 0 && !trailers.empty()) input.Refuse();
  SliceQueue content;
  content.Append(Slice::Static(input.Take(input.Number<uint32_t>())));
  if (!input.whole()) return {};
  std::string written;
  WriteAnswer(
      status, head, [](const http::HeaderList::Field&) { return true; }, content,
      has_trailers == 1 ? &trailers : nullptr, execution, written);
  return SavedAnswer(written);
}

// One context that seals and one that opens; the key is scheduled once.
struct RecordCipher::Native {
  explicit Native(const std::array<uint8_t, 32>& key)
      : seals(EVP_CIPHER_CTX_new()), opens(EVP_CIPHER_CTX_new()) {
    PILLION_CHECK(seals != nullptr && opens != nullptr);
    PILLION_CHECK(EVP_EncryptInit_ex(seals, EVP_aes_256_gcm(), nullptr, key.data(), nullptr) == 1);
    PILLION_CHECK(EVP_DecryptInit_ex(opens, EVP_aes_256_gcm(), nullptr, key.data(), nullptr) == 1);
  }
  ~Native() {
    EVP_CIPHER_CTX_free(seals);
    EVP_CIPHER_CTX_free(opens);
  }
  Native(const Native&) = delete;
  Native& operator=(const Native&) = delete;
  EVP_CIPHER_CTX* seals;
  EVP_CIPHER_CTX* opens;
};

RecordCipher::RecordCipher(const std::array<uint8_t, 32>& key, DomainId domain)
    : native_(std::make_unique<Native>(key)), domain_(domain) {}
RecordCipher::~RecordCipher() = default;

std::array<uint8_t, 24> RecordCipher::Associated(const Digest& key) const {
  std::array<uint8_t, 24> associated;
  std::ranges::copy(key.bytes, associated.begin());
  for (size_t i = 0; i < sizeof(domain_); ++i) associated[16 + i] = static_cast<uint8_t>(domain_ >> (8 * i));
  return associated;
}

std::string RecordCipher::Seal(const Digest& key, const SavedAnswer& answer) {
  const std::string plain = EncodeAnswer(answer);
  PILLION_CHECK(plain.size() < size_t{std::numeric_limits<int>::max()});
  const std::array<uint8_t, 24> associated = Associated(key);
  std::string sealed(kEnvelopeBytes + plain.size(), kVersion);
  unsigned char* const nonce = Bytes(sealed, 1);
  unsigned char* const cipher = nonce + kNonceBytes;
  FillWithSecretBytes({nonce, kNonceBytes});
  EVP_CIPHER_CTX* const context = native_->seals;
  int size = 0;
  bool good = EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, nonce) == 1;
  good = good && EVP_EncryptUpdate(context, nullptr, &size, associated.data(), associated.size()) == 1;
  good = good && EVP_EncryptUpdate(context, cipher, &size, Bytes(plain), static_cast<int>(plain.size())) == 1;
  good = good && EVP_EncryptFinal_ex(context, cipher + plain.size(), &size) == 1;
  good = good && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, kTagBytes, cipher + plain.size()) == 1;
  PILLION_CHECK(good);
  return sealed;
}

SavedAnswer RecordCipher::Open(const Digest& key, std::string_view sealed) {
  if (sealed.size() < kEnvelopeBytes || sealed[0] != kVersion ||
      sealed.size() > size_t{std::numeric_limits<int>::max()})
    return {};
  const unsigned char* const nonce = Bytes(sealed) + 1;
  const unsigned char* const cipher = nonce + kNonceBytes;
  const size_t bytes = sealed.size() - kEnvelopeBytes;
  std::array<uint8_t, kTagBytes> tag;
  std::copy_n(cipher + bytes, kTagBytes, tag.begin());
  const std::array<uint8_t, 24> associated = Associated(key);
  std::string plain(bytes, '\0');
  EVP_CIPHER_CTX* const context = native_->opens;
  int size = 0;
  bool good = EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, nonce) == 1;
  good = good && EVP_DecryptUpdate(context, nullptr, &size, associated.data(), associated.size()) == 1;
  good = good && EVP_DecryptUpdate(context, Bytes(plain, 0), &size, cipher, static_cast<int>(bytes)) == 1;
  good = good && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) == 1;
  // Compares the tags in constant time.
  good = good && EVP_DecryptFinal_ex(context, Bytes(plain, bytes), &size) == 1;
  return good ? DecodeAnswer(plain) : SavedAnswer();
}

}  // namespace pillion::idempotency
