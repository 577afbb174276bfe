#include "control-plane/model/token_keys.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "sidecar/base/check.h"

namespace pillion::control {

std::optional<TokenKeys> TokenKeys::Parse(std::string_view text) {
  Bytes master;
  // White space may be bytes of a key that is as it is: looked at first.
  std::string bytes(text);
  if (bytes.size() != kBytes) {
    absl::StripTrailingAsciiWhitespace(&bytes);
    if (bytes.size() != 2 * kBytes || !std::ranges::all_of(bytes, absl::ascii_isxdigit)) return std::nullopt;
    bytes = absl::HexStringToBytes(bytes);
  }
  std::ranges::copy(bytes, master.begin());
  return TokenKeys(master);
}

std::string TokenKeys::Of(const ObjectName& service) const {
  const std::unique_ptr<EVP_KDF, void (*)(EVP_KDF*)> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr),
                                                         EVP_KDF_free);
  const std::unique_ptr<EVP_KDF_CTX, void (*)(EVP_KDF_CTX*)> context(EVP_KDF_CTX_new(kdf.get()),
                                                                     EVP_KDF_CTX_free);
  char digest[] = "SHA256";
  Bytes master = master_;
  std::string info = "pillion token records|" + service.ToString();
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, master.data(), master.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()),
      OSSL_PARAM_construct_end(),
  };
  std::string key(kBytes, '\0');
  // A key that is not one must not be used: without the library's help there is none.
  PILLION_CHECK(context != nullptr && EVP_KDF_derive(context.get(), reinterpret_cast<uint8_t*>(key.data()),
                                                     key.size(), parameters) == 1);
  return key;
}

}  // namespace pillion::control
