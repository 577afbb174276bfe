#include "sidecar/tls/test_certificates.h"

#include <utility>

#include "sidecar/base/check.h"
#include "sidecar/tls/certificate.h"

namespace pillion::tls {
namespace {

std::string TextOf(const BioPtr& bio) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

std::string PemOf(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  return TextOf(bio);
}

void Extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  if (value.empty()) return;
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  PILLION_CHECK(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

X509Ptr NewCertificate(const std::string& common_name, int64_t serial, EVP_PKEY* key, int64_t begins_s,
                       int64_t ends_s) {
  X509Ptr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), begins_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), ends_s);
  if (!common_name.empty()) {
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(common_name.data()),
                               static_cast<int>(common_name.size()), -1, 0);
  }
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

KeyPtr NewKey(KeyKind kind) {
  return KeyPtr(kind == KeyKind::kP256 ? EVP_EC_gen("P-256")
                                       : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
}

// Ed25519 has its own digest.
const EVP_MD* DigestOf(KeyKind kind) { return kind == KeyKind::kP256 ? EVP_sha256() : nullptr; }

}  // namespace

struct TestAuthority::Native {
  KeyPtr key;
  X509Ptr certificate;
};

TestAuthority::TestAuthority(const std::string& name, const std::string& names, KeyKind keys)
    : native_(std::make_unique<Native>()), keys_(keys) {
  native_->key = NewKey(keys_);
  native_->certificate = NewCertificate(name, 1, native_->key.get(), -7200, int64_t{86400} * 30);
  X509* own = native_->certificate.get();
  X509_set_issuer_name(own, X509_get_subject_name(own));
  Extend(own, own, NID_basic_constraints, "critical,CA:TRUE");
  Extend(own, own, NID_key_usage, "critical,keyCertSign,cRLSign");
  Extend(own, own, NID_subject_key_identifier, "hash");
  Extend(own, own, NID_subject_alt_name, names);
  PILLION_CHECK(X509_sign(own, native_->key.get(), DigestOf(keys_)) != 0);
  pem_ = PemOf(own);
}

TestAuthority::~TestAuthority() = default;

namespace {

// A subject alternative name of type DNS.
void AddRawName(X509* certificate, const std::string& bytes) {
  ASN1_IA5STRING* text = ASN1_IA5STRING_new();
  PILLION_CHECK(ASN1_STRING_set(text, bytes.data(), static_cast<int>(bytes.size())) == 1);
  GENERAL_NAME* name = GENERAL_NAME_new();
  GENERAL_NAME_set0_value(name, GEN_DNS, text);
  GENERAL_NAMES* names = sk_GENERAL_NAME_new_null();
  sk_GENERAL_NAME_push(names, name);
  PILLION_CHECK(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1);
  GENERAL_NAMES_free(names);
}

}  // namespace

Issued TestAuthority::Issue(const LeafOptions& options) {
  const KeyPtr key = NewKey(keys_);
  const int64_t serial = options.serial != 0 ? options.serial : next_serial_++;
  X509* issuer = native_->certificate.get();
  const X509Ptr leaf =
      NewCertificate(options.common_name, serial, key.get(), options.begins_s, options.ends_s);
  X509_set_issuer_name(leaf.get(), X509_get_subject_name(issuer));
  Extend(leaf.get(), issuer, NID_basic_constraints, options.basic_constraints);
  Extend(leaf.get(), issuer, NID_key_usage, options.key_usage);
  Extend(leaf.get(), issuer, NID_ext_key_usage, options.extended_key_usage);
  if (!options.raw_dns_name.empty()) AddRawName(leaf.get(), options.raw_dns_name);
  Extend(leaf.get(), issuer, NID_subject_alt_name,
         options.critical_names && !options.names.empty() ? "critical," + options.names : options.names);
  PILLION_CHECK(X509_sign(leaf.get(), native_->key.get(), DigestOf(keys_)) != 0);
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {PemOf(leaf.get()), TextOf(bio)};
}

std::string TestAuthority::RevocationList(const std::vector<int64_t>& serials, bool expired) const {
  const CrlPtr list(X509_CRL_new());
  X509_CRL_set_version(list.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(native_->certificate.get()));
  ASN1_TIME* time = X509_gmtime_adj(nullptr, -7200);
  X509_CRL_set1_lastUpdate(list.get(), time);
  X509_gmtime_adj(time, expired ? -3600 : 86400);
  X509_CRL_set1_nextUpdate(list.get(), time);
  X509_gmtime_adj(time, -7200);
  for (const int64_t serial : serials) {
    X509_REVOKED* revoked = X509_REVOKED_new();
    ASN1_INTEGER* number = ASN1_INTEGER_new();
    ASN1_INTEGER_set_int64(number, serial);
    X509_REVOKED_set_serialNumber(revoked, number);
    X509_REVOKED_set_revocationDate(revoked, time);
    X509_CRL_add0_revoked(list.get(), revoked);
    ASN1_INTEGER_free(number);
  }
  ASN1_TIME_free(time);
  X509_CRL_sort(list.get());
  X509_CRL_sign(list.get(), native_->key.get(), DigestOf(keys_));
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_CRL(bio.get(), list.get());
  return TextOf(bio);
}

std::string CertificateSha256(const std::string& pem) {
  return Sha256Of(ReadCertificates(pem, "test", 1)->front().get());
}
std::string CertificateSpkiSha256(const std::string& pem) {
  return SpkiSha256Of(ReadCertificates(pem, "test", 1)->front().get());
}

}  // namespace pillion::tls
