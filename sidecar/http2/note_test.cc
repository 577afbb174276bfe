// What a server tells its clients beside HTTP: Codec::SendNote.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "sidecar/http2/codec.h"
#include "sidecar/http2/event_text.h"
#include "sidecar/http2/frames.h"

namespace pillion::http2 {
namespace {

constexpr uint8_t kNote = 0xF7;

struct Notes : testing::Test {
  // Until neither has anything to say.
  void Exchange() {
    while (Feed(server, Drain(client)) || Feed(client, Drain(server))) {
    }
  }
  bool Feed(Codec& codec, const std::string& bytes) {
    EXPECT_TRUE(codec.Feed(bytes));
    (&codec == &client ? seen : other).Take(codec);
    return !bytes.empty();
  }
  Codec client{Role::kClient, {}};
  Codec server{Role::kServer, {}, "first"};
  EventText seen;
  EventText other;
};

std::vector<std::string> Kinds(std::string_view bytes) {
  std::vector<std::string> kinds;
  for (const FrameSeen& frame : Cut(bytes)) {
    if (frame.type == kSettings) kinds.push_back((frame.flags & kAck) != 0 ? "ack" : "settings");
    if (frame.type == kNote) kinds.push_back(frame.payload);
  }
  return kinds;
}

TEST_F(Notes, TheFirstOneComesBeforeTheClientIsAcknowledged) {
  ASSERT_TRUE(server.Feed(Drain(client)));
  EXPECT_EQ(Kinds(Drain(server)), (std::vector<std::string>{"settings", "first", "ack"}));
}

TEST_F(Notes, AClientKnowsWhenNoneComes) {
  Codec silent(Role::kServer, {});
  EXPECT_FALSE(client.note_settled());
  const std::string settings = Drain(silent);
  ASSERT_TRUE(client.Feed(settings));
  EXPECT_TRUE(client.settled());
  EXPECT_FALSE(client.note_settled()) << "one may still come";
  ASSERT_TRUE(silent.Feed(Drain(client)));
  ASSERT_TRUE(client.Feed(Drain(silent)));
  EXPECT_TRUE(client.note_settled());
  EXPECT_EQ(client.note(), "");
}

TEST_F(Notes, AClientKnowsTheLast) {
  Feed(client, Drain(server));
  EXPECT_TRUE(client.note_settled());
  EXPECT_EQ(client.note(), "first");
  Exchange();
  server.SendNote("second");
  Exchange();
  EXPECT_EQ(client.note(), "second");
  EXPECT_EQ(seen.text(), "note(first) note(second) ");
  server.SendNote("third");
  server.SendNote("fourth");
  Exchange();
  EXPECT_EQ(client.note(), "fourth");
  server.SendNote("");
  Exchange();
  EXPECT_EQ(client.note(), "");
  server.SendNote(std::string(kMaxNoteBytes, 'x'));
  Exchange();
  EXPECT_EQ(client.note(), std::string(kMaxNoteBytes, 'x'));
}

TEST_F(Notes, ItMayComeInPiecesAndBetweenTheFramesOfStreams) {
  Exchange();
  http::RequestHead head;
  head.path = "/";
  head.scheme = "http";
  head.authority = "a";
  head.has_authority = true;
  bool too_large = false;
  const StreamId id = client.SubmitRequest(head, true, &too_large);
  Exchange();
  http::ResponseHead answer;
  answer.headers.Add("x-large", std::string(30'000, 'y'));  // HEADERS and CONTINUATION
  ASSERT_TRUE(server.SubmitResponse(id, answer, false));
  SliceQueue content;
  content.AppendCopy("content");
  server.SendContent(id, content);
  std::string bytes;
  for (int i = 0; i < 4; ++i) {
    server.SendNote("note " + std::to_string(i));
    SliceQueue out;
    server.Output(out, 1);
    bytes += out.ToString();
  }
  bytes += Drain(server);
  seen.Clear();
  for (const char byte : bytes) Feed(client, std::string(1, byte));
  EXPECT_EQ(client.note(), "note 3");
  EXPECT_NE(seen.text().find("1:(content)"), std::string::npos);
  EXPECT_EQ(std::ranges::count(seen.text(), 'y'), 30'000);
}

TEST_F(Notes, OneThatIsTooLongIsNone) {
  Exchange();
  for (const size_t size : {kMaxNoteBytes + 1, size_t{16'384}}) {
    Feed(client, Raw(kNote, 0, 0, "good"));
    EXPECT_EQ(client.note(), "good");
    Feed(client, Raw(kNote, 0, 0, std::string(size, 'x')));
    EXPECT_EQ(client.note(), "");
    EXPECT_TRUE(client.note_settled());
  }
}

TEST_F(Notes, AServerTakesNone) {
  Exchange();
  other.Clear();
  EXPECT_TRUE(server.Feed(Raw(kNote, 0, 0, "of a client")));
  other.Take(server);
  EXPECT_EQ(other.text(), "");
  EXPECT_EQ(server.note(), "first");
}

TEST_F(Notes, AFloodOfThemEndsTheConnection) {
  Exchange();
  const std::string note = Raw(kNote, 0, 0, "again");
  bool fed = true;
  size_t count = 0;
  for (; fed && count < 20'000; ++count) {
    fed = client.Feed(note);
    client.ClearEvents();
  }
  EXPECT_FALSE(fed);
  EXPECT_GT(count, 9'000u);
  EXPECT_EQ(client.flood(), Flood::kFrames);
}

}  // namespace
}  // namespace pillion::http2
