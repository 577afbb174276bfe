#include "sidecar/export/access_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "sidecar/config/listener.h"
#include "sidecar/export/access_log_files.h"
#include "sidecar/testing/sim_network.h"

namespace pillion::exporting {
namespace {

using telemetry::RequestRecord;

RequestRecord Sample() {
  RequestRecord record;
  record.started = time::WallTime(std::chrono::milliseconds(1'700'000'000'045));
  record.duration = std::chrono::microseconds(12'900);
  record.method = "GET";
  record.authority = "web.example";
  record.path = "/a?b=c";
  record.protocol = "HTTP/1.1";
  record.route = "web/0";
  record.cluster = "web";
  record.client = "127.0.0.1:4711";
  record.user_agent = "curl/8";
  record.request_id = "id-1";
  record.status = 503;
  record.flags = "UF,URX";
  record.detail = "connect failed";
  record.request_bytes = 7;
  record.response_bytes = 25;
  record.attempts.resize(2);
  record.attempts[0].endpoint = "10.0.0.1:80";
  record.attempts[1].endpoint = "10.0.0.2:80";
  record.attempts[1].outcome = Outcome::kNotSent;
  record.no_retry = NoRetry::kUsedUp;
  record.retry_budget = 7;
  return record;
}

TEST(AccessLogLine, HoldsWhatWasAsked) {
  EXPECT_EQ(AccessLogLine(Sample()),
            R"({"start_time":"2023-11-14T22:13:20.045Z","method":"GET","authority":"web.example",)"
            R"("path":"/a?b=c","protocol":"HTTP/1.1","response_code":503,"response_flags":"UF,URX",)"
            R"("response_code_details":"connect failed","bytes_received":7,"bytes_sent":25,"duration_ms":12,)"
            R"("route":"web/0","cluster":"web","upstream_host":"10.0.0.2:80","attempts":2,)"
            R"("outcome":"not_sent","not_retried":"used_up","retry_budget":7,)"
            R"("client":"127.0.0.1:4711","user_agent":"curl/8","request_id":"id-1"})"
            "\n");
}

TEST(AccessLogLine, ATokenIsShownByItsHashAndWithTheLastVerdict) {
  RequestRecord record = Sample();
  record.token = "0123456789abcdef";
  record.attempts[0].verdict = "in-flight";
  EXPECT_NE(AccessLogLine(record).find(R"("token_hash":"0123456789abcdef","retry_budget")"),
            std::string::npos);
  record.attempts[1].verdict = "replayed";
  EXPECT_NE(AccessLogLine(record).find(R"("token_hash":"0123456789abcdef","token_verdict":"replayed",)"),
            std::string::npos);
  record.verdict = "executed";
  EXPECT_NE(AccessLogLine(record).find(R"("token_verdict":"executed",)"), std::string::npos);
  record.attempts.clear();
  EXPECT_NE(AccessLogLine(record).find(R"("token_verdict":"executed",)"), std::string::npos);
}

TEST(AccessLogLine, WithoutFlagsHasADashAndATraceOnlyWhenSampled) {
  RequestRecord record;
  EXPECT_NE(AccessLogLine(record).find(R"("response_flags":"-")"), std::string::npos);
  EXPECT_EQ(AccessLogLine(record).find("trace_id"), std::string::npos);
  EXPECT_EQ(AccessLogLine(record).find("outcome"), std::string::npos) << "there was no attempt";
  EXPECT_EQ(AccessLogLine(record).find("not_retried"), std::string::npos);
  EXPECT_EQ(AccessLogLine(record).find("retry_budget"), std::string::npos);
  record.sampled = true;
  record.trace = {0x4b, 0xf9, 0x2f};
  EXPECT_NE(AccessLogLine(record).find(R"("trace_id":"4bf92f00000000000000000000000000")"),
            std::string::npos);
}

TEST(AccessLogLine, NothingAClientSendsMakesASecondLine) {
  RequestRecord record = Sample();
  record.path = "/\r\n{\"forged\":true}\x1b[2J\xFF\xC2\x85";
  record.user_agent = std::string("\0\x7f", 2);
  record.method = "\"";
  const std::string line = AccessLogLine(record);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_NE(line.find(R"("path":"/\r\n{\"forged\":true}\u001b[2J)"
                      "\uFFFD"
                      R"(\u0085")"),
            std::string::npos)
      << line;
  EXPECT_NE(line.find(R"("user_agent":"\u0000\u007f")"), std::string::npos);
  EXPECT_NE(line.find(R"("method":"\"")"), std::string::npos);
}

TEST(AccessLogLine, LongValuesAreCut) {
  RequestRecord record = Sample();
  record.path.assign(100'000, 'x');
  EXPECT_LT(AccessLogLine(record).size(), kMaxLoggedBytes + 1000);
}

class AccessLogFilesTest : public ::testing::Test {
 protected:
  AccessLogFilesTest() {
    std::string pattern = ::testing::TempDir() + "/log.XXXXXX";
    directory_ = mkdtemp(pattern.data());
    path_ = directory_ + "/access.log";
  }
  RequestRecord To(const std::string& path) {
    RequestRecord record = Sample();
    auto reporting = std::make_shared<config::Reporting>();
    reporting->access_log = config::AccessLog{path};
    record.reporting = reporting;
    return record;
  }
  void Advance(time::Duration by) {
    clock_.AdvanceTo(clock_.Now() + by);
    turn_.Run();
  }
  static size_t Lines(const std::string& path) {
    std::ifstream file(path);
    size_t lines = 0;
    for (std::string line; std::getline(file, line); ++lines) EXPECT_TRUE(line.starts_with("{\"start_time"));
    return lines;
  }
  uint64_t Dropped() const { return stats_.log_records_dropped.value(); }

  testing::VirtualClock clock_;
  stream::Turn turn_{clock_};
  telemetry::WorkerStats stats_;
  std::string directory_;
  std::string path_;
};

TEST_F(AccessLogFilesTest, LinesAreWrittenSoonAndTogether) {
  AccessLogFiles files(turn_, stats_);
  files.Write(To(path_));
  files.Write(To(path_));
  EXPECT_EQ(Lines(path_), 0u);
  Advance(AccessLogFiles::kFlushAfter);
  EXPECT_EQ(Lines(path_), 2u);
  files.Write(To(path_));
  Advance(AccessLogFiles::kFlushAfter);
  EXPECT_EQ(Lines(path_), 3u);
  struct stat status = {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777 & ~0640u, 0u);
}

TEST_F(AccessLogFilesTest, TheEndWritesWhatIsLeft) {
  AccessLogFiles(turn_, stats_).Write(To(path_));
  EXPECT_EQ(Lines(path_), 1u);
}

TEST_F(AccessLogFilesTest, AListenerWithoutLogHasNone) {
  AccessLogFiles files(turn_, stats_);
  files.Write(Sample());
  RequestRecord record = Sample();
  record.reporting = std::make_shared<config::Reporting>();
  files.Write(record);
  EXPECT_EQ(turn_.NextDeadline(), time::MonotonicTime::max());
}

TEST_F(AccessLogFilesTest, AMovedFileIsLeftAtReopen) {
  AccessLogFiles files(turn_, stats_);
  files.Write(To(path_));
  files.Flush();
  ASSERT_EQ(rename(path_.c_str(), (path_ + ".1").c_str()), 0);
  files.Write(To(path_));
  files.Reopen();
  files.Write(To(path_));
  files.Flush();
  EXPECT_EQ(Lines(path_ + ".1"), 2u);
  EXPECT_EQ(Lines(path_), 1u);
}

TEST_F(AccessLogFilesTest, AnUnwritablePathIsToldOnceAndCostsOnlyCountedLines) {
  AccessLogFiles files(turn_, stats_);
  const RequestRecord record = To(directory_ + "/missing/access.log");
  ::testing::internal::CaptureStderr();
  const size_t line = AccessLogLine(record).size();
  const size_t fit = AccessLogFiles::kMaxBufferBytes / line;
  for (size_t i = 0; i < fit + 10; ++i) files.Write(record);
  for (int i = 0; i < 100; ++i) Advance(std::chrono::milliseconds(100));
  EXPECT_EQ(Dropped(), 10u);
  const std::string told = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 1) << told;
  // It can be written at last: what was held comes out.
  ASSERT_EQ(mkdir((directory_ + "/missing").c_str(), 0700), 0);
  Advance(AccessLogFiles::kRetryAfter);
  Advance(AccessLogFiles::kFlushAfter);
  EXPECT_EQ(Lines(directory_ + "/missing/access.log"), fit);
}

TEST_F(AccessLogFilesTest, APipeThatNobodyReadsHoldsNobodyUp) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  const int reader = open(path_.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  {
    AccessLogFiles files(turn_, stats_);
    const RequestRecord record = To(path_);
    for (int i = 0; i < 10'000; ++i) files.Write(record);
    EXPECT_GT(Dropped(), 0u);
    // What comes out is whole lines.
    std::string got;
    std::string block(65536, '\0');
    for (ssize_t n = 1; n > 0; files.Flush()) {
      n = read(reader, block.data(), block.size());
      if (n > 0) got.append(block.data(), static_cast<size_t>(n));
    }
    const std::string line = AccessLogLine(record);
    EXPECT_EQ(got.size() % line.size(), 0u);
    EXPECT_EQ(got.size() / line.size() + Dropped(), 10'000u);
  }
  close(reader);
}

TEST_F(AccessLogFilesTest, StandardOutputIsALogToo) {
  ::testing::internal::CaptureStdout();
  AccessLogFiles(turn_, stats_).Write(To("/dev/stdout"));
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), AccessLogLine(To("")));
}

}  // namespace
}  // namespace pillion::exporting
