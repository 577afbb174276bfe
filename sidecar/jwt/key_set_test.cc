#include "sidecar/jwt/key_set.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <string>

#include "sidecar/jwt/test_signer.h"

namespace pillion::jwt {
namespace {

std::string Problem(const std::string& json) {
  const auto set = KeySet::Parse(json);
  EXPECT_EQ(ERR_peek_error(), 0u);
  return set.ok() ? "" : std::string(set.status().message().data(), set.status().message().size());
}

const TestSigner& Rsa() {
  static const TestSigner signer(KeyKind::kRsa);
  return signer;
}
const TestSigner& P256() {
  static const TestSigner signer(KeyKind::kP256);
  return signer;
}

std::string With(const std::string& jwk) { return R"({"keys":[)" + jwk + "]}"; }

TEST(KeySetTest, KeysOfAllKindsAreTaken) {
  for (const KeyKind kind :
       {KeyKind::kRsa, KeyKind::kP256, KeyKind::kP384, KeyKind::kP521, KeyKind::kEd25519})
    EXPECT_EQ(
        Problem(TestSigner(kind).Set(R"("use":"sig","kid":"a","x5c":["ignored"],"key_ops":["verify"])")), "");
}

TEST(KeySetTest, KeysThatVerifyNothingAreLeftOut) {
  const std::string none =
      "keys: expected one that verifies signatures: RSA, EC on P-256, P-384 or P-521, Ed25519";
  EXPECT_EQ(Problem(R"({"keys":[]})"), none);
  for (const std::string& other :
       {std::string(R"({"kty":"AKP","alg":"ML-DSA-44"})"), std::string(R"({"kty":"EC","crv":"secp256k1"})"),
        std::string(R"({"kty":"OKP","crv":"X25519","x":"AA"})"), P256().Jwk(R"("use":"enc")"),
        P256().Jwk(R"("key_ops":["sign"])"), P256().Jwk(R"("key_ops":[])"),
        P256().Jwk(R"("key_ops":"verify")"), P256().Jwk(R"("alg":"ECDH-ES")"), P256().Jwk(R"("alg":"ES384")"),
        Rsa().Jwk(R"("alg":"HS256")"), Rsa().Jwk(R"("alg":"none")")}) {
    EXPECT_EQ(Problem(With(other)), none) << other;
    const auto both = KeySet::Parse(With(other + ',' + Rsa().Jwk()));
    ASSERT_TRUE(both.ok()) << other;
    EXPECT_EQ(both->size(), 1u);
  }
}

TEST(KeySetTest, WhatIsBrokenIsToldByItsPlace) {
  const std::string no_object = "expected a JWK set: a JSON object with no member twice in it";
  EXPECT_EQ(Problem(""), no_object);
  EXPECT_EQ(Problem("[]"), no_object);
  EXPECT_EQ(Problem(R"({"keys":[],"keys":[]})"), no_object);
  const std::string no_array = "keys: expected an array of JWK (RFC 7517 section 5)";
  EXPECT_EQ(Problem("{}"), no_array);
  EXPECT_EQ(Problem(R"({"keys":{}})"), no_array);
  EXPECT_EQ(Problem(R"({"keys":[1]})"), "keys[0]: expected an object");
  EXPECT_EQ(Problem(With(Rsa().Jwk() + ",{}")), "keys[1].kty: expected a string");
  EXPECT_EQ(Problem(With(R"({"kty":"RSA","e":"AQAB"})")), "keys[0].n: expected base64url without padding");
  EXPECT_EQ(Problem(With(R"({"kty":"RSA","n":"AQ==","e":"AQAB"})")),
            "keys[0].n: expected base64url without padding");
  EXPECT_EQ(Problem(With(R"({"kty":"EC"})")), "keys[0].crv: expected a string");
  EXPECT_EQ(Problem(With(P256().Jwk(R"("kid":7)"))), "keys[0].kid: expected a string");
  EXPECT_EQ(Problem(With(P256().Jwk(R"("alg":7)"))), "keys[0].alg: expected a string");
  EXPECT_EQ(Problem(With(P256().Jwk(R"("use":7)"))), "keys[0].use: expected a string");
  EXPECT_EQ(Problem(With(R"({"kty":"OKP","crv":"Ed25519","x":"AAAA"})")), "keys[0].x: expected 32 bytes");
}

TEST(KeySetTest, SecretsAreRefused) {
  const std::string secret = "keys[0]: expected a public key: this is a secret, and signs";
  EXPECT_EQ(Problem(With(R"({"kty":"oct","k":"AAAA"})")), secret);
  EXPECT_EQ(Problem(With(Rsa().Jwk(R"("d":"AAAA")"))), secret);
  EXPECT_EQ(Problem(With(P256().Jwk(R"("d":"AAAA")"))), secret);
}

TEST(KeySetTest, RsaKeysAreOfASizeThatHolds) {
  EXPECT_EQ(Problem(TestSigner(KeyKind::kRsa, 1024).Set()), "keys[0].n: expected 2048 to 8192 bits");
  const std::string large = EncodeBase64Url('\x01' + std::string(1023, '\x7f') + '\x01');
  EXPECT_EQ(Problem(With(R"({"kty":"RSA","e":"AQAB","n":")" + large + "\"}")),
            "keys[0].n: expected 2048 to 8192 bits");
  EXPECT_EQ(Problem(With(R"({"kty":"RSA","e":"AQAB","n":"AAAA"})")), "keys[0].n: expected 2048 to 8192 bits");
  const std::string modulus(256, '\xff');
  const std::string e = "keys[0].e: expected an odd number of at most 8 bytes, beside a modulus that is one";
  for (const std::string& exponent : {std::string("\x01"), std::string("\x02"), std::string(9, '\x01')}) {
    EXPECT_EQ(Problem(With(R"({"kty":"RSA","n":")" + EncodeBase64Url(modulus) + R"(","e":")" +
                           EncodeBase64Url(exponent) + "\"}")),
              e);
  }
  EXPECT_EQ(Problem(With(R"({"kty":"RSA","n":")" + EncodeBase64Url(modulus.substr(1) + "\xfe") +
                         R"(","e":"AQAB"})")),
            e);
}

TEST(KeySetTest, PointsThatAreNoneAreRefused) {
  const std::string x = "keys[0].x: expected, with y, a point of the curve, of its full length";
  const auto point = [](const std::string& x, const std::string& y) {
    return With(R"({"kty":"EC","crv":"P-256","x":")" + EncodeBase64Url(x) + R"(","y":")" +
                EncodeBase64Url(y) + "\"}");
  };
  EXPECT_EQ(Problem(point(std::string(32, '\x01'), std::string(32, '\x01'))), x) << "beside the curve";
  EXPECT_EQ(Problem(point(std::string(31, '\x01'), std::string(32, '\x01'))), x);
  EXPECT_EQ(Problem(point(std::string(33, '\x01'), std::string(32, '\x01'))), x);
  EXPECT_EQ(Problem(point(std::string(32, '\xff'), std::string(32, '\xff'))), x);
}

TEST(KeySetTest, SizesHaveALimit) {
  std::string many = P256().Jwk();
  for (size_t i = 1; i < KeySet::kMaxKeys; ++i) many += ',' + P256().Jwk();
  EXPECT_EQ(Problem(With(many)), "");
  EXPECT_EQ(Problem(With(many + ',' + P256().Jwk())), "keys: expected at most 100");
  const std::string set = P256().Set();
  EXPECT_EQ(Problem(set + std::string(KeySet::kMaxBytes - set.size(), ' ')), "");
  EXPECT_EQ(Problem(set + std::string(KeySet::kMaxBytes - set.size() + 1, ' ')), "expected at most 1 MiB");
}

}  // namespace
}  // namespace pillion::jwt
