#include "sidecar/jwt/native_key.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <utility>

#include "sidecar/base/freed.h"

namespace pillion::jwt {
namespace {

using NumberPtr = std::unique_ptr<BIGNUM, Freed<BN_free>>;
using ParamsPtr = std::unique_ptr<OSSL_PARAM, Freed<OSSL_PARAM_free>>;
using BuilderPtr = std::unique_ptr<OSSL_PARAM_BLD, Freed<OSSL_PARAM_BLD_free>>;
using KeyStepsPtr = std::unique_ptr<EVP_PKEY_CTX, Freed<EVP_PKEY_CTX_free>>;
using DigestStepsPtr = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using EcSignaturePtr = std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG_free>>;

const uint8_t* Bytes(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

NumberPtr NumberOf(std::string_view bytes) {
  return NumberPtr(BN_bin2bn(Bytes(bytes), static_cast<int>(bytes.size()), nullptr));
}

// What OpenSSL has to say of what is refused is nobody's next error.
struct ErrorsEnd {
  ErrorsEnd() = default;
  ErrorsEnd(const ErrorsEnd&) = delete;
  ErrorsEnd& operator=(const ErrorsEnd&) = delete;
  ~ErrorsEnd() { ERR_clear_error(); }
};

Key::Native Make(const char* type, OSSL_PARAM_BLD* builder) {
  const ParamsPtr params(OSSL_PARAM_BLD_to_param(builder));
  const KeyStepsPtr steps(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* made = nullptr;
  if (params == nullptr || steps == nullptr || EVP_PKEY_fromdata_init(steps.get()) != 1 ||
      EVP_PKEY_fromdata(steps.get(), &made, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
    return nullptr;
  return Key::Native(made);
}

struct Curve {
  const char* name;
  size_t bytes;
};

Curve CurveOf(KeyKind kind) {
  switch (kind) {
    case KeyKind::kP256:
      return {"P-256", 32};
    case KeyKind::kP384:
      return {"P-384", 48};
    case KeyKind::kP521:
      return {"P-521", 66};
    default:
      return {"", 0};
  }
}

const EVP_MD* DigestOf(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kRs256:
    case Algorithm::kPs256:
    case Algorithm::kEs256:
      return EVP_sha256();
    case Algorithm::kRs384:
    case Algorithm::kPs384:
    case Algorithm::kEs384:
      return EVP_sha384();
    case Algorithm::kRs512:
    case Algorithm::kPs512:
    case Algorithm::kEs512:
      return EVP_sha512();
    case Algorithm::kEdDsa:
      return nullptr;  // it has its own
  }
  return nullptr;
}

bool IsPss(Algorithm algorithm) {
  return algorithm == Algorithm::kPs256 || algorithm == Algorithm::kPs384 || algorithm == Algorithm::kPs512;
}

// As OpenSSL has it, DER; "": it is of another length.
std::string EcSignature(std::string_view signature, size_t bytes) {
  if (signature.size() != 2 * bytes) return "";
  const EcSignaturePtr both(ECDSA_SIG_new());
  NumberPtr r = NumberOf(signature.substr(0, bytes));
  NumberPtr s = NumberOf(signature.substr(bytes));
  if (both == nullptr || r == nullptr || s == nullptr) return "";
  BIGNUM* const its_r = r.release();  // it takes both; nothing of it fails with two numbers
  BIGNUM* const its_s = s.release();
  ECDSA_SIG_set0(both.get(), its_r, its_s);
  uint8_t* der = nullptr;
  const int length = i2d_ECDSA_SIG(both.get(), &der);
  if (length <= 0) return "";
  std::string made(reinterpret_cast<const char*>(der), static_cast<size_t>(length));
  OPENSSL_free(der);
  return made;
}

}  // namespace

void Key::Free::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

Key::Native MakeRsaKey(const std::string& modulus, const std::string& exponent) {
  const ErrorsEnd errors;
  const NumberPtr n = NumberOf(modulus);
  const NumberPtr e = NumberOf(exponent);
  const BuilderPtr builder(OSSL_PARAM_BLD_new());
  if (n == nullptr || e == nullptr || builder == nullptr) return nullptr;
  if (BN_is_odd(n.get()) == 0 || BN_is_odd(e.get()) == 0 || BN_is_one(e.get()) != 0) return nullptr;
  if (OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    return nullptr;
  return Make("RSA", builder.get());
}

Key::Native MakeEcKey(KeyKind curve, const Point& point) {
  const ErrorsEnd errors;
  const auto [name, bytes] = CurveOf(curve);
  if (bytes == 0 || point.x.size() != bytes || point.y.size() != bytes) return nullptr;
  const std::string whole = '\x04' + point.x + point.y;  // SEC 1 section 2.3.3: not compressed
  const BuilderPtr builder(OSSL_PARAM_BLD_new());
  if (builder == nullptr ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, name, 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, whole.data(), whole.size()) !=
          1)
    return nullptr;
  Key::Native key = Make("EC", builder.get());
  const KeyStepsPtr check(key == nullptr ? nullptr : EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (check == nullptr || EVP_PKEY_public_check(check.get()) != 1) return nullptr;
  return key;
}

Key::Native MakeEd25519Key(const std::string& point) {
  const ErrorsEnd errors;
  return Key::Native(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, Bytes(point), point.size()));
}

bool Key::Verifies(Algorithm algorithm, std::string_view text, std::string_view signature) const {
  const ErrorsEnd errors;
  const DigestStepsPtr steps(EVP_MD_CTX_new());
  EVP_PKEY_CTX* of_key = nullptr;  // of `steps`
  if (steps == nullptr ||
      EVP_DigestVerifyInit(steps.get(), &of_key, DigestOf(algorithm), nullptr, native_.get()) != 1)
    return false;
  if (IsPss(algorithm)) {  // RFC 7518 section 3.5: MGF1 and salt of the digest
    if (EVP_PKEY_CTX_set_rsa_padding(of_key, RSA_PKCS1_PSS_PADDING) != 1 ||
        EVP_PKEY_CTX_set_rsa_pss_saltlen(of_key, RSA_PSS_SALTLEN_DIGEST) != 1)
      return false;
  }
  std::string der;
  if (const size_t bytes = CurveOf(kind_).bytes; bytes != 0) {
    der = EcSignature(signature, bytes);
    if (der.empty()) return false;
    signature = der;
  }
  return EVP_DigestVerify(steps.get(), Bytes(signature), signature.size(), Bytes(text), text.size()) == 1;
}

}  // namespace pillion::jwt
