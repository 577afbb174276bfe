#include "sidecar/xds/last_good.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace pillion::xds {
namespace {

class LastGood : public ::testing::Test {
 protected:
  LastGood() : path_(std::string(std::getenv("TEST_TMPDIR")) + "/last-good.pb") {
    envoy::service::discovery::v3::DiscoveryResponse response;
    response.set_type_url("type");
    response.set_version_info(std::string("7\n\0x", 4));
    responses_ = {response, response};
  }
  std::string path_;
  Responses responses_;
};

TEST_F(LastGood, SurvivesARoundTrip) {
  ASSERT_TRUE(SaveLastGood(path_, "node", responses_).ok());
  const auto loaded = LoadLastGood(path_, "node");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ASSERT_EQ(loaded->size(), 2u);
  EXPECT_EQ((*loaded)[1].SerializeAsString(), responses_[1].SerializeAsString());
}

TEST_F(LastGood, AnotherNodesFileIsRefused) {
  ASSERT_TRUE(SaveLastGood(path_, "node", responses_).ok());
  EXPECT_TRUE(absl::IsDataLoss(LoadLastGood(path_, "other").status()));
}

TEST_F(LastGood, EveryDamagedByteAndEveryCutIsNoticed) {
  ASSERT_TRUE(SaveLastGood(path_, "node", responses_).ok());
  std::ostringstream whole;
  whole << std::ifstream(path_, std::ios::binary).rdbuf();
  const std::string good = whole.str();
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x20);
    std::ofstream(path_, std::ios::binary) << bad;
    EXPECT_FALSE(LoadLastGood(path_, "node").ok()) << "byte " << i;
    std::ofstream(path_, std::ios::binary) << good.substr(0, i);
    EXPECT_FALSE(LoadLastGood(path_, "node").ok()) << "cut at " << i;
  }
}

TEST_F(LastGood, NoFileIsNotFoundAndAnUnwritablePlaceIsTold) {
  EXPECT_TRUE(absl::IsNotFound(LoadLastGood(path_ + ".none", "node").status()));
  EXPECT_FALSE(SaveLastGood("/nonexistent/last-good.pb", "node", responses_).ok());
}

}  // namespace
}  // namespace pillion::xds
