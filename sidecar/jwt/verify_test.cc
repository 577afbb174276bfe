#include "sidecar/jwt/verify.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <map>
#include <string>

#include "sidecar/jwt/base64url.h"
#include "sidecar/jwt/json.h"
#include "sidecar/jwt/test_signer.h"

namespace pillion::jwt {
namespace {

using google::protobuf::Struct;
using std::chrono::sys_seconds;

constexpr sys_seconds kNow{std::chrono::seconds(1'700'000'000)};
// What RFC 7515 appendix A signs: {"iss":"joe","exp":1300819380,"http://example.com/is_root":true}, with
// line ends in it.
constexpr char kJoe[] =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

KeySet Keys(const std::string& json) {
  auto set = KeySet::Parse(json);
  EXPECT_TRUE(set.ok()) << set.status();
  return set.ok() ? *std::move(set) : KeySet();
}

// "", or why it is not believed.
std::string WhyNot(std::string_view token, const KeySet& keys) {
  const auto read = ReadSigned(token, keys);
  EXPECT_EQ(ERR_peek_error(), 0u);
  const auto* const problem = std::get_if<Problem>(&read);
  return problem == nullptr ? "" : std::string(ToString(*problem));
}
std::string Words(Problem problem) { return std::string(ToString(problem)); }

// Signed by one of ours for each kind, which are made once.
const TestSigner& SignerFor(Algorithm algorithm) {
  static std::map<KeyKind, TestSigner> signers;
  const KeyKind kind = KindFor(algorithm);
  return signers.try_emplace(kind, kind).first->second;
}

struct Case {
  const char* name;
  Algorithm algorithm;
};
constexpr Case kAll[] = {{"RS256", Algorithm::kRs256}, {"RS384", Algorithm::kRs384},
                         {"RS512", Algorithm::kRs512}, {"PS256", Algorithm::kPs256},
                         {"PS384", Algorithm::kPs384}, {"PS512", Algorithm::kPs512},
                         {"ES256", Algorithm::kEs256}, {"ES384", Algorithm::kEs384},
                         {"ES512", Algorithm::kEs512}, {"EdDSA", Algorithm::kEdDsa}};

std::string Header(const std::string& algorithm, const std::string& more = "") {
  return R"({"alg":")" + algorithm + '"' + more + '}';
}

// Of one that ES256 signs.
class ClaimsTest : public ::testing::Test {
 protected:
  std::string Token(const std::string& claims) const {
    return signer_.Token(Algorithm::kEs256, Header("ES256"), claims);
  }
  // The claim, or why there is none.
  std::string Outcome(const std::string& claims) const { return OutcomeOf(Token(claims)); }
  std::string OutcomeOf(const std::string& token) const {
    const auto verified = Verify(token, keys_, terms_, now_);
    const auto* const problem = std::get_if<Problem>(&verified);
    return problem == nullptr ? std::get<std::string>(verified) : Words(*problem);
  }
  TestSigner signer_{KeyKind::kP256};
  KeySet keys_ = Keys(signer_.Set());
  Terms terms_{.claim = "sub", .issuer = "", .audiences = {}};
  sys_seconds now_ = kNow;
};

TEST(VerifyTest, Rfc7515AppendixA2IsRs256) {
  const KeySet keys = Keys(
      R"({"keys":[{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmf)"
      "HQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_"
      "7OMg0LOL-"
      "bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_"
      "I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\"}]}");
  const std::string token =
      std::string("eyJhbGciOiJSUzI1NiJ9.") + kJoe +
      ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
      "O8W2Fp5jujGbds9uJdb"
      "F9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_"
      "eSN9383Lc"
      "OLn6_dO--xi12jzDwusC-"
      "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVm"
      "tVrBp0igcN_IoypGlUPQGe77Rw";
  const auto read = ReadSigned(token, keys);
  const auto* const claims = std::get_if<Struct>(&read);
  ASSERT_NE(claims, nullptr) << Words(std::get<Problem>(read));
  EXPECT_EQ(*FindText(*claims, "iss"), "joe");
  const Terms terms{.claim = "iss", .issuer = "joe", .audiences = {}};
  const sys_seconds expires{std::chrono::seconds(1'300'819'380)};
  EXPECT_EQ(std::get<std::string>(Verify(token, keys, terms, expires)), "joe");
  EXPECT_EQ(std::get<Problem>(Verify(token, keys, terms, kNow)), Problem::kExpired);
}

TEST(VerifyTest, Rfc7515AppendixA3IsEs256) {
  const KeySet keys =
      Keys(R"({"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
           R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})");
  EXPECT_EQ(
      WhyNot(std::string("eyJhbGciOiJFUzI1NiJ9.") + kJoe +
                 ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
             keys),
      "");
}

TEST(VerifyTest, Rfc7515AppendixA4IsEs512) {
  const KeySet keys = Keys(
      R"({"keys":[{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_)"
      R"(NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",)"
      R"("y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}]})");
  const std::string text = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA";
  const std::string signature =
      "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_"
      "7XdtAG8GaSwFKdCAPZgo"
      "XD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
  EXPECT_EQ(WhyNot(text + '.' + signature, keys), Words(Problem::kClaims))
      << "signed well; no claims, \"Payload\"";
  EXPECT_EQ(WhyNot(text + "." + "AdwN" + signature.substr(4), keys), Words(Problem::kSignature));
}

TEST(VerifyTest, Rfc7520Section42IsPs384) {
  const KeySet keys =
      Keys(R"({"keys":[{"kty":"RSA","kid":"bilbo.baggins@hobbiton.example","use":"sig","e":"AQAB","n":")"
           "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_"
           "AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-"
           "OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_"
           "vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw\"}]}");
  const std::string token =
      "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9."
      "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm"
      "9h"
      "ZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIH"
      "N3"
      "ZXB0IG9mZiB0by4."
      "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-"
      "tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_"
      "1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_"
      "ijQ7p8Vdz0TTrxUeT3l"
      "m8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_"
      "jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GY"
      "mJUAfmWjwZ6oD4ifKo8DYM-X72Eaw";
  EXPECT_EQ(WhyNot(token, keys), Words(Problem::kClaims)) << "signed well; no claims, but a book";
}

TEST(VerifyTest, Rfc8037AppendixA4IsEd25519) {
  const KeySet keys =
      Keys(R"({"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})");
  const std::string token =
      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
      "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
  EXPECT_EQ(WhyNot(token, keys), Words(Problem::kClaims)) << "signed well";
  EXPECT_EQ(WhyNot(token.substr(0, 21) + "S" + token.substr(22), keys), Words(Problem::kSignature));
}

TEST(VerifyTest, WhatSecretsOrNobodySignIsRefused) {
  const KeySet keys = Keys(SignerFor(Algorithm::kRs256).Set());
  EXPECT_EQ(WhyNot(std::string("eyJhbGciOiJub25lIn0.") + kJoe + '.', keys), Words(Problem::kAlgorithm))
      << "RFC 7515 appendix A.5";
  EXPECT_EQ(WhyNot(std::string("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.") + kJoe +
                       ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
                   keys),
            Words(Problem::kAlgorithm))
      << "RFC 7515 appendix A.1";
  for (const char* const other : {"NONE", "HS384", "HS512", "rs256", "RSA1_5", "ES256K", "Ed448", ""}) {
    EXPECT_EQ(WhyNot(EncodeBase64Url(Header(other)) + "." + kJoe + ".AAAA", keys), Words(Problem::kAlgorithm))
        << other;
  }
}

TEST(VerifyTest, EachAlgorithmIsVerifiedWithItsOwnKeysAlone) {
  for (const Case& one : kAll) {
    const TestSigner& signer = SignerFor(one.algorithm);
    const std::string token = signer.Token(one.algorithm, Header(one.name), "{}");
    EXPECT_EQ(WhyNot(token, Keys(signer.Set())), "") << one.name;
    EXPECT_EQ(WhyNot(token, Keys(signer.Set(R"("alg":")" + std::string(one.name) + '"'))), "") << one.name;
    for (const Case& other : kAll) {
      const TestSigner& of_other = SignerFor(other.algorithm);
      if (KindFor(other.algorithm) != KindFor(one.algorithm)) {
        EXPECT_EQ(WhyNot(token, Keys(of_other.Set())), Words(Problem::kNoKey)) << one.name << other.name;
      } else if (other.algorithm != one.algorithm) {
        EXPECT_EQ(WhyNot(token, Keys(of_other.Set(R"("alg":")" + std::string(other.name) + '"'))),
                  Words(Problem::kNoKey))
            << one.name << other.name;
        EXPECT_EQ(WhyNot(signer.Token(one.algorithm, Header(other.name), "{}"), Keys(signer.Set())),
                  Words(Problem::kSignature))
            << "says " << other.name << ", is " << one.name;
      }
    }
  }
}

TEST(VerifyTest, AnyBitThatIsAnotherIsFound) {
  for (const Case& one : kAll) {
    const TestSigner& signer = SignerFor(one.algorithm);
    const KeySet keys = Keys(signer.Set());
    const std::string token =
        signer.Token(one.algorithm, Header(one.name), R"({"sub":"ann","exp":1700000000})");
    ASSERT_EQ(WhyNot(token, keys), "") << one.name;
    for (size_t bit = 0; bit < token.size() * 8; ++bit) {
      std::string other = token;
      other[bit / 8] = static_cast<char>(other[bit / 8] ^ 1 << bit % 8);
      ASSERT_NE(WhyNot(other, keys), "") << one.name << ", bit " << bit;
    }
    for (size_t bytes = 0; bytes < token.size(); ++bytes)
      ASSERT_NE(WhyNot(token.substr(0, bytes), keys), "") << one.name << ", " << bytes << " bytes";
    for (const char* const more : {"=", "A", ".", ".A", " "}) {
      ASSERT_NE(WhyNot(token + more, keys), "") << one.name << more;
    }
  }
}

TEST(VerifyTest, SignaturesOfOtherLengthsAreNone) {
  for (const Case& one : kAll) {
    const TestSigner& signer = SignerFor(one.algorithm);
    const KeySet keys = Keys(signer.Set());
    const std::string text = EncodeBase64Url(Header(one.name)) + ".e30";
    const std::string made = signer.Signature(one.algorithm, text);
    for (const std::string& other : {std::string(), made.substr(1), made + '\0', '\0' + made,
                                     std::string(made.size(), '\0'), made + made})
      EXPECT_EQ(WhyNot(text + '.' + EncodeBase64Url(other), keys), Words(Problem::kSignature)) << one.name;
  }
}

TEST(VerifyTest, AnEcdsaSignatureInDerIsNone) {
  // RFC 7515 appendix A.3, as other protocols write it.
  const TestSigner& signer = SignerFor(Algorithm::kEs256);
  const std::string text = EncodeBase64Url(Header("ES256")) + ".e30";
  std::string raw = signer.Signature(Algorithm::kEs256, text);
  while (raw[0] < 0 || raw[32] < 0 || raw[0] == 0 || raw[32] == 0)
    raw = signer.Signature(Algorithm::kEs256, text);
  const std::string der = "\x30\x44\x02\x20" + raw.substr(0, 32) + "\x02\x20" + raw.substr(32);
  const KeySet keys = Keys(signer.Set());
  EXPECT_EQ(WhyNot(text + '.' + EncodeBase64Url(raw), keys), "");
  EXPECT_EQ(WhyNot(text + '.' + EncodeBase64Url(der), keys), Words(Problem::kSignature));
}

TEST(VerifyTest, TheKeyIsTheOneThatTheTokenNames) {
  const TestSigner& signer = SignerFor(Algorithm::kEs256);
  const TestSigner stranger(KeyKind::kP256);
  const auto set = [&](const std::string& first, const std::string& second) {
    return Keys(R"({"keys":[)" + stranger.Jwk(first) + ',' + signer.Jwk(second) + "]}");
  };
  const std::string named = signer.Token(Algorithm::kEs256, Header("ES256", R"(,"kid":"a")"), "{}");
  const std::string unnamed = signer.Token(Algorithm::kEs256, Header("ES256"), "{}");
  EXPECT_EQ(WhyNot(named, set(R"("kid":"b")", R"("kid":"a")")), "");
  EXPECT_EQ(WhyNot(named, set(R"("kid":"a")", R"("kid":"b")")), Words(Problem::kSignature));
  EXPECT_EQ(WhyNot(named, set(R"("kid":"b")", R"("kid":"c")")), Words(Problem::kNoKey));
  EXPECT_EQ(WhyNot(named, set(R"("kid":"a")", R"("kid":"a")")), "") << "both are tried";
  EXPECT_EQ(WhyNot(named, set(R"("kid":"b")", "")), "") << "one without a name may be it";
  EXPECT_EQ(WhyNot(named, set(R"("kid":"a")", "")), Words(Problem::kSignature)) << "but where one has it";
  EXPECT_EQ(WhyNot(unnamed, set(R"("kid":"a")", R"("kid":"b")")), "");
  EXPECT_EQ(WhyNot(signer.Token(Algorithm::kEs256, Header("ES256", R"(,"kid":7)"), "{}"), set("", "")),
            Words(Problem::kHeader));
}

TEST(VerifyTest, NotAllKeysOfALargeSetAreTried) {
  const TestSigner& signer = SignerFor(Algorithm::kEs256);
  const std::string unnamed = signer.Token(Algorithm::kEs256, Header("ES256"), "{}");
  std::string keys = signer.Jwk(R"("kid":"b")");
  for (size_t i = 2; i < kMaxKeysTried; ++i) keys.append(",").append(signer.Jwk(R"("kid":"b")"));
  keys.append(",").append(signer.Jwk());
  EXPECT_EQ(WhyNot(unnamed, Keys(R"({"keys":[)" + keys + "]}")), "");
  EXPECT_EQ(WhyNot(unnamed, Keys(R"({"keys":[)" + keys + ',' + signer.Jwk() + "]}")),
            Words(Problem::kManyKeys));
  // Who names one of them is not told that there are many without a name.
  std::string unnamed_keys = signer.Jwk();
  for (size_t i = 1; i <= kMaxKeysTried; ++i) unnamed_keys.append(",").append(signer.Jwk());
  const std::string named = signer.Token(Algorithm::kEs256, Header("ES256", R"(,"kid":"a")"), "{}");
  EXPECT_EQ(WhyNot(named, Keys(R"({"keys":[)" + unnamed_keys + ',' + signer.Jwk(R"("kid":"a")") + "]}")), "");
  EXPECT_EQ(WhyNot(named, Keys(R"({"keys":[)" + unnamed_keys + "]}")), Words(Problem::kManyKeys));
}

TEST(VerifyTest, HeadersThatSayTwoThingsOrMoreThanIsUnderstoodAreRefused) {
  const TestSigner& signer = SignerFor(Algorithm::kEs256);
  const KeySet keys = Keys(signer.Set());
  const auto why = [&](const std::string& header) {
    return WhyNot(signer.Token(Algorithm::kEs256, header, "{}"), keys);
  };
  EXPECT_EQ(why(R"({"alg":"ES256","typ":"JWT","jku":"https://x","jwk":{},"x5c":[]})"), "");
  EXPECT_EQ(why(R"({"alg":"ES256","crit":["b64"],"b64":true})"), Words(Problem::kCritical));
  EXPECT_EQ(why(R"({"alg":"ES256","crit":[]})"), Words(Problem::kCritical));
  for (const char* const bad : {"{}", R"({"alg":7})", "[]", "", R"({"alg":"none","alg":"ES256"})",
                                R"({"alg":"ES256","alg":"ES256"})", R"({"alg":"ES256",})"})
    EXPECT_EQ(why(bad), Words(Problem::kHeader)) << bad;
}

TEST(VerifyTest, AKeyThatTheTokenBringsIsNotLookedAt) {
  const TestSigner stranger(KeyKind::kP256);
  const std::string token =
      stranger.Token(Algorithm::kEs256, Header("ES256", R"(,"jwk":)" + stranger.Jwk()), R"({"sub":"ann"})");
  EXPECT_EQ(WhyNot(token, Keys(SignerFor(Algorithm::kEs256).Set())), Words(Problem::kSignature));
}

TEST(VerifyTest, ATokenIsThreePartsOfALimitedSize) {
  const TestSigner& signer = SignerFor(Algorithm::kEs256);
  const KeySet keys = Keys(signer.Set());
  for (const char* const bad : {"", ".", "a.b", "a.b.c.d", "a.b.c.d.e"})
    EXPECT_EQ(WhyNot(bad, keys), Words(Problem::kNotThreeParts)) << bad;
  EXPECT_EQ(WhyNot("..", keys), Words(Problem::kHeader));
  for (const char* const bad : {"a.e30.e30", "e30=.e30.e30", "e30.e3.e30", "e30.e30.+/+/"})
    EXPECT_EQ(WhyNot(bad, keys), Words(Problem::kEncoding)) << bad;
  const auto of_size = [&](size_t size) {
    return signer.Token(Algorithm::kEs256, Header("ES256"), R"({"a":")" + std::string(size, 'x') + "\"}");
  };
  size_t size = kMaxTokenBytes * 3 / 4 - 90;
  while (of_size(size + 1).size() <= kMaxTokenBytes) ++size;
  EXPECT_EQ(WhyNot(of_size(size), keys), "");
  EXPECT_EQ(WhyNot(of_size(size + 1), keys), Words(Problem::kTooLarge));
}

TEST_F(ClaimsTest, TheClaimIsToldOfATokenThatIsValid) {
  EXPECT_EQ(Outcome(R"({"sub":"ann","exp":1700000001})"), "ann");
  terms_.claim = "https://example.com/account";
  EXPECT_EQ(Outcome(R"({"sub":"ann","https:\/\/example.com\/account":"7","exp":1700000001})"), "7");
}

TEST_F(ClaimsTest, TimesHaveALeewayOfAMinute) {
  const std::string claims = R"({"sub":"ann","nbf":1700000000,"exp":1700000100})";
  const auto at = [&](int seconds) {
    now_ = kNow + std::chrono::seconds(seconds);
    return Outcome(claims);
  };
  EXPECT_EQ(at(-61), Words(Problem::kNotYet));
  EXPECT_EQ(at(-60), "ann");
  EXPECT_EQ(at(159), "ann");
  EXPECT_EQ(at(160), Words(Problem::kExpired));
}

TEST_F(ClaimsTest, TimesAreNumbersAndTheEndIsSaid) {
  EXPECT_EQ(Outcome(R"({"sub":"ann"})"), Words(Problem::kNoExpiry));
  for (const char* const bad : {R"("1800000000")", "null", "true", "[1800000000]", "{}"}) {
    EXPECT_EQ(Outcome(std::string(R"({"sub":"ann","exp":)") + bad + '}'), Words(Problem::kNoExpiry)) << bad;
    EXPECT_EQ(Outcome(std::string(R"({"sub":"ann","exp":1800000000,"nbf":)") + bad + '}'),
              Words(Problem::kNotYet))
        << bad;
  }
  EXPECT_EQ(Outcome(R"({"sub":"ann","exp":1e300,"nbf":-1e300})"), "ann");
  EXPECT_EQ(Outcome(R"({"sub":"ann","exp":1e999})"), Words(Problem::kClaims));
  EXPECT_EQ(Outcome(R"({"sub":"ann","exp":-1})"), Words(Problem::kExpired));
  EXPECT_EQ(Outcome(R"({"sub":"ann","exp":1700000000.5})"), "ann");
}

TEST_F(ClaimsTest, TheIssuerIsTheOneThatIsWanted) {
  terms_.issuer = "https://a";
  EXPECT_EQ(Outcome(R"({"sub":"ann","exp":1800000000,"iss":"https://a"})"), "ann");
  for (const char* const other : {R"("https://a/")", R"("")", "7", R"(["https://a"])"})
    EXPECT_EQ(Outcome(std::string(R"({"sub":"ann","exp":1800000000,"iss":)") + other + '}'),
              Words(Problem::kIssuer))
        << other;
  EXPECT_EQ(Outcome(R"({"sub":"ann","exp":1800000000})"), Words(Problem::kIssuer));
}

TEST_F(ClaimsTest, TheAudienceIsOneOfThose) {
  const auto with = [&](const std::string& audience) {
    return Outcome(R"({"sub":"ann","exp":1800000000,"aud":)" + audience + '}');
  };
  EXPECT_EQ(with("\"x\""), "ann") << "nobody asks";
  terms_.audiences = {"pay", "ship"};
  EXPECT_EQ(with("\"pay\""), "ann");
  EXPECT_EQ(with("\"ship\""), "ann");
  EXPECT_EQ(with(R"(["x","ship"])"), "ann");
  for (const char* const other : {"\"x\"", R"(["x"])", "[]", "7", "{}", R"([["pay"]])", "\"pay ship\""})
    EXPECT_EQ(with(other), Words(Problem::kAudience)) << other;
  EXPECT_EQ(Outcome(R"({"sub":"ann","exp":1800000000})"), Words(Problem::kAudience));
}

TEST_F(ClaimsTest, TheClaimIsAStringOfALimitedSize) {
  const auto with = [&](const std::string& value) {
    return Outcome(R"({"exp":1800000000,"sub":)" + value + '}');
  };
  for (const char* const bad : {"\"\"", "7", "null", R"(["ann"])", "{}"})
    EXPECT_EQ(with(bad), Words(Problem::kNoClaim)) << bad;
  EXPECT_EQ(Outcome(R"({"exp":1800000000})"), Words(Problem::kNoClaim));
  EXPECT_EQ(with('"' + std::string(512, 'a') + '"'), std::string(512, 'a'));
  EXPECT_EQ(with('"' + std::string(513, 'a') + '"'), Words(Problem::kNoClaim));
  EXPECT_EQ(with(R"("a\u0000b")"), std::string("a\0b", 3)) << "another than a";
}

TEST_F(ClaimsTest, ClaimsThatSayTwoThingsAreNotBelieved) {
  EXPECT_EQ(Outcome(R"({"sub":"ann","sub":"bob","exp":1800000000})"), Words(Problem::kClaims));
  EXPECT_EQ(Outcome(R"({"sub":"ann","s\u0075b":"bob","exp":1800000000})"), Words(Problem::kClaims));
  EXPECT_EQ(Outcome("[]"), Words(Problem::kClaims));
}

TEST(VerifyTest, EachProblemHasWordsOfItsOwn) {
  std::map<std::string, size_t> words;
  for (size_t i = 0; i < kProblems; ++i) ++words[Words(static_cast<Problem>(i))];
  EXPECT_EQ(words.size(), kProblems);
  EXPECT_EQ(words.count(""), 0u);
}

}  // namespace
}  // namespace pillion::jwt
