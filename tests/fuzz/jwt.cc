// Any text as JSON, as a JWK set, as a JWT: what is plain JSON is read again as the same from what protobuf
// writes of it; a set is one or refused, with no error left behind in OpenSSL; and of all tokens the one that
// was signed is believed, and nothing else.
//
//   byte 0: what it is; then the text
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>
#include <openssl/err.h>

#include <string>
#include <variant>

#include "sidecar/base/check.h"
#include "sidecar/jwt/base64url.h"
#include "sidecar/jwt/json.h"
#include "sidecar/jwt/key_set.h"
#include "sidecar/jwt/verify.h"
#include "tests/fuzz/input.h"

namespace pillion::jwt {
namespace {

// RFC 7515 appendix A.3.
constexpr char kKeys[] =
    R"({"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
    R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})";
constexpr std::string_view kSigned =
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb2"
    "90Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

void CheckJson(std::string_view text) {
  const auto object = ReadObject(text);
  if (!object) return;
  PILLION_CHECK(IsPlainJson(text));
  std::string written;
  PILLION_CHECK(google::protobuf::util::MessageToJsonString(*object, &written).ok());
  const auto again = ReadObject(written);
  PILLION_CHECK(again && google::protobuf::util::MessageDifferencer::Equals(*again, *object));
}

void CheckToken(std::string_view text) {
  static const KeySet keys = *KeySet::Parse(kKeys);
  const auto read = ReadSigned(text, keys);
  PILLION_CHECK(std::holds_alternative<Problem>(read) == (text != kSigned));
  PILLION_CHECK(ERR_peek_error() == 0);
}

}  // namespace
}  // namespace pillion::jwt

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pillion;
  fuzz::Input input(data, size);
  const uint8_t kind = input.Byte();
  const std::string_view text = input.Rest();
  switch (kind % 3) {
    case 0:
      jwt::CheckJson(text);
      break;
    case 1: {
      const auto set = jwt::KeySet::Parse(text);
      PILLION_CHECK(!set.ok() || (set->size() > 0 && set->size() <= jwt::KeySet::kMaxKeys));
      PILLION_CHECK(ERR_peek_error() == 0);
      break;
    }
    default:
      jwt::CheckToken(text);
  }
  return 0;
}
