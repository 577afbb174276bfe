// What it takes to verify one JWT, as a request with a key has it; by algorithm.
#include <benchmark/benchmark.h>

#include <string>
#include <variant>

#include "sidecar/base/check.h"
#include "sidecar/jwt/test_signer.h"
#include "sidecar/jwt/verify.h"

namespace pillion::jwt {
namespace {

constexpr std::chrono::sys_seconds kNow{std::chrono::seconds(1'700'000'000)};

void VerifyToken(benchmark::State& state, Algorithm algorithm, const char* name) {
  const TestSigner signer(KindFor(algorithm));
  const KeySet keys = *KeySet::Parse(signer.Set(R"("kid":"2024-01")"));
  const std::string token = signer.Token(
      algorithm, R"({"alg":")" + std::string(name) + R"(","kid":"2024-01","typ":"JWT"})",
      R"({"iss":"https://accounts.example.com","sub":"248289761001","aud":["payments","shop"],"iat":1700000000,)"
      R"("exp":1700000300,"jti":"8e03978e-40d5-43dd-bc93-6894a57f9324","scope":"pay ship","email":"a@example.com"})");
  const Terms terms{.claim = "sub", .issuer = "https://accounts.example.com", .audiences = {"payments"}};
  for (auto _ : state) {
    const auto verified = Verify(token, keys, terms, kNow);
    PILLION_CHECK(std::holds_alternative<std::string>(verified));
  }
}
BENCHMARK_CAPTURE(VerifyToken, es256, Algorithm::kEs256, "ES256");
BENCHMARK_CAPTURE(VerifyToken, rs256, Algorithm::kRs256, "RS256");
BENCHMARK_CAPTURE(VerifyToken, ps256, Algorithm::kPs256, "PS256");
BENCHMARK_CAPTURE(VerifyToken, eddsa, Algorithm::kEdDsa, "EdDSA");

}  // namespace
}  // namespace pillion::jwt
