#include "sidecar/tls/certificate.h"

#include <arpa/inet.h>

#include <array>
#include <cstring>
#include <ctime>
#include <utility>

#include "sidecar/base/hex.h"

namespace pillion::tls {
namespace {

absl::Status Invalid(std::string_view what, std::string_view problem) {
  std::string text(what);
  text.append(": ").append(problem);
  return absl::InvalidArgumentError(text);
}

BioPtr Memory(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// OpenSSL asks at the terminal when there is no callback. `from`: null where nothing may be encrypted, which
// a certificate can be as well as a key (RFC 1421 section 4.6).
int GivePassword(char* into, int size, int, void* from) {
  if (from == nullptr) return -1;
  const auto& password = *static_cast<const std::string*>(from);
  if (password.empty() || password.size() > static_cast<size_t>(size)) return -1;
  password.copy(into, password.size());  // by its length: no terminating NUL is wanted
  return static_cast<int>(password.size());
}

// The end of the text is told as an error; any other one is.
bool ReachedEnd() {
  const unsigned long code = ERR_peek_last_error();
  const bool end =
      code == 0 || (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE);
  if (end) ERR_clear_error();
  return end;
}

std::string Text(const ASN1_STRING* string) {
  const unsigned char* bytes = ASN1_STRING_get0_data(string);
  return {reinterpret_cast<const char*>(bytes), static_cast<size_t>(ASN1_STRING_length(string))};
}

std::string IpText(const ASN1_STRING* bytes) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int size = ASN1_STRING_length(bytes);
  const int family = size == 4 ? AF_INET : AF_INET6;
  if ((size != 4 && size != 16) ||
      inet_ntop(family, ASN1_STRING_get0_data(bytes), text.data(), text.size()) == nullptr)
    return {};
  return text.data();
}

}  // namespace

absl::StatusOr<std::vector<X509Ptr>> ReadCertificates(const std::string& pem, std::string_view what,
                                                      size_t limit) {
  if (pem.size() > kMaxPemBytes) return Invalid(what, "expected at most 4 MiB");
  ERR_clear_error();
  const BioPtr bio = Memory(pem);
  std::vector<X509Ptr> certificates;
  while (X509Ptr one = X509Ptr(PEM_read_bio_X509_AUX(bio.get(), nullptr, GivePassword, nullptr))) {
    if (certificates.size() == limit)
      return Invalid(what, "expected at most " + std::to_string(limit) + " certificates");
    certificates.push_back(std::move(one));
  }
  if (!ReachedEnd()) return Invalid(what, "expected PEM certificates: " + std::string(TakeSslError()));
  if (certificates.empty()) return Invalid(what, "expected at least one PEM certificate");
  return certificates;
}

absl::StatusOr<std::vector<CrlPtr>> ReadCrls(const std::string& pem, std::string_view what) {
  if (pem.size() > kMaxPemBytes) return Invalid(what, "expected at most 4 MiB");
  ERR_clear_error();
  const BioPtr bio = Memory(pem);
  std::vector<CrlPtr> lists;
  while (CrlPtr one = CrlPtr(PEM_read_bio_X509_CRL(bio.get(), nullptr, GivePassword, nullptr)))
    lists.push_back(std::move(one));
  if (!ReachedEnd()) return Invalid(what, "expected PEM revocation lists: " + std::string(TakeSslError()));
  if (lists.empty()) return Invalid(what, "expected at least one PEM revocation list");
  return lists;
}

absl::StatusOr<KeyPtr> ReadKey(const std::string& pem, const std::string& password, std::string_view what) {
  if (pem.size() > kMaxPemBytes) return Invalid(what, "expected at most 4 MiB");
  ERR_clear_error();
  const BioPtr bio = Memory(pem);
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, GivePassword, const_cast<std::string*>(&password)));
  if (key == nullptr) return Invalid(what, "expected a PEM private key: " + std::string(TakeSslError()));
  return key;
}

absl::StatusOr<LoadedCertificate> LoadCertificate(const Certificate& from, std::string_view what) {
  const std::string name(what);
  auto chain = ReadCertificates(from.chain, name + ".certificate_chain", kMaxChainCertificates);
  if (!chain.ok()) return chain.status();
  auto key = ReadKey(from.key, from.password, name + ".private_key");
  if (!key.ok()) return key.status();
  ERR_clear_error();
  if (X509_check_private_key(chain->front().get(), key->get()) != 1) {
    ERR_clear_error();
    return Invalid(name + ".private_key", "expected the key of the first certificate of certificate_chain");
  }
  return LoadedCertificate{std::move(*chain), std::move(*key)};
}

AlternativeNames NamesOf(const X509* certificate) {
  AlternativeNames names;
  const NamesPtr all(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  ERR_clear_error();
  if (all == nullptr) return names;
  for (int i = 0; i < sk_GENERAL_NAME_num(all.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(all.get(), i);
    switch (name->type) {
      case GEN_DNS:
        names.dns.push_back(Text(name->d.dNSName));
        break;
      case GEN_URI:
        names.uri.push_back(Text(name->d.uniformResourceIdentifier));
        break;
      case GEN_EMAIL:
        names.email.push_back(Text(name->d.rfc822Name));
        break;
      case GEN_IPADD:
        if (std::string text = IpText(name->d.iPAddress); !text.empty()) names.ip.push_back(std::move(text));
        break;
      default:
        break;
    }
  }
  return names;
}

std::string SubjectOf(const X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return size <= 0 ? std::string() : std::string(text, static_cast<size_t>(size));
}

std::string CommonNameOf(const X509* certificate) {
  std::array<char, 256> text{};
  const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text.data(),
                                             static_cast<int>(text.size()));
  return size <= 0 ? std::string() : std::string(text.data(), static_cast<size_t>(size));
}

std::string SerialOf(const X509* certificate) {
  const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate);
  return ToHex({ASN1_STRING_get0_data(serial), static_cast<size_t>(ASN1_STRING_length(serial))});
}

std::string Sha256Of(const X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1) return {};
  return ToHex({digest.data(), size});
}

std::string SpkiSha256Of(const X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (size <= 0) return {};
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned digest_size = 0;
  EVP_Digest(der, static_cast<size_t>(size), digest.data(), &digest_size, EVP_sha256(), nullptr);
  OPENSSL_free(der);
  std::array<unsigned char, size_t{2} * EVP_MAX_MD_SIZE> text{};
  const int length = EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(digest_size));
  return {reinterpret_cast<const char*>(text.data()), static_cast<size_t>(length)};
}

int64_t UnixTime(const ASN1_TIME* time) {
  tm parts = {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return timegm(&parts);
}

net::PeerCertificate Describe(const X509* certificate) {
  AlternativeNames names = NamesOf(certificate);
  return {.subject = SubjectOf(certificate),
          .uri_names = std::move(names.uri),
          .dns_names = std::move(names.dns),
          .sha256 = Sha256Of(certificate),
          .serial = SerialOf(certificate)};
}

}  // namespace pillion::tls
