#include "sidecar/jwt/test_signer.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>

#include "sidecar/base/check.h"

namespace pillion::jwt {
namespace {

const uint8_t* Bytes(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

const EVP_MD* DigestOf(Algorithm algorithm) {
  constexpr std::array<const char*, 10> kNames = {"SHA256", "SHA384", "SHA512", "SHA256", "SHA384",
                                                  "SHA512", "SHA256", "SHA384", "SHA512", ""};
  return algorithm == Algorithm::kEdDsa ? nullptr
                                        : EVP_get_digestbyname(kNames[static_cast<size_t>(algorithm)]);
}

size_t BytesOfCurve(KeyKind kind) {
  switch (kind) {
    case KeyKind::kP256:
      return 32;
    case KeyKind::kP384:
      return 48;
    case KeyKind::kP521:
      return 66;
    default:
      return 0;
  }
}

// r and s of DER, each of the curve's length.
std::string RawSignature(const std::string& der, size_t bytes) {
  const uint8_t* at = Bytes(der);
  const std::unique_ptr<ECDSA_SIG, void (*)(ECDSA_SIG*)> both(
      d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())), ECDSA_SIG_free);
  std::string raw(2 * bytes, '\0');
  auto* const out = reinterpret_cast<uint8_t*>(raw.data());
  PILLION_CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(both.get()), out, static_cast<int>(bytes)) > 0);
  PILLION_CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(both.get()), out + bytes, static_cast<int>(bytes)) > 0);
  return raw;
}

}  // namespace

std::string EncodeBase64Url(std::string_view bytes) {
  std::string text(bytes.size() / 3 * 4 + 5, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<uint8_t*>(text.data()), Bytes(bytes), static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(length));
  for (char& c : text) {
    if (c == '+') c = '-';
    if (c == '/') c = '_';
  }
  while (text.ends_with('=')) text.pop_back();
  return text;
}

TestSigner::TestSigner(KeyKind kind, int rsa_bits) : kind_(kind) {
  switch (kind) {
    case KeyKind::kRsa:
      native_.reset(EVP_RSA_gen(static_cast<unsigned>(rsa_bits)));
      break;
    case KeyKind::kP256:
      native_.reset(EVP_EC_gen("P-256"));
      break;
    case KeyKind::kP384:
      native_.reset(EVP_EC_gen("P-384"));
      break;
    case KeyKind::kP521:
      native_.reset(EVP_EC_gen("P-521"));
      break;
    case KeyKind::kEd25519:
      native_.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  }
  PILLION_CHECK(native_ != nullptr);
}

std::string TestSigner::Number(const char* name, size_t bytes) const {
  BIGNUM* number = nullptr;
  PILLION_CHECK(EVP_PKEY_get_bn_param(native_.get(), name, &number) == 1);
  std::string text(std::max(bytes, static_cast<size_t>(BN_num_bytes(number))), '\0');
  BN_bn2binpad(number, reinterpret_cast<uint8_t*>(text.data()), static_cast<int>(text.size()));
  BN_free(number);
  return EncodeBase64Url(text);
}

std::string TestSigner::Jwk(const std::string& more) const {
  const std::string end = (more.empty() ? "" : "," + more) + '}';
  if (kind_ == KeyKind::kRsa) {
    return R"({"kty":"RSA","n":")" + Number(OSSL_PKEY_PARAM_RSA_N, 0) + R"(","e":")" +
           Number(OSSL_PKEY_PARAM_RSA_E, 0) + '"' + end;
  }
  if (kind_ == KeyKind::kEd25519) {
    std::string point(32, '\0');
    size_t size = point.size();
    PILLION_CHECK(
        EVP_PKEY_get_raw_public_key(native_.get(), reinterpret_cast<uint8_t*>(point.data()), &size) == 1);
    return R"({"kty":"OKP","crv":"Ed25519","x":")" + EncodeBase64Url(point) + '"' + end;
  }
  const size_t bytes = BytesOfCurve(kind_);
  const std::string curve = bytes == 32 ? "P-256" : bytes == 48 ? "P-384" : "P-521";
  return R"({"kty":"EC","crv":")" + curve + R"(","x":")" + Number(OSSL_PKEY_PARAM_EC_PUB_X, bytes) +
         R"(","y":")" + Number(OSSL_PKEY_PARAM_EC_PUB_Y, bytes) + '"' + end;
}

std::string TestSigner::Signature(Algorithm algorithm, const std::string& text) const {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> steps(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_PKEY_CTX* of_key = nullptr;
  PILLION_CHECK(EVP_DigestSignInit(steps.get(), &of_key, DigestOf(algorithm), nullptr, native_.get()) == 1);
  if (algorithm >= Algorithm::kPs256 && algorithm <= Algorithm::kPs512) {
    PILLION_CHECK(EVP_PKEY_CTX_set_rsa_padding(of_key, RSA_PKCS1_PSS_PADDING) == 1);
    PILLION_CHECK(EVP_PKEY_CTX_set_rsa_pss_saltlen(of_key, RSA_PSS_SALTLEN_DIGEST) == 1);
  }
  size_t size = 0;
  PILLION_CHECK(EVP_DigestSign(steps.get(), nullptr, &size, Bytes(text), text.size()) == 1);
  std::string made(size, '\0');
  PILLION_CHECK(EVP_DigestSign(steps.get(), reinterpret_cast<uint8_t*>(made.data()), &size, Bytes(text),
                               text.size()) == 1);
  made.resize(size);
  const size_t bytes = BytesOfCurve(kind_);
  return bytes == 0 ? made : RawSignature(made, bytes);
}

}  // namespace pillion::jwt
