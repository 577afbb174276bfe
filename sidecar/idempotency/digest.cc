#include "sidecar/idempotency/digest.h"

#include <openssl/evp.h>
#include <sys/uio.h>

#include <cstdlib>

#include "sidecar/base/hex.h"
#include "sidecar/base/mutant.h"

namespace pillion::idempotency {
namespace {

// Of a queue that are looked at together.
constexpr size_t kPieces = 16;

}  // namespace

std::string Digest::ToHex() const { return pillion::ToHex(bytes); }

std::array<uint8_t, 8> ShortHash(const std::array<uint8_t, 16>& token) {
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  std::array<uint8_t, EVP_MAX_MD_SIZE> whole;
  if (EVP_Digest(token.data(), token.size(), whole.data(), nullptr, sha256, nullptr) != 1) std::abort();
  std::array<uint8_t, 8> hash;
  std::memcpy(hash.data(), whole.data(), hash.size());
  return hash;
}

std::string HashForPeople(const std::array<uint8_t, 16>& token) { return pillion::ToHex(ShortHash(token)); }

struct Digester::Context {
  EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  EVP_MD_CTX* const running = EVP_MD_CTX_new();
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() {
    EVP_MD_CTX_free(running);
    EVP_MD_free(sha256);
  }
};

Digester::Digester() : context_(std::make_unique<Context>()) {
  if (context_->sha256 == nullptr || context_->running == nullptr) std::abort();
}
Digester::~Digester() = default;

// A digest that failed must not be taken for one: records of others would be found.
void Digester::Begin() {
  if (EVP_DigestInit_ex2(context_->running, context_->sha256, nullptr) != 1) std::abort();
}

void Digester::Add(std::string_view bytes) {
  if (EVP_DigestUpdate(context_->running, bytes.data(), bytes.size()) != 1) std::abort();
}

void Digester::AddLength(size_t bytes) {
  const auto length = static_cast<uint64_t>(bytes);
  std::array<char, 8> text;
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(length >> (56 - 8 * i));
  Add({text.data(), text.size()});
}

void Digester::Part(std::string_view part) {
  AddLength(part.size());
  Add(part);
}

void Digester::Part(const SliceQueue& part) {
  AddLength(part.bytes());
  SliceQueue rest;
  rest.AppendShared(part);
  std::array<iovec, kPieces> pieces;
  while (!rest.empty()) {
    const size_t count = rest.Iovecs(pieces.data(), pieces.size());
    size_t bytes = 0;
    for (size_t i = 0; i < count; ++i) {
      Add({static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len});
      bytes += pieces[i].iov_len;
    }
    rest.Consume(bytes);
  }
}

Digest Digester::End() {
  std::array<uint8_t, EVP_MAX_MD_SIZE> whole;
  if (EVP_DigestFinal_ex(context_->running, whole.data(), nullptr) != 1) std::abort();
  Digest digest;
  std::memcpy(digest.bytes.data(), whole.data(), digest.bytes.size());
  return digest;
}

Digest LookupKey(Digester& digester, const Scope& scope, std::string_view token) {
  digester.Begin();
  digester.Part(scope.domain);
  digester.Part(scope.caller);
  digester.Part(scope.source == KeySource::kMinted ? "minted" : "app");
  digester.Part(scope.principal);
  if (!Mutated(Mutant::kKeyIgnoresToken)) digester.Part(token);
  return digester.End();
}

Digest Fingerprint(Digester& digester, const http::RequestHead& head, const SliceQueue& body) {
  digester.Begin();
  digester.Part(head.method_text);
  digester.Part(head.authority);
  digester.Part(head.path);
  digester.Part(head.headers.Find(http::Known::kContentType).value_or(""));
  digester.Part(head.headers.Find("content-encoding").value_or(""));
  digester.Part(body);
  return digester.End();
}

}  // namespace pillion::idempotency
