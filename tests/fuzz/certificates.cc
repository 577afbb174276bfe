// Any text as PEM, any bytes as a certificate, any text as a SPIFFE ID: what is read says the same when it is
// written and read again, what is refused is refused with the name of the field, and an identity that is
// taken is one by the rules.
//
//   byte 0: what it is (Check); then the text or the bytes
#include <algorithm>
#include <iterator>

#include "re2/re2.h"
#include "sidecar/base/check.h"
#include "sidecar/tls/certificate.h"
#include "sidecar/tls/spiffe.h"
#include "tests/fuzz/input.h"

namespace pillion::tls {
namespace {

constexpr size_t kLimit = 3;

// SPIFFE-ID section 2, as an expression.
bool IsSpiffeId(std::string_view uri, bool path_wanted) {
  static const re2::RE2 id(R"(spiffe://([a-z0-9._-]{1,255})((?:/[A-Za-z0-9._-]+)*))");
  static const re2::RE2 relative(R"(/\.\.?(/|$))");
  re2::StringPiece domain;
  re2::StringPiece path;
  return uri.size() <= 2048 &&
         re2::RE2::FullMatch(re2::StringPiece(uri.data(), uri.size()), id, &domain, &path) &&
         !re2::RE2::PartialMatch(path, relative) && path.empty() != path_wanted;
}

template <typename Status>
void CheckRefusal(const Status& status) {
  PILLION_CHECK(std::string(status.message()).starts_with("field: "));
}

std::string Pem(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PILLION_CHECK(PEM_write_bio_X509(bio.get(), certificate) == 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

void CheckCertificate(X509* certificate) {
  const net::PeerCertificate facts = Describe(certificate);
  PILLION_CHECK(facts.sha256.size() == 64 && SpkiSha256Of(certificate).size() == 44);
  PILLION_CHECK(facts.serial.size() % 2 == 0);
  CommonNameOf(certificate);
  UnixTime(X509_get0_notAfter(certificate));
  const auto claims = std::ranges::count_if(facts.uri_names, LooksLikeSpiffe);
  if (SvidLeafProblem(certificate).empty() && claims > 0)
    PILLION_CHECK(facts.uri_names.size() == 1 && IsSpiffeId(facts.uri_names[0], true));
  if (SvidSignerProblem(certificate).empty()) {
    for (const std::string& uri : facts.uri_names)
      PILLION_CHECK(!LooksLikeSpiffe(uri) || IsSpiffeId(uri, false));
  }
}

void CheckPem(const std::string& text) {
  auto certificates = ReadCertificates(text, "field", kLimit);
  if (!certificates.ok()) {
    CheckRefusal(certificates.status());
  } else {
    PILLION_CHECK(!certificates->empty() && certificates->size() <= kLimit);
    for (const X509Ptr& one : *certificates) {
      CheckCertificate(one.get());
      const auto again = ReadCertificates(Pem(one.get()), "field", 1);
      PILLION_CHECK(again.ok() && Sha256Of(again->front().get()) == Sha256Of(one.get()));
    }
  }
  const auto lists = ReadCrls(text, "field");
  if (!lists.ok()) CheckRefusal(lists.status());
  const auto key = ReadKey(text, "", "field");
  if (!key.ok()) CheckRefusal(key.status());
  PILLION_CHECK(ERR_peek_error() == 0);
}

}  // namespace
}  // namespace pillion::tls

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pillion;
  fuzz::Input input(data, size);
  const uint8_t kind = input.Byte();
  const std::string_view rest = input.Rest();
  switch (kind % 3) {
    case 0:
      tls::CheckPem(std::string(rest));
      break;
    case 1: {
      const auto* der = reinterpret_cast<const unsigned char*>(rest.data());
      const tls::X509Ptr one(d2i_X509(nullptr, &der, static_cast<long>(rest.size())));
      ERR_clear_error();
      if (one != nullptr) tls::CheckCertificate(one.get());
      break;
    }
    default:
      for (const bool path_wanted : {false, true})
        PILLION_CHECK(tls::SpiffeIdProblem(rest, path_wanted).empty() == tls::IsSpiffeId(rest, path_wanted));
      break;
  }
  return 0;
}
