// A client codec and a server codec talking to each other in memory.
#include "sidecar/http2/codec.h"

#include <gtest/gtest.h>

#include <string>

#include "sidecar/http2/event_text.h"
#include "sidecar/http2/frames.h"

namespace pillion::http2 {
namespace {

using Kind = http::ContentLength::Kind;

http::RequestHead Request(std::string method = "GET", std::string path = "/") {
  http::RequestHead head;
  head.method = http::ParseMethod(method);
  head.method_text = std::move(method);
  head.path = std::move(path);
  head.authority = "a";
  head.has_authority = true;
  head.scheme = "http";
  return head;
}

http::ResponseHead Response(uint16_t status = 200, http::ContentLength content = {Kind::kUnsized, 0}) {
  http::ResponseHead head;
  head.status = status;
  head.content = content;
  return head;
}

void Send(Codec& codec, StreamId id, std::string_view text) {
  SliceQueue queue;
  queue.AppendCopy(text);
  codec.SendContent(id, queue);
  EXPECT_TRUE(queue.empty());
}

// Both ends, with what each of them saw.
struct Pair {
  explicit Pair(size_t fragment_bytes = SIZE_MAX, const Limits& client_limits = {},
                const Limits& server_limits = {})
      : client(Role::kClient, client_limits), server(Role::kServer, server_limits), fragment(fragment_bytes) {
    Exchange();
    seen.Clear();
    answered.Clear();
  }
  bool Move(Codec& from, Codec& to, EventText& to_log) {
    const std::string bytes = Drain(from);
    for (size_t at = 0; at < bytes.size(); at += std::min(fragment, bytes.size() - at)) {
      fed = to.Feed(std::string_view(bytes).substr(at, fragment)) && fed;
      to_log.Take(to, release);
    }
    return !bytes.empty();
  }
  void Exchange() {
    while (true) {
      bool moved = Move(client, server, seen);
      answered.Take(client, release);
      moved = Move(server, client, answered) || moved;
      seen.Take(server, release);
      if (!moved) return;
    }
  }
  StreamId Submit(const http::RequestHead& head, bool end = true) {
    bool too_large = false;
    return client.SubmitRequest(head, end, &too_large);
  }
  Codec client;
  Codec server;
  EventText seen;      // by the server
  EventText answered;  // by the client
  size_t fragment;
  bool release = true;
  bool fed = true;
};

class Codecs : public testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(Fragments, Codecs, testing::Values(1, 2, 3, 4, 5, 6, 7, 8, 16, 31, SIZE_MAX));

TEST_P(Codecs, CarryARequestAndItsResponse) {
  Pair pair(GetParam());
  http::RequestHead head = Request("POST", "/p?q");
  head.content = {Kind::kSized, 5};
  head.headers.Add("X-Name", "Value");
  const StreamId id = pair.Submit(head, false);
  EXPECT_EQ(id, 1);
  Send(pair.client, id, "hello");
  pair.client.FinishContent(id);
  pair.Exchange();
  EXPECT_EQ(pair.seen.text(), "1:POST<http|a|/p?q|0 sized:5[x-name=Value]> 1:(hello) 1:end ");
  http::ResponseHead hint = Response(103);
  hint.headers.Add("link", "x");
  pair.server.SubmitInformational(id, hint);
  EXPECT_TRUE(pair.server.SubmitResponse(id, Response(), false));
  Send(pair.server, id, "wor");
  Send(pair.server, id, "ld");
  http::HeaderList trailers;
  trailers.Add("Grpc-Status", "0");
  pair.server.SendTrailers(id, trailers);
  pair.Exchange();
  EXPECT_EQ(pair.answered.text(),
            "1:103<none[link=x]> 1:200<unsized> 1:(world) 1:trailers[grpc-status=0] 1:end 1:closed ");
  EXPECT_EQ(pair.seen.text(), "1:POST<http|a|/p?q|0 sized:5[x-name=Value]> 1:(hello) 1:end 1:closed ");
  EXPECT_EQ(pair.client.open_streams(), 0u);
  EXPECT_EQ(pair.server.open_streams(), 0u);
  EXPECT_TRUE(pair.fed);
}

TEST_P(Codecs, SayHowLongContentIs) {
  struct Case {
    const char* method;
    uint16_t status;
    http::ContentLength content;
    std::optional<uint64_t> declared;
    const char* expected;
  };
  for (const Case& c : {Case{"GET", 200, {Kind::kSized, 0}, {}, "1:200<sized:0> 1:end 1:closed "},
                        Case{"GET", 200, {Kind::kSized, 0}, 0, "1:200<sized:0 declared:0> 1:end 1:closed "},
                        Case{"HEAD", 200, {Kind::kNone, 0}, 7, "1:200<none declared:7> 1:end 1:closed "},
                        Case{"HEAD", 200, {Kind::kNone, 0}, {}, "1:200<none> 1:end 1:closed "},
                        Case{"GET", 304, {Kind::kNone, 0}, 7, "1:304<none declared:7> 1:end 1:closed "},
                        Case{"GET", 204, {Kind::kNone, 0}, 7, "1:204<none> 1:end 1:closed "}}) {
    Pair pair(GetParam());
    pair.Submit(Request(c.method));
    pair.Exchange();
    EXPECT_EQ(pair.seen.text(), "1:" + std::string(c.method) + "<http|a|/|0 none> 1:end ");
    http::ResponseHead head = Response(c.status, c.content);
    head.declared_length = c.declared;
    EXPECT_TRUE(pair.server.SubmitResponse(1, head, true));
    pair.Exchange();
    EXPECT_EQ(pair.answered.text(), c.expected);
  }
}

TEST(Codec, TrailersOnlyAfterAnEmptyBody) {
  Pair pair;
  const StreamId id = pair.Submit(Request("POST"), false);
  http::HeaderList trailers;
  trailers.Add("a", "b");
  pair.client.SendTrailers(id, trailers);
  pair.Exchange();
  EXPECT_EQ(pair.seen.text(), "1:POST<http|a|/|0 unsized> 1:trailers[a=b] 1:end ");
  EXPECT_TRUE(pair.server.SubmitResponse(id, Response(), false));
  pair.server.SendTrailers(id, http::HeaderList());
  pair.Exchange();
  EXPECT_EQ(pair.answered.text(), "1:200<unsized> 1:end 1:closed ");
}

TEST(Codec, FieldsOfOneHopAreNotSent) {
  Pair pair;
  http::RequestHead head = Request();
  for (const char* name : {"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade",
                           "Host", "HTTP2-Settings", "Content-Length"}) {
    head.headers.Add(name, "5");
  }
  head.headers.Add("TE", "gzip");
  head.headers.Add("te", "trailers");
  pair.Submit(head);
  pair.Exchange();
  EXPECT_EQ(pair.seen.text(), "1:GET<http|a|/|0 none[te=trailers]> 1:end ");
}

TEST(Codec, TargetFormsSurvive) {
  Pair pair;
  http::RequestHead head = Request("OPTIONS", "*");
  head.form = http::TargetForm::kAsterisk;
  pair.Submit(head);
  head = Request("CONNECT", "");
  head.form = http::TargetForm::kAuthority;
  head.authority = "b:1";
  pair.Submit(head, false);
  pair.Exchange();
  EXPECT_EQ(pair.seen.text(), "1:OPTIONS<http|a|*|3 none> 1:end 3:CONNECT<|b:1||2 none> ");
}

TEST(Codec, AResetReachesThePeerAndClosesBothSidesOnce) {
  Pair pair;
  const StreamId id = pair.Submit(Request("POST"), false);
  pair.Exchange();
  pair.seen.Clear();
  Send(pair.client, id, "lost");
  pair.client.Reset(id, ErrorCode::kCancel);
  pair.client.Reset(id, ErrorCode::kProtocolError);
  EXPECT_EQ(pair.client.Unsent(id), 0u);
  pair.Exchange();
  EXPECT_EQ(pair.seen.text(), "1:closed=8,peer ");
  EXPECT_EQ(pair.answered.text(), "1:closed=8 ");
}

// Else the peer would end the connection, and with it the streams of all others.
TEST(Codec, NoMoreStreamsAreOpenedThanMayBeResetEarly) {
  constexpr int64_t kSecond = 1'000'000'000;
  Limits limits;
  limits.max_own_resets = 10;
  limits.own_resets_per_second = 2;
  Pair pair(SIZE_MAX, limits);
  std::vector<StreamId> ids;
  for (uint32_t left = 10; left > 0; --left) {
    EXPECT_EQ(pair.client.StreamRoom(), left);
    ids.push_back(pair.Submit(Request()));
  }
  EXPECT_EQ(pair.client.StreamRoom(), 0u);
  pair.Exchange();
  pair.server.SubmitInformational(ids[0], Response(103));
  pair.Exchange();
  EXPECT_EQ(pair.client.StreamRoom(), 0u) << "not answered yet";
  EXPECT_TRUE(pair.server.SubmitResponse(ids[0], Response(), false));
  pair.Exchange();
  EXPECT_EQ(pair.client.StreamRoom(), 1u);
  pair.client.Reset(ids[0], ErrorCode::kCancel);
  pair.client.Reset(ids[1], ErrorCode::kCancel, true);
  EXPECT_EQ(pair.client.StreamRoom(), 2u) << "one was answered, the other had its time";
  pair.client.Reset(ids[2], ErrorCode::kCancel);
  pair.client.Reset(ids[3], ErrorCode::kCancel);
  EXPECT_EQ(pair.client.StreamRoom(), 2u);
  pair.server.Reset(ids[4], ErrorCode::kRefusedStream);
  pair.Exchange();
  EXPECT_EQ(pair.client.StreamRoom(), 3u);
  pair.client.Refill(kSecond / 2);
  EXPECT_EQ(pair.client.StreamRoom(), 4u);
  pair.client.Refill(60 * kSecond);
  EXPECT_EQ(pair.client.StreamRoom(), 5u) << "five are open";
}

// Its trailers do not fit: a reset like any other.
TEST(Codec, TrailersThatDoNotFitAreAnEarlyResetUnlessTheyComeLate) {
  Limits limits;
  limits.max_own_resets = 10;
  Pair pair(SIZE_MAX, limits);
  http::HeaderList large;
  for (int i = 0; i < 70; ++i) large.Add("x", std::string(1000, 'v'));
  for (const bool late : {true, false}) {
    const StreamId id = pair.Submit(Request("POST"), false);
    EXPECT_FALSE(pair.client.SendTrailers(id, large, late));
    pair.Exchange();
    EXPECT_EQ(pair.client.StreamRoom(), late ? 10u : 9u);
  }
}

// They would wait in the library for the streams that are open, which may never end.
TEST(Codec, HeadsThatANewLimitHoldsBackAreRefused) {
  Codec client(Role::kClient, Limits());
  const auto ask = [&] {
    bool too_large = false;
    return client.SubmitRequest(Request(), true, &too_large);
  };
  const auto heads = [&] {
    std::string ids;
    for (const FrameSeen& frame : Cut(Drain(client))) {
      if (frame.type == kHeaders) ids += std::to_string(frame.stream) + " ";
    }
    return ids;
  };
  EventText seen;
  EXPECT_TRUE(client.Feed(Raw(kSettings, 0, 0, "")));
  EXPECT_EQ(ask(), 1);
  EXPECT_EQ(heads(), "1 ");
  for (const StreamId id : {3, 5, 7}) EXPECT_EQ(ask(), id);
  EXPECT_TRUE(client.Feed(Raw(kSettings, 0, 0, Setting(3, 2))));
  seen.Take(client);
  EXPECT_EQ(seen.text(), "7:closed=7,refused,unsent 5:closed=7,refused,unsent ");
  EXPECT_EQ(client.StreamRoom(), 0u);
  EXPECT_EQ(heads(), "3 ");
  EXPECT_TRUE(client.Feed(Head(1, {{":status", "204"}}) + Head(3, {{":status", "204"}})));
  EXPECT_EQ(client.StreamRoom(), 2u);
  EXPECT_EQ(ask(), 9);
  EXPECT_EQ(heads(), "9 ");
  EXPECT_EQ(client.open_streams(), 1u);
}

TEST(Codec, ARefusedStreamIsRefusedOnlyByThePeersWord) {
  Pair pair;
  pair.Submit(Request());
  pair.Submit(Request());
  pair.Exchange();
  pair.server.Reset(1, ErrorCode::kRefusedStream);
  pair.client.Reset(3, ErrorCode::kRefusedStream);
  pair.Exchange();
  EXPECT_EQ(pair.answered.text(), "3:closed=7 1:closed=7,peer,refused ");
}

TEST(Codec, ARequestResetBeforeItWasSentLeavesNoTrace) {
  Pair pair;
  const StreamId id = pair.Submit(Request());
  EXPECT_TRUE(pair.client.HeadUnsent(id));
  pair.client.Reset(id, ErrorCode::kCancel);
  pair.Exchange();
  EXPECT_EQ(pair.seen.text(), "");
  EXPECT_EQ(pair.answered.text(), "1:closed=8,unsent ");
  const StreamId next = pair.Submit(Request());
  EXPECT_TRUE(pair.client.HeadUnsent(next));
  SliceQueue out;
  pair.client.Output(out, 1);
  EXPECT_FALSE(pair.client.HeadUnsent(next));
}

TEST(Codec, GoAwayClosesWhatIsAboveIt) {
  Pair pair;
  pair.Submit(Request());
  pair.Exchange();
  pair.answered.Clear();
  EXPECT_TRUE(pair.server.SubmitResponse(1, Response(), false));
  pair.server.GoAway(false, ErrorCode::kNoError);
  EXPECT_TRUE(pair.server.draining());
  const StreamId late = pair.Submit(Request());
  pair.Exchange();
  EXPECT_EQ(pair.answered.text(), "1:200<unsized> goaway:2147483647=0 ");
  EXPECT_TRUE(pair.client.draining());
  EXPECT_EQ(pair.client.StreamRoom(), 0u);
  EXPECT_EQ(pair.Submit(Request()), 0);
  pair.answered.Clear();
  pair.server.GoAway(true, ErrorCode::kNoError);
  pair.Exchange();
  EXPECT_EQ(late, 3);
  EXPECT_EQ(pair.answered.text(), "goaway:3=0 ");  // it came in time
  EXPECT_TRUE(pair.server.SubmitResponse(3, Response(), true));
  pair.server.FinishContent(1);
  EXPECT_FALSE(pair.client.finished());
  pair.Exchange();
  EXPECT_TRUE(pair.client.finished());
  EXPECT_TRUE(pair.server.finished());
}

TEST(Codec, RequestsThatAGoAwayOvertookAreRefusedOrUnsent) {
  Codec client(Role::kClient, Limits{});
  EventText log;
  bool too_large = false;
  EXPECT_EQ(client.SubmitRequest(Request(), true, &too_large), 1);
  EXPECT_EQ(client.SubmitRequest(Request(), true, &too_large), 3);
  Drain(client);
  EXPECT_EQ(client.SubmitRequest(Request(), true, &too_large), 5);
  EXPECT_TRUE(client.Feed(Raw(kSettings, 0, 0, "") + Raw(kGoAwayFrame, 0, 0, U32(1) + U32(0))));
  Drain(client);
  log.Take(client);
  EXPECT_EQ(log.text(), "goaway:1=0 3:closed=7,refused 5:closed=7,refused,unsent ");
  EXPECT_EQ(client.open_streams(), 1u);
}

TEST(Codec, ALostConnectionClosesEveryStreamOnce) {
  Pair pair;
  pair.Submit(Request());
  pair.Submit(Request());
  pair.Exchange();
  pair.Submit(Request());
  pair.client.ConnectionLost();
  pair.client.ConnectionLost();
  pair.answered.Take(pair.client);
  EXPECT_EQ(pair.answered.text(), "1:closed=8 3:closed=8 5:closed=8,unsent ");
  EXPECT_EQ(pair.Submit(Request()), 0);
  EXPECT_FALSE(pair.client.Feed("x"));
  EXPECT_TRUE(pair.client.finished());
  Drain(pair.client);
  pair.answered.Take(pair.client);
  EXPECT_EQ(pair.answered.text(), "1:closed=8 3:closed=8 5:closed=8,unsent ");
}

TEST(Codec, ASlowReaderStopsOnlyItsOwnStream) {
  Limits limits;
  limits.stream_window_bytes = 1000;
  limits.connection_window_bytes = 70'000;
  limits.send_buffer_bytes = 5000;
  Pair pair(SIZE_MAX, limits, limits);
  pair.release = false;  // nobody reads
  pair.Submit(Request("POST"), false);
  pair.Submit(Request("POST"), false);
  pair.Exchange();
  pair.seen.Clear();
  EXPECT_EQ(pair.client.SendRoom(1), 5000u);
  Send(pair.client, 1, std::string(5000, 'x'));
  EXPECT_EQ(pair.client.SendRoom(1), 0u);
  pair.Exchange();
  EXPECT_EQ(pair.seen.text(), "1:(" + std::string(1000, 'x') + ") ");
  EXPECT_EQ(pair.client.Unsent(1), 4000u);
  EXPECT_EQ(pair.client.SendRoom(1), 1000u);
  EXPECT_EQ(pair.answered.text(), "");  // more than half is still queued
  // The neighbour moves a hundred times the connection window, the stopped stream notwithstanding.
  size_t sent = 0;
  pair.seen.Clear();
  pair.release = true;
  while (sent < 7'000'000) {
    const size_t piece = pair.client.SendRoom(3);
    ASSERT_GT(piece, 0u);
    Send(pair.client, 3, std::string(piece, 'y'));
    sent += piece;
    pair.Exchange();
    ASSERT_EQ(pair.seen.text().size(), piece + 5);
    pair.seen.Clear();
  }
  EXPECT_EQ(pair.client.Unsent(1), 4000u);
  pair.answered.Clear();
  pair.server.ReleaseCredit(1, 1000);
  pair.Exchange();
  EXPECT_EQ(pair.client.Unsent(1), 0u);
  EXPECT_NE(pair.answered.text().find("1:writable"), std::string::npos);
}

TEST(Codec, AResetStreamGivesItsConnectionCreditBack) {
  Limits limits;
  limits.connection_window_bytes = 70'000;
  Pair pair(SIZE_MAX, limits, limits);
  pair.release = false;
  for (int i = 0; i < 50; ++i) {
    const StreamId id = pair.Submit(Request("POST"), false);
    Send(pair.client, id, std::string(60'000, 'x'));
    pair.Exchange();
    ASSERT_EQ(pair.client.Unsent(id), 0u) << id;
    pair.server.Reset(id, ErrorCode::kCancel);
    pair.Exchange();
    pair.seen.Clear();
  }
}

TEST(Codec, OutputIsBoundedAndKeepsOrder) {
  Pair pair;
  const StreamId id = pair.Submit(Request("POST"), false);
  std::string text;
  for (int i = 0; text.size() < 60'000; ++i) text += std::to_string(i) + " ";
  Send(pair.client, id, text);
  pair.client.FinishContent(id);
  std::string all;
  while (pair.client.WantsOutput()) {
    SliceQueue out;
    pair.client.Output(out, 1000);
    if (out.empty()) break;
    EXPECT_LT(out.bytes(), 1000u + 16'384 + 9);
    all += out.ToString();
  }
  EXPECT_TRUE(pair.server.Feed(all));
  pair.seen.Take(pair.server);
  EXPECT_EQ(pair.seen.text(), "1:POST<http|a|/|0 unsized> 1:(" + text + ") 1:end ");
}

TEST(Codec, StreamRoomFollowsThePeersSettings) {
  Codec fresh(Role::kClient, Limits{});
  EXPECT_EQ(fresh.StreamRoom(), 100u);  // until its SETTINGS say more
  Limits limits;
  limits.max_concurrent_streams = 3;
  Pair pair(SIZE_MAX, {}, limits);
  EXPECT_EQ(pair.client.StreamRoom(), 3u);
  pair.Submit(Request());
  pair.Submit(Request());
  EXPECT_EQ(pair.client.StreamRoom(), 1u);
  pair.Exchange();
  EXPECT_TRUE(pair.server.SubmitResponse(1, Response(), true));
  pair.Exchange();
  EXPECT_EQ(pair.client.StreamRoom(), 2u);
}

TEST(Codec, AQueuedRequestKeepsItsFields) {
  Limits limits;
  limits.max_concurrent_streams = 1;
  Pair pair(SIZE_MAX, {}, limits);
  {
    http::RequestHead head = Request();
    pair.Submit(head);
    head.path = "/second";
    head.headers.Add("x-long", std::string(200, 'v'));
    pair.Submit(head);
  }
  pair.Exchange();
  pair.seen.Clear();
  EXPECT_TRUE(pair.server.SubmitResponse(1, Response(), true));
  pair.Exchange();
  EXPECT_EQ(pair.seen.text(),
            "1:closed 3:GET<http|a|/second|0 none[x-long=" + std::string(200, 'v') + "]> 3:end ");
}

TEST(Codec, AHeadTooLargeForThePeerIsRefusedAlone) {
  Limits small;
  small.max_head_bytes = 500;
  Pair pair(SIZE_MAX, {}, small);
  http::RequestHead head = Request();
  head.headers.Add("x", std::string(400, 'v'));
  bool too_large = false;
  EXPECT_EQ(pair.client.SubmitRequest(head, true, &too_large), 0);
  EXPECT_TRUE(too_large);
  pair.Submit(Request());
  pair.Exchange();
  EXPECT_EQ(pair.seen.text(), "1:GET<http|a|/|0 none> 1:end ");
  http::ResponseHead large = Response();
  large.headers.Add("x", std::string(70'000, 'v'));
  EXPECT_FALSE(pair.server.SubmitResponse(1, large, true));
  EXPECT_TRUE(pair.server.SubmitResponse(1, Response(431), true));
  pair.Exchange();
  EXPECT_EQ(pair.answered.text(), "1:431<sized:0> 1:end 1:closed ");
}

TEST(Codec, AHeadOfTheLargestSizePasses) {
  Pair pair;
  http::RequestHead head = Request();
  head.headers.Add("x", std::string(60 * 1024 - 300, '\xff'));  // bytes that Huffman coding makes longer
  pair.Submit(head);
  pair.Exchange();
  EXPECT_EQ(pair.seen.text(),
            "1:GET<http|a|/|0 none[x=" + std::string(60 * 1024 - 300, '\xff') + "]> 1:end ");
}

TEST(Codec, ALimitAboveWhatNghttp2AllowsByItselfHolds) {
  Limits limits;
  limits.max_sent_head_bytes = limits.max_head_bytes = size_t{120} * 1024;
  Pair pair(SIZE_MAX, limits, limits);
  http::RequestHead head = Request();
  std::string expected;
  for (int i = 0; i < 90; ++i) {
    head.headers.Add("x", std::string(1000, '\xff'));
    expected += "[x=" + std::string(1000, '\xff') + "]";
  }
  pair.Submit(head);
  pair.Exchange();
  EXPECT_EQ(pair.seen.text(), "1:GET<http|a|/|0 none" + expected + "> 1:end ");
}

TEST(Codec, TheContentOfARefusedHeadIsReadAway) {
  Limits limits;
  limits.stream_window_bytes = 1000;
  limits.max_fields = 5;
  Pair pair(SIZE_MAX, {}, limits);
  http::RequestHead head = Request("POST");
  for (int i = 0; i < 6; ++i) head.headers.Add("x", "y");
  const StreamId id = pair.Submit(head, false);
  Send(pair.client, id, std::string(20'000, 'x'));
  pair.Exchange();
  EXPECT_EQ(pair.seen.text(), "1:request!head_too_large ");
  EXPECT_EQ(pair.client.Unsent(id), 0u);
}

TEST(Codec, PingsAreTracked) {
  Pair pair;
  EXPECT_FALSE(pair.client.ping_outstanding());
  pair.client.Ping();
  EXPECT_TRUE(pair.client.ping_outstanding());
  pair.Exchange();
  EXPECT_FALSE(pair.client.ping_outstanding());
}

TEST(Codec, HeadsStayValidWhileAHeaderBlockIsHalfReceived) {
  Codec server(Role::kServer, Limits{});
  const std::string whole = Block(Get({{"x", std::string(100, 'v')}}));
  EXPECT_TRUE(server.Feed(ClientStart() + Head(1, Get({{"n", "1"}})) +
                          Raw(kHeaders, kEndStream, 3, whole.substr(0, 40))));
  EventText log;
  log.Take(server);
  EXPECT_EQ(log.text(), "1:GET<http|a|/|0 none[n=1]> 1:end ");
  log.Clear();
  EXPECT_TRUE(server.Feed(Raw(kContinuation, kEndHeaders, 3, whole.substr(40)) + Head(5, Get())));
  log.Take(server);
  EXPECT_EQ(log.text(),
            "3:GET<http|a|/|0 none[x=" + std::string(100, 'v') + "]> 3:end 5:GET<http|a|/|0 none> 5:end ");
}

TEST(Codec, FieldsThatDifferOnEachRequestStayOutOfTheTable) {
  // The same request again costs few bytes only if nothing unique pushed the rest out of the 4 KiB table.
  Pair pair;
  for (int i = 0; i < 200; ++i) {
    http::RequestHead head = Request("GET", "/items?id=" + std::to_string(i));
    head.headers.Add("user-agent", std::string(100, 'u'));
    head.headers.Add("x-kept", std::string(50, 'k'));
    for (const char* name : {"x-request-id", "traceparent", "cookie"}) {
      head.headers.Add(name, std::to_string(i) + std::string(70, 'r'));
    }
    pair.Submit(head);
    const std::string bytes = Drain(pair.client);
    if (i > 0) EXPECT_LT(bytes.size(), 9u + 3 * 75 + 60) << i;
    EXPECT_TRUE(pair.server.Feed(bytes));
    pair.server.ClearEvents();
    pair.server.Reset(2 * i + 1, ErrorCode::kCancel);
    EXPECT_TRUE(pair.client.Feed(Drain(pair.server)));
    pair.client.ClearEvents();
    pair.server.ClearEvents();
  }
}

TEST(Codec, AConnectionWhoseStreamIdsAreUsedUpIsLeft) {
  Limits limits;
  limits.last_stream_id = 5;
  Pair pair(SIZE_MAX, limits);
  EXPECT_EQ(pair.Submit(Request()), 1);
  EXPECT_EQ(pair.Submit(Request()), 3);
  EXPECT_FALSE(pair.client.draining());
  EXPECT_EQ(pair.Submit(Request()), 5);
  EXPECT_TRUE(pair.client.draining());
  EXPECT_EQ(pair.client.StreamRoom(), 0u);
  EXPECT_EQ(pair.Submit(Request()), 0);
  pair.Exchange();
  EXPECT_EQ(pair.server.open_streams(), 3u);  // those that it took are served
}

TEST(Codec, ResponsesThatWaitForASlowPeerAreNotAFlood) {
  Pair pair;
  http::ResponseHead large = Response();
  large.headers.Add("x", std::string(1000, 'v'));
  for (int i = 0; i < 200; ++i) pair.Submit(Request());
  pair.Exchange();
  for (StreamId id = 1; id < 400; id += 2) EXPECT_TRUE(pair.server.SubmitResponse(id, large, true));
  // Nothing of it can leave yet, and the peer sends what has to be answered.
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(pair.server.Feed(Raw(kPing, 0, 0, "12345678"))) << i;
  EXPECT_EQ(pair.server.error_detail(), "");
  pair.Exchange();
  EXPECT_EQ(pair.client.open_streams(), 0u);
}

TEST(Codec, InformationalHeadsDoNotPileUp) {
  Limits limits;
  limits.max_queued_informational = 3;
  Pair pair(SIZE_MAX, {}, limits);
  const StreamId id = pair.Submit(Request());
  pair.Exchange();
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 100; ++i) pair.server.SubmitInformational(id, Response(103));
    pair.Exchange();
    const std::string& text = pair.answered.text();
    size_t count = 0;
    for (size_t at = text.find("103"); at != std::string::npos; at = text.find("103", at + 1)) ++count;
    EXPECT_EQ(count, 3u) << text;
    pair.answered.Clear();
  }
  EXPECT_TRUE(pair.server.SubmitResponse(id, Response(), true));
  pair.Exchange();
  EXPECT_EQ(pair.client.open_streams(), 0u);
}

TEST(Codec, AnEarlyResponseArrivesWholeBeforeTheRequestIsRefused) {
  Pair pair;
  bool too_large = false;
  const StreamId id = pair.client.SubmitRequest(Request("POST"), false, &too_large);
  Send(pair.client, id, "part of it");
  pair.Exchange();
  pair.answered.Clear();
  EXPECT_TRUE(pair.server.SubmitResponse(id, Response(413), false));
  Send(pair.server, id, "too much");
  pair.server.FinishContent(id);
  pair.server.StopReceiving(id);
  pair.Exchange();
  EXPECT_EQ(pair.server.open_streams(), 0u);
  EXPECT_EQ(pair.client.open_streams(), 0u);
  const std::string& text = pair.answered.text();
  EXPECT_NE(text.find("413"), std::string::npos) << text;
  EXPECT_NE(text.find("too much"), std::string::npos) << text;
}

}  // namespace
}  // namespace pillion::http2
