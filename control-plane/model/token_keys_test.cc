#include "control-plane/model/token_keys.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "absl/strings/escaping.h"
#include "control-plane/model/model.h"
#include "control-plane/source/file/decode.h"

namespace pillion::control {
namespace {

constexpr char kDigits[] = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";

TokenKeys Counting() { return *TokenKeys::Parse(kDigits); }

TEST(TokenKeys, AreEachServicesOwnAndAlwaysTheSame) {
  // By another implementation of RFC 5869 (Python's hmac).
  EXPECT_EQ(absl::BytesToHexString(Counting().Of({"shop", "orders"})),
            "77223b786b125ba0f54f74b3ab2b8fd93c65e9bb4c9ae7ae4d7dac0f60d52d91");
  EXPECT_EQ(Counting().Of({"shop", "orders"}), Counting().Of({"shop", "orders"}));
  EXPECT_NE(Counting().Of({"shop", "orders"}), Counting().Of({"shop", "payments"}));
  EXPECT_NE(Counting().Of({"shop", "orders"}), Counting().Of({"test", "orders"}));
  EXPECT_NE(Counting().Of({"shop", "orders"}), TokenKeys::Worthless().Of({"shop", "orders"}));
}

TEST(TokenKeys, AreReadAsBytesOrAsDigits) {
  const std::string key = Counting().Of({"shop", "orders"});
  const auto parsed = [](const std::string& text) {
    const auto keys = TokenKeys::Parse(text);
    return keys.has_value() ? keys->Of({"shop", "orders"}) : "";
  };
  EXPECT_EQ(parsed(absl::HexStringToBytes(kDigits)), key);
  EXPECT_EQ(parsed(std::string(kDigits) + " \r\n"), key);
  const std::string ends_in_space = std::string(31, 'k') + "\n";
  EXPECT_NE(parsed(ends_in_space), "") << "a byte as any other";
  EXPECT_NE(parsed(ends_in_space), parsed(std::string(31, 'k') + " "));
  for (const std::string& wrong :
       {std::string(), std::string(31, 'k'), std::string(33, 'k'), std::string(64, 'k'),
        " " + std::string(kDigits), std::string(kDigits) + "0", std::string(kDigits, 63),
        std::string(64, ' ')})
    EXPECT_EQ(parsed(wrong), "") << wrong;
}

constexpr char kOrders[] =
    "--- {apiVersion: v1, kind: Service, metadata: {name: orders, namespace: shop}, spec: {ports: [{port: "
    "80}]}}\n";

std::string SharedYaml(const std::string& store) {
  return std::string(kOrders) +
         "--- {apiVersion: policy.pillion.dev/v1alpha1, kind: IdempotencyPolicy, metadata: {name: p, "
         "namespace: "
         "shop}, spec: {targetRefs: [{kind: Service, name: orders}], mode: Shared, store: {addresses: "
         "['redis:6379']" +
         store + "}}}\n";
}
BuiltModel Built(const std::string& yaml, const TokenKeys* keys) {
  const DecodedFile file = DecodeFile(yaml, "f.yaml");
  for (const Problem& problem : file.problems) ADD_FAILURE() << problem.ToString();
  return BuildModel(file.objects, keys);
}

TEST(TokenKeys, AreForPoliciesThatNameNoKey) {
  const TokenKeys keys = Counting();
  const BuiltModel built = Built(SharedYaml(""), &keys);
  EXPECT_TRUE(built.problems.empty());
  const MeshService& service = built.model->services.at({"shop", "orders"});
  EXPECT_TRUE(service.tokens.has_value());
  EXPECT_EQ(service.token_key, keys.Of({"shop", "orders"}));
  const BuiltModel own = Built(SharedYaml(", keyFile: /k"), &keys);
  EXPECT_EQ(own.model->services.at({"shop", "orders"}).token_key, "") << "the sidecars have it";
}

TEST(TokenKeys, WithoutAnyAPolicyThatNeedsOneIsNotThereAtAll) {
  const BuiltModel built = Built(SharedYaml(""), nullptr);
  ASSERT_EQ(built.problems.size(), 1u);
  EXPECT_EQ(built.problems[0].ToString(),
            "f.yaml:2:176: spec.store: expected keyFile, or a control plane with --token-key-file: answers "
            "would be stored as they are. The policy has no effect");
  EXPECT_FALSE(built.model->services.at({"shop", "orders"}).tokens.has_value());
  const BuiltModel own = Built(SharedYaml(", keyFile: /k"), nullptr);
  EXPECT_TRUE(own.problems.empty());
  EXPECT_TRUE(own.model->services.at({"shop", "orders"}).tokens.has_value());
}

}  // namespace
}  // namespace pillion::control
