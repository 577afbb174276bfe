// A directory as operators and Kubernetes change it.
#include "control-plane/source/file/directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "control-plane/source/file/watch.h"

namespace pillion::control {
namespace {

namespace fs = std::filesystem;

std::string ServiceText(const std::string& name, int port = 80) {
  return "{apiVersion: v1, kind: Service, metadata: {name: " + name +
         "}, spec: {ports: [{port: " + std::to_string(port) + "}]}}\n";
}

class DirectoryTest : public ::testing::Test {
 protected:
  DirectoryTest() {
    std::string pattern = ::testing::TempDir() + "/pillionXXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~DirectoryTest() override { fs::remove_all(path_); }
  void Write(const std::string& name, const std::string& text) { std::ofstream(path_ / name) << text; }
  // The names and ports of all services: "a:80 b:80".
  static std::string Services(const Directory& directory) {
    std::string text;
    for (const auto& object : directory.objects()) {
      const auto& service = std::get<Service>(*object);
      text += (text.empty() ? "" : " ") + service.metadata.name.name + ":" +
              std::to_string(service.ports[0].port);
    }
    return text;
  }

  fs::path path_;
};

TEST_F(DirectoryTest, ReadsWhatIsOursAndOnlyThat) {
  Write("b.yaml", ServiceText("b"));
  Write("a.json", ServiceText("a"));
  Write("c.txt", "not ours");
  Write(".hidden.yaml", "not ours");
  Directory directory(path_);
  EXPECT_TRUE(directory.Reload());
  EXPECT_EQ(Services(directory), "a:80 b:80");
  EXPECT_TRUE(directory.problems().empty());
  EXPECT_FALSE(directory.Reload()) << "nothing changed";
}

TEST_F(DirectoryTest, ABadFileKeepsWhatItSaidAndIsReported) {
  Write("a.yaml", ServiceText("a"));
  Write("b.yaml", ServiceText("b"));
  Directory directory(path_);
  directory.Reload();
  Write("a.yaml", ServiceText("a", 81) + "---\n" + ServiceText("a2", 70000));
  Write("b.yaml", ServiceText("b", 82));
  EXPECT_TRUE(directory.Reload());
  EXPECT_EQ(Services(directory), "a:80 b:82") << "not even the good half of a bad file";
  ASSERT_EQ(directory.problems().size(), 1u);
  EXPECT_EQ(directory.problems()[0].file, path_ / "a.yaml");
  Write("a.yaml", ServiceText("a", 83));
  EXPECT_TRUE(directory.Reload());
  EXPECT_EQ(Services(directory), "a:83 b:82");
  EXPECT_TRUE(directory.problems().empty());
}

TEST_F(DirectoryTest, AFileThatWasTruncatedAndNotYetWrittenKeepsWhatItSaid) {
  Write("a.yaml", ServiceText("a"));
  Directory directory(path_);
  directory.Reload();
  Write("a.yaml", "\n");
  EXPECT_TRUE(directory.Reload());
  EXPECT_EQ(Services(directory), "a:80");
  EXPECT_EQ(directory.problems().size(), 1u);
  Write("a.yaml", ServiceText("a", 81));
  EXPECT_TRUE(directory.Reload());
  EXPECT_EQ(Services(directory), "a:81");
  EXPECT_TRUE(directory.problems().empty());
  Write("b.yaml", "");
  EXPECT_TRUE(directory.Reload());
  EXPECT_TRUE(directory.problems().empty()) << "a new file may be empty";
}

TEST_F(DirectoryTest, WhatIsNoFileIsReportedAndKeepsNobodyWaiting) {
  Write("a.yaml", ServiceText("a"));
  fs::create_directory(path_ / "b.yaml");
  ASSERT_EQ(mkfifo((path_ / "c.yaml").c_str(), 0600), 0);
  fs::create_symlink("nowhere", path_ / "d.yaml");
  Write("e.yaml", ServiceText("e") + "# " + std::string(17u << 20, 'x'));
  Directory directory(path_);
  directory.Reload();
  EXPECT_EQ(Services(directory), "a:80");
  EXPECT_EQ(directory.problems().size(), 3u) << "a directory, a dangling link and one over the limit";
}

TEST_F(DirectoryTest, ARemovedFileTakesItsObjectsWithIt) {
  Write("a.yaml", ServiceText("a"));
  Directory directory(path_);
  directory.Reload();
  fs::remove(path_ / "a.yaml");
  EXPECT_TRUE(directory.Reload());
  EXPECT_EQ(Services(directory), "");
}

TEST_F(DirectoryTest, ADirectoryThatIsGoneKeepsEverything) {
  Write("a.yaml", ServiceText("a"));
  Directory directory(path_);
  directory.Reload();
  fs::remove_all(path_);
  EXPECT_TRUE(directory.Reload());
  EXPECT_EQ(Services(directory), "a:80");
  EXPECT_EQ(directory.problems().size(), 1u);
  fs::create_directory(path_);
  EXPECT_TRUE(directory.Reload());
  EXPECT_EQ(Services(directory), "");
}

// Runs Wait on a thread of its own and reloads until `wanted` is there.
class WatchTest : public DirectoryTest {
 protected:
  // By deadline of the test itself: a Wait that misses the event returns only after 10 s, which the size of
  // the burst limits below tells apart.
  std::chrono::milliseconds TimeUntil(Directory& directory, Watch& watch, const std::string& wanted) {
    const auto start = std::chrono::steady_clock::now();
    while (Services(directory) != wanted && watch.Wait()) directory.Reload();
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
  }
  static constexpr std::chrono::milliseconds kSoon{5000};  // half of the rescan
};

TEST_F(WatchTest, SeesAFileWrittenInPlaceAndOneRenamedOver) {
  Write("a.yaml", ServiceText("a"));
  Directory directory(path_);
  Watch watch(path_);
  directory.Reload();
  Write("a.yaml", ServiceText("a", 81));
  EXPECT_LT(TimeUntil(directory, watch, "a:81"), kSoon);
  const fs::path elsewhere = path_.string() + ".tmp";
  std::ofstream(elsewhere) << ServiceText("a", 82);
  fs::rename(elsewhere, path_ / "a.yaml");
  EXPECT_LT(TimeUntil(directory, watch, "a:82"), kSoon);
}

TEST_F(WatchTest, SeesAConfigMapSwap) {
  // As the kubelet does it: a.yaml -> ..data/a.yaml, ..data -> a dated directory, swapped by rename.
  fs::create_directory(path_ / "..2026_1");
  fs::create_directory(path_ / "..2026_2");
  Write("..2026_1/a.yaml", ServiceText("a", 80));
  Write("..2026_2/a.yaml", ServiceText("a", 81));
  fs::create_symlink("..2026_1", path_ / "..data");
  fs::create_symlink("..data/a.yaml", path_ / "a.yaml");
  Directory directory(path_);
  Watch watch(path_);
  directory.Reload();
  ASSERT_EQ(Services(directory), "a:80");
  fs::create_symlink("..2026_2", path_ / "..data_tmp");
  fs::rename(path_ / "..data_tmp", path_ / "..data");
  EXPECT_LT(TimeUntil(directory, watch, "a:81"), kSoon);
}

TEST_F(WatchTest, WaitsForAWriterToFinish) {
  Write("b.yaml", ServiceText("b"));
  Directory directory(path_);
  Watch watch(path_);
  directory.Reload();
  std::ofstream half(path_ / "a.yaml");
  half << ServiceText("a") << "---\n" << std::flush;  // a whole document, half a file
  Write("b.yaml", ServiceText("b", 81));
  std::future<bool> waiting = std::async(std::launch::async, [&] { return watch.Wait(); });
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(500)), std::future_status::timeout);
  half << ServiceText("a2");
  half.close();
  EXPECT_TRUE(waiting.get());
  directory.Reload();
  EXPECT_EQ(Services(directory), "a:80 a2:80 b:81");
}

TEST_F(WatchTest, StopEndsAWaitAndAllLaterOnes) {
  Watch watch(path_);
  std::thread stopper([&] { watch.Stop(); });
  EXPECT_FALSE(watch.Wait());
  EXPECT_FALSE(watch.Wait());
  stopper.join();
}

}  // namespace
}  // namespace pillion::control
