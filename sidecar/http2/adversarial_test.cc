// Peers that break the rules, as raw frames: what is delivered, what they are told, and whether the
// connection lives on. Each case runs at many fragment sizes.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sidecar/http2/codec.h"
#include "sidecar/http2/event_text.h"
#include "sidecar/http2/frames.h"

namespace pillion::http2 {
namespace {

struct Case {
  std::string name;
  std::string bytes;
  std::string events;
  std::string told;  // Verdict of what we sent
  bool lives = true;
};

const std::string kGet1 = "1:GET<http|a|/|0 none> 1:end ";
const std::string kNext = "9:GET<http|a|/|0 none> 9:end ";
const std::string kReset1 = "RST 1 code=1 ";

// `heads`: bytes of fields after which it is to stop, and to go on.
void Run(Codec& codec, const Case& c, size_t fragment, size_t heads = SIZE_MAX) {
  EventText log;
  std::string out;
  bool lives = true;
  for (size_t at = 0; at < c.bytes.size() && lives; at += std::min(fragment, c.bytes.size() - at)) {
    std::string_view part = std::string_view(c.bytes).substr(at, fragment);
    do {
      size_t budget = heads;
      lives = codec.FeedSome(part, budget);
      log.Take(codec);
      if (lives) out += Drain(codec);
      log.Take(codec);
    } while (lives && codec.stopped());
    EXPECT_TRUE(part.empty() || !lives) << c.name;
  }
  out += Drain(codec);
  log.Take(codec);
  EXPECT_EQ(lives, c.lives) << c.name << " at fragments of " << fragment << ": " << codec.error_detail();
  EXPECT_EQ(codec.finished(), !c.lives) << c.name;
  EXPECT_EQ(log.by_stream(), c.events) << c.name << " at fragments of " << fragment;
  EXPECT_EQ(Verdict(out), c.told) << c.name << " at fragments of " << fragment;
  if (!c.lives) EXPECT_FALSE(codec.error_detail().empty()) << c.name;
}

void CheckServer(const std::vector<Case>& cases, const Limits& limits = {}) {
  for (Case c : cases) {
    c.bytes = ClientStart() + c.bytes;
    for (const size_t fragment : {1, 2, 3, 4, 5, 6, 7, 8, 16, 31, 1 << 30}) {
      Codec server(Role::kServer, limits);
      Run(server, c, fragment);
    }
    for (const size_t fragment : {7, 1 << 30}) {
      Codec server(Role::kServer, limits);
      Run(server, c, fragment, 1);
    }
  }
}

// The client has sent "GET /" (HEAD when `head`) as stream 1 and a POST without end as stream 3.
void CheckClient(const std::vector<Case>& cases, const Limits& limits = {}) {
  for (Case c : cases) {
    c.bytes = Raw(kSettings, 0, 0, "") + c.bytes;
    for (const size_t fragment : {1, 2, 3, 4, 5, 6, 7, 8, 16, 31, 1 << 30}) {
      Codec client(Role::kClient, limits);
      http::RequestHead head;
      head.path = "/";
      head.authority = "a";
      head.has_authority = true;
      bool too_large = false;
      EXPECT_EQ(client.SubmitRequest(head, true, &too_large), 1);
      head.method_text = "POST";
      EXPECT_EQ(client.SubmitRequest(head, false, &too_large), 3);
      Drain(client);
      Run(client, c, fragment);
    }
  }
}

Fields Without(const std::string& name, const Fields& more = {}) {
  Fields fields = Get(more);
  std::erase_if(fields, [&](const auto& f) { return f.first == name; });
  return fields;
}
Fields With(const std::string& name, const std::string& value) {
  Fields fields = Get();
  for (auto& f : fields) {
    if (f.first == name) f.second = value;
  }
  return fields;
}

// A malformed request resets its stream, is never announced, and its neighbour is served.
TEST(Adversary, AMalformedRequestHarmsOnlyItself) {
  std::vector<Case> cases;
  const auto add = [&](const std::string& name, const Fields& fields) {
    cases.push_back({name, Head(1, fields) + Head(9, Get()), kNext, kReset1});
  };
  add("no method", Without(":method"));
  add("no scheme", Without(":scheme"));
  add("no path", Without(":path"));
  add("no authority at all", Without(":authority"));
  add("two paths", Get({{":path", "/"}}));
  add("pseudo-field after a field", [] {
    Fields f = Without(":path", {{"x", "y"}});
    f.push_back({":path", "/"});
    return f;
  }());
  add("unknown pseudo-field", Without("", {{":x", "y"}}));
  add("response pseudo-field", Without("", {{":status", "200"}}));
  add("extended CONNECT to no protocol", [] {
    Fields f = With(":method", "CONNECT");
    f.insert(f.begin(), {":protocol", "web socket"});
    return f;
  }());
  for (const char* name : {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}) {
    add(name, Get({{name, "x"}}));
  }
  add("te", Get({{"te", "gzip"}}));
  add("upper-case name", Get({{"X-Name", "y"}}));
  add("space in name", Get({{"x name", "y"}}));
  add("colon in name", Get({{"x:y", "y"}}));
  add("empty name", Get({{"", "y"}}));
  add("8-bit name", Get({{"x\xe4", "y"}}));
  for (const char* value : {"a\r\nb", "a\nb", "a\rb", "a\x01", " a", "a ", "\ta", "a\x7f"}) {
    add("value " + std::string(value), Get({{"x", value}}));
  }
  add("NUL in value", Get({{"x", std::string("a\0b", 3)}}));
  for (const char* path : {"", "a", "/a b", "/a#b", "/\x80", "*", "http://a/", "/\x01", "/\x7f", "/a\tb"}) {
    add("path " + std::string(path), With(":path", path));
  }
  for (const char* authority : {"", "a b", "u@a", "a/b", "a:b", "[::1", "a?b", "a#"}) {
    add("authority " + std::string(authority), With(":authority", authority));
  }
  for (const char* method : {"", "G T", "G\x01"})
    add("method " + std::string(method), With(":method", method));
  add("host differs from authority", Get({{"host", "b"}}));
  add("two hosts", Without(":authority", {{"host", "a"}, {"host", "a"}}));
  add("bad host", Without(":authority", {{"host", "a/b"}}));
  add("length not a number", Get({{"content-length", "1x"}}));
  add("signed length", Get({{"content-length", "+0"}}));
  add("two lengths", Get({{"content-length", "0"}, {"content-length", "0"}}));
  add("length without content", Get({{"content-length", "5"}}));
  add("CONNECT with a path", With(":method", "CONNECT"));
  add("CONNECT without port", {{":method", "CONNECT"}, {":authority", "b"}});
  CheckServer(cases);
}

TEST(Adversary, WhatIsUnusualButLegalPasses) {
  CheckServer({
      {"host instead of authority", Head(1, Without(":authority", {{"host", "b:8"}})),
       "1:GET<http|b:8|/|0 none> 1:end ", ""},
      {"host equal to authority", Head(1, Get({{"host", "A"}})), kGet1, ""},
      {"cookie crumbs", Head(1, Get({{"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"}, {"cookie", "c=3"}})),
       "1:GET<http|a|/|0 none[x=y][cookie=a=1; b=2; c=3]> 1:end ", ""},
      {"one cookie stays in its place", Head(1, Get({{"cookie", "a=1"}, {"x", "y"}})),
       "1:GET<http|a|/|0 none[cookie=a=1][x=y]> 1:end ", ""},
      {"obs-text", Head(1, Get({{"x", "\xc3\xa4"}, {"y", ""}})),
       "1:GET<http|a|/|0 none[x=\xc3\xa4][y=]> 1:end ", ""},
      {"padding", Raw(kHeaders, kPadded | kEndHeaders | kEndStream, 1, "\x03" + Block(Get()) + "ppp"), kGet1,
       ""},
      {"unknown frame and setting",
       Raw(0xee, 0, 0, "x") + Raw(kSettings, 0, 0, Setting(0x9999, 1)) + Head(1, Get()), kGet1, ""},
      {"priority frames", Raw(kPriority, 0, 5, U32(3) + "\x10") + Head(1, Get()), kGet1, ""},
      {"content that fits its length",
       Head(1, Get({{"content-length", "3"}}), kEndHeaders) + Raw(kData, 0, 1, "ab") + Raw(kData, 0, 1, "") +
           Raw(kData, kEndStream | kPadded, 1, std::string("\x02", 1) + "c" + "pp"),
       "1:GET<http|a|/|0 sized:3> 1:(abc) 1:end ", ""},
      {"trailers", Head(1, Get(), kEndHeaders) + Raw(kData, 0, 1, "ab") + Head(1, {{"t", "u"}}),
       "1:GET<http|a|/|0 unsized> 1:(ab) 1:trailers[t=u] 1:end ", ""},
  });
}

TEST(Adversary, WhatFollowsABadHeadIsJudgedPerStream) {
  const std::string open = Head(1, Get({{"content-length", "3"}}), kEndHeaders);
  const std::string opened = "1:GET<http|a|/|0 sized:3> ";
  const std::string closed = "1:closed=1 ";
  const std::string after = Head(9, Get());
  CheckServer({
      {"too much content", open + Raw(kData, 0, 1, "abc") + Raw(kData, 0, 1, "d") + after,
       opened + "1:(abc) " + closed + kNext, kReset1},
      {"too little content", open + Raw(kData, kEndStream, 1, "a") + after,
       opened + "1:(a) " + closed + kNext, kReset1},
      {"trailers too early", open + Head(1, {{"t", "u"}}) + after, opened + closed + kNext, kReset1},
      {"pseudo-field in trailers", Head(1, Get(), kEndHeaders) + Head(1, {{":path", "/"}}) + after,
       "1:GET<http|a|/|0 unsized> " + closed + kNext, kReset1},
      {"framing field in trailers", Head(1, Get(), kEndHeaders) + Head(1, {{"host", "b"}}) + after,
       "1:GET<http|a|/|0 unsized> " + closed + kNext, kReset1},
      {"length in trailers", Head(1, Get(), kEndHeaders) + Head(1, {{"content-length", "0"}}) + after,
       "1:GET<http|a|/|0 unsized> " + closed + kNext, kReset1},
      {"trailers that do not end", Head(1, Get(), kEndHeaders) + Head(1, {{"t", "u"}}, kEndHeaders) + after,
       "1:GET<http|a|/|0 unsized> " + closed + kNext, kReset1},
      {"the peer's own reset", open + Raw(kRstStream, 0, 1, U32(8)) + after,
       opened + "1:closed=8,peer " + kNext, ""},
  });
}

TEST(Adversary, WhatBreaksTheConnectionClosesEveryStreamOnce) {
  const std::string open = Head(1, Get(), kEndHeaders);
  const std::string dead = "1:GET<http|a|/|0 unsized> 1:closed=1 ";
  const auto goaway = [](uint32_t last, uint32_t code) {
    return "GOAWAY last=" + std::to_string(last) + " code=" + std::to_string(code) + " ";
  };
  CheckServer({
      {"frame too large", open + Raw(kData, 0, 1, std::string(16'385, 'x')), dead, goaway(1, 6), false},
      {"content on stream 0", open + Raw(kData, 0, 0, "x"), dead, goaway(1, 1), false},
      {"even stream", open + Head(2, Get()), dead, goaway(1, 1), false},
      {"continuation out of place", open + Raw(kContinuation, kEndHeaders, 1, ""), dead, goaway(1, 1), false},
      {"another frame in a header block",
       open + Raw(kHeaders, 0, 3, Block(Get())) + Raw(kPing, 0, 0, "12345678"), dead, goaway(3, 1), false},
      {"HPACK index out of range", open + Raw(kHeaders, kEndHeaders, 3, "\xff\xff\x01"), dead, goaway(3, 9),
       false},
      {"window overflow", open + Raw(kWindowUpdate, 0, 0, U32(0x7fffffff)), dead, goaway(1, 3), false},
      {"window update of 0", open + Raw(kWindowUpdate, 0, 0, U32(0)), dead, goaway(1, 1), false},
      {"short PING", open + Raw(kPing, 0, 0, "1"), dead, goaway(1, 6), false},
      {"odd SETTINGS", open + Raw(kSettings, 0, 0, "12345"), dead, goaway(1, 6), false},
      {"bad push setting", open + Raw(kSettings, 0, 0, Setting(2, 2)), dead, goaway(1, 1), false},
      {"bad window setting", open + Raw(kSettings, 0, 0, Setting(4, 0x80000000)), dead, goaway(1, 3), false},
      {"push from a client", open + Raw(kPushPromise, kEndHeaders, 1, U32(2) + Block(Get())), dead,
       goaway(1, 1), false},
      {"reset of an idle stream", open + Raw(kRstStream, 0, 7, U32(8)), dead, goaway(1, 1), false},
      {"padding longer than the frame",
       open + Raw(kData, kPadded, 1,
                  "\x05"
                  "abc"),
       dead, goaway(1, 1), false},
  });
}

TEST(Adversary, APrefaceThatIsNone) {
  for (const size_t fragment : {1, 7, 1 << 30}) {
    Codec server(Role::kServer, Limits{});
    const std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    bool lives = true;
    for (size_t at = 0; at < bytes.size() && lives; at += std::min(fragment, bytes.size() - at)) {
      lives = server.Feed(std::string_view(bytes).substr(at, fragment));
    }
    EXPECT_FALSE(lives);
    EXPECT_TRUE(server.finished());
    EXPECT_TRUE(server.events().empty());
  }
}

TEST(Adversary, AHeadOverALimitIsAnnouncedAsSuchAndItsNeighbourServed) {
  Limits limits;
  limits.max_head_bytes = 1000;
  limits.max_fields = 20;
  Fields many = Get();
  for (int i = 0; i < 21; ++i) many.push_back({"x", "y"});
  Fields crumbs = Get();
  for (int i = 0; i < 10; ++i) crumbs.push_back({"cookie", std::string(100, 'c')});
  const std::string large = Head(1, Get({{"x", std::string(2000, 'v')}}), kEndHeaders);
  const std::string said = "1:request!head_too_large ";
  const std::string trailers_of_1 = Head(1, Get(), kEndHeaders) + Head(1, {{"t", std::string(2000, 'v')}});
  CheckServer(
      {{"one large field", large + Raw(kData, kEndStream, 1, "ignored") + Head(9, Get()), said + kNext, ""},
       {"many fields", Head(1, many) + Head(9, Get()), said + kNext, ""},
       {"cookie crumbs count", Head(1, crumbs) + Head(9, Get()), said + kNext, ""},
       {"large trailers", trailers_of_1, "1:GET<http|a|/|0 unsized> 1:trailers!head_too_large ", ""}},
      limits);
  Codec server(Role::kServer, limits);
  EXPECT_TRUE(server.Feed(ClientStart() + large));
  server.ClearEvents();
  http::ResponseHead answer;
  answer.status = 431;
  EXPECT_TRUE(server.SubmitResponse(1, answer, true));
  server.Reset(1, ErrorCode::kNoError);
  EventText log;
  EXPECT_EQ(Verdict(Drain(server)), "RST 1 code=0 ");
  log.Take(server);
  EXPECT_EQ(log.text(), "1:closed ");
}

TEST(Adversary, ResponsesThatBreakTheRulesCloseOnlyTheirStream) {
  const std::string next = Head(3, {{":status", "204"}});
  const std::string served = "3:204<none> 3:end ";
  std::vector<Case> cases;
  const auto add = [&](const std::string& name, const std::string& bytes, const std::string& before = "") {
    cases.push_back({name, bytes + next, before + "1:closed=1 " + served, kReset1});
  };
  add("no status", Head(1, {{"x", "y"}}));
  cases.push_back(
      {"status that HTTP/1 has not", Head(1, {{":status", "099"}}) + next, "1:closed " + served, kReset1});
  add("status not a number", Head(1, {{":status", "2x0"}}));
  add("101", Head(1, {{":status", "101"}}, kEndHeaders));
  add("1xx that ends the stream", Head(1, {{":status", "103"}}));
  add("request pseudo-field", Head(1, {{":status", "200"}, {":path", "/"}}));
  add("connection", Head(1, {{":status", "200"}, {"connection", "close"}}));
  add("CR in value", Head(1, {{":status", "200"}, {"x", "a\rb"}}));
  add("length not met",
      Head(1, {{":status", "200"}, {"content-length", "2"}}, kEndHeaders) + Raw(kData, kEndStream, 1, "a"),
      "1:200<sized:2 declared:2> 1:(a) ");
  CheckClient(cases);
}

TEST(Adversary, ServersMayResetRefuseAndHint) {
  CheckClient({
      {"1xx, then the answer",
       Head(1, {{":status", "100"}}, kEndHeaders) + Head(1, {{":status", "103"}, {"l", "m"}}, kEndHeaders) +
           Head(1, {{":status", "200"}}, kEndHeaders) + Raw(kData, kEndStream, 1, "ab"),
       "1:100<none> 1:103<none[l=m]> 1:200<unsized> 1:(ab) 1:end 1:closed ", ""},
      {"refused", Raw(kRstStream, 0, 1, U32(7)), "1:closed=7,peer,refused ", ""},
      {"hinted, then refused", Head(1, {{":status", "103"}}, kEndHeaders) + Raw(kRstStream, 0, 1, U32(7)),
       "1:103<none> 1:closed=7,peer ", ""},
      {"answered, then refused", Head(1, {{":status", "200"}}, kEndHeaders) + Raw(kRstStream, 0, 1, U32(7)),
       "1:200<unsized> 1:closed=7,peer ", ""},
      {"answered, then go away below",
       Head(3, {{":status", "200"}}, kEndHeaders) + Raw(kGoAwayFrame, 0, 0, U32(1) + U32(0)),
       "goaway:1=0 3:200<unsized> 3:closed=7 ", ""},
      {"full answer, then NO_ERROR to stop the request",
       Head(3, {{":status", "413"}}) + Raw(kRstStream, 0, 3, U32(0)), "3:413<sized:0> 3:end 3:closed,peer ",
       ""},
      {"go away above", Raw(kGoAwayFrame, 0, 0, U32(1) + U32(11)), "goaway:1=11 3:closed=7,refused ", ""},
      {"push before our SETTINGS are acknowledged", Raw(kPushPromise, kEndHeaders, 1, U32(2) + Block(Get())),
       "", "RST 2 code=8 "},
      {"push", Raw(kSettings, kAck, 0, "") + Raw(kPushPromise, kEndHeaders, 1, U32(2) + Block(Get())),
       "1:closed=1 3:closed=1 ", "GOAWAY last=0 code=1 ", false},
      {"content before the head", Raw(kData, kEndStream, 1, "a"), "1:closed=1 3:closed=1 ",
       "GOAWAY last=0 code=1 ", false},
      {"answer to a stream never opened", Head(5, {{":status", "200"}}), "1:closed=1 3:closed=1 ",
       "GOAWAY last=0 code=1 ", false},
  });
}

TEST(Adversary, AnswersNobodyReadsHaveALimit) {
  struct Flood {
    const char* name;
    std::string frame;
  };
  for (const Flood& flood :
       {Flood{"PING", Raw(kPing, 0, 0, "12345678")}, Flood{"SETTINGS", Raw(kSettings, 0, 0, "")}}) {
    for (const size_t batch : {1, 100, 5000}) {
      Codec server(Role::kServer, Limits{});
      EXPECT_TRUE(server.Feed(ClientStart()));
      std::string bytes;
      for (size_t i = 0; i < batch; ++i) bytes += flood.frame;
      size_t fed = 0;
      while (fed < 100'000 && server.Feed(bytes)) fed += batch;  // never Output
      EXPECT_LT(fed, 10'000u) << flood.name << " in batches of " << batch;
    }
  }
}

TEST(Adversary, MalformedRequestsThatNobodyReadsTheResetsOfHaveALimit) {
  Codec server(Role::kServer, Limits{});
  EXPECT_TRUE(server.Feed(ClientStart()));
  uint32_t id = 1;
  while (id < 100'000 && server.Feed(Head(id, Without(":path")))) id += 2;
  EXPECT_LT(id, 10'000u);
  EXPECT_LT(server.open_streams(), 1u);
}

TEST(Adversary, RapidResetEndsTheConnection) {
  Codec server(Role::kServer, Limits{});
  EXPECT_TRUE(server.Feed(ClientStart()));
  uint32_t id = 1;
  const auto pays = [&server] {  // as a session does: they are all early
    for (size_t i = 0; i < server.events().size(); ++i) {
      const Event event = server.events()[i];
      if (event.kind == Event::Kind::kClosed && event.by_peer && !server.NoteEarlyReset()) return false;
    }
    return true;
  };
  while (id < 20'000 && server.Feed(Head(id, Get()) + Raw(kRstStream, 0, id, U32(8))) && pays()) {
    server.ClearEvents();
    Drain(server);
    id += 2;
  }
  EXPECT_EQ(id, 2 * Limits{}.max_early_resets + 1);
  EXPECT_EQ(server.flood(), Flood::kResets);
}

TEST(Adversary, ContinuationsWithoutEndEndTheConnection) {
  Codec server(Role::kServer, Limits{});
  EXPECT_TRUE(server.Feed(ClientStart() + Raw(kHeaders, 0, 1, Block(Get()))));
  int count = 0;
  while (count < 1000 && server.Feed(Raw(kContinuation, 0, 1, Block({{"x", "y"}})))) ++count;
  EXPECT_LT(count, 200);
  EXPECT_TRUE(server.events().empty());
}

// HEADERS of 55 KB once they are unpacked; the first fills HPACK's table.
std::string Bomb(uint32_t id) {
  const std::string fill =
      id == 1 ? "\x40" + HpackLength(1) + "x" + HpackLength(3900) + std::string(3900, 'v') : std::string();
  return Raw(kHeaders, kEndHeaders | kEndStream, id, Block(Get()) + fill + std::string(14, '\xbe'));
}

TEST(Adversary, HeadsUnpackNoFasterThanTheirReaderAllows) {
  constexpr size_t kBudget = 200'000;
  std::string bytes = ClientStart();
  for (uint32_t id = 1; id < 100; id += 2) bytes += Bomb(id);
  Codec server(Role::kServer, Limits{});
  std::string_view left = bytes;
  size_t heads = 0;
  size_t feeds = 0;
  do {
    size_t budget = kBudget;
    ASSERT_TRUE(server.FeedSome(left, budget));
    size_t now = 0;
    for (const Event& event : server.events()) {
      if (event.kind != Event::Kind::kRequestHead) continue;
      ++now;
      EXPECT_EQ(event.error, ErrorKind::kNone);
      EXPECT_GT(server.request(event).headers.text_bytes(), size_t{54'000});
    }
    server.ClearEvents();
    EXPECT_LE(now, kBudget / 54'000 + 1);
    heads += now;
    ++feeds;
  } while (server.stopped());
  EXPECT_TRUE(left.empty());
  EXPECT_EQ(heads, 50u);
  EXPECT_GE(feeds, size_t{50} * 54'000 / kBudget);
}

TEST(Adversary, HeadsThatAreUnderWayHaveALimitTogether) {
  Limits limits;
  limits.max_request_heads_bytes = 10'000;
  Codec server(Role::kServer, limits);
  const Fields large = Get({{"x", std::string(4000, 'v')}});
  EXPECT_TRUE(server.Feed(ClientStart() + Head(1, large) + Head(3, large, kEndHeaders) + Head(5, large) +
                          Raw(kHeaders, kEndHeaders, 7, Block(large)) + Raw(kData, kEndStream, 7, "dropped") +
                          Head(9, Get())));
  EventText log;
  log.Take(server);
  const std::string head = "<http|a|/|0 none[x=" + std::string(4000, 'v') + "]> ";
  const std::string unsized = "<http|a|/|0 unsized[x=" + std::string(4000, 'v') + "]> ";
  EXPECT_EQ(log.by_stream(), "1:GET" + head + "1:end 3:GET" + unsized + kNext);
  EXPECT_EQ(Verdict(Drain(server)), "RST 5 code=7 RST 7 code=7 ");
  EXPECT_EQ(server.TakeRefused().heads, 2u);
  EXPECT_EQ(server.TakeRefused().heads, 0u);
  // Trailers of one that is under way cannot be refused as if nothing had been.
  EXPECT_TRUE(server.Feed(Head(3, {{"t", std::string(4000, 'v')}})));
  EXPECT_EQ(Verdict(Drain(server)), "RST 3 code=11 ");
  EXPECT_EQ(server.TakeRefused().heads, 1u);
  log.Take(server);
  log.Clear();
  // What has ended makes room.
  EXPECT_TRUE(server.Feed(Head(11, large)));
  log.Take(server);
  EXPECT_EQ(log.text(), "11:GET" + head + "11:end ");
}

TEST(Adversary, RefusedHeadsDoNotEndTheConnection) {
  Limits limits;
  limits.max_request_heads_bytes = 10'000;
  Codec server(Role::kServer, limits);
  const Fields large = Get({{"x", std::string(9000, 'v')}});
  EXPECT_TRUE(server.Feed(ClientStart() + Raw(kSettings, kAck, 0, "") + Head(1, large)));
  for (uint32_t id = 3; id < 10'000; id += 2) {
    ASSERT_TRUE(server.Feed(Head(id, large))) << id << " " << server.error_detail();
    server.ClearEvents();
    Drain(server);
  }
}

TEST(Adversary, MoreStreamsThanAllowedAreRefused) {
  Limits limits;
  limits.max_concurrent_streams = 2;
  Codec server(Role::kServer, limits);
  // It has not acknowledged our limit: it may not know it yet.
  EXPECT_TRUE(server.Feed(ClientStart() + Head(1, Get()) + Head(3, Get()) + Head(5, Get())));
  EventText log;
  log.Take(server);
  EXPECT_EQ(log.text(), kGet1 + "3:GET<http|a|/|0 none> 3:end ");
  EXPECT_EQ(Verdict(Drain(server)), "RST 5 code=7 ");
  EXPECT_EQ(server.TakeRefused().streams, 1u);
  EXPECT_EQ(server.TakeRefused().streams, 0u);
  EXPECT_EQ(server.flood(), Flood::kNone);
  // Now it does, and nghttp2 takes it for a connection error (stricter than RFC 9113 section 5.1.2 asks).
  EXPECT_FALSE(server.Feed(Raw(kSettings, kAck, 0, "") + Head(7, Get())));
  EXPECT_EQ(Verdict(Drain(server)), "GOAWAY last=3 code=1 ");
  EXPECT_EQ(server.flood(), Flood::kStreams);
}

TEST(Adversary, OtherBadHeadersAreNotTakenForTooManyStreams) {
  Limits limits;
  limits.max_concurrent_streams = 1;
  for (const std::string& bad :
       {Head(1, Get()) /* of a stream that has ended */, Head(4, Get()) /* of ours */}) {
    Codec server(Role::kServer, limits);
    EXPECT_TRUE(server.Feed(ClientStart() + Raw(kSettings, kAck, 0, "")));
    const bool lives = server.Feed(Head(1, Get()) + bad);
    EXPECT_TRUE(!lives || Verdict(Drain(server)) != "");
    EXPECT_EQ(server.flood(), Flood::kNone);
  }
}

// A server whose stream 1 is over.
std::unique_ptr<Codec> AfterOne() {
  auto server = std::make_unique<Codec>(Role::kServer, Limits{});
  EXPECT_TRUE(server->Feed(ClientStart() + Raw(kSettings, kAck, 0, "") + Head(1, Get())));
  server->ClearEvents();
  http::ResponseHead head;
  head.status = 200;
  head.content = {http::ContentLength::Kind::kSized, 0};
  EXPECT_TRUE(server->SubmitResponse(1, head, true));
  Drain(*server);
  server->ClearEvents();
  EXPECT_EQ(server->open_streams(), 0u);
  return server;
}

TEST(Adversary, HeadsOfStreamsThatAreOverArePaidFor) {
  const std::string fields(1000, '\x82');  // :method GET, again and again
  const std::string passed_by[] = {
      Raw(kHeaders, kEndHeaders | kEndStream, 1, fields),
      Raw(kHeaders, kEndStream, 1, fields) + Raw(kContinuation, kEndHeaders, 1, fields)};
  for (const std::string& one : passed_by) {
    const std::unique_ptr<Codec> server = AfterOne();
    size_t taken = 0;
    while (taken < 10'000 && server->Feed(one)) ++taken;
    EXPECT_GT(taken, 1000u) << "some may have been on their way";
    EXPECT_LT(taken, 3000u);
    EXPECT_EQ(server->flood(), Flood::kFrames);
  }
}

TEST(Adversary, LateAnswersToStreamsThatWereResetAreOwed) {
  Codec client(Role::kClient, Limits{});
  EXPECT_TRUE(client.Feed(Raw(kSettings, 0, 0, "")));
  http::RequestHead head;
  head.method_text = "GET";
  head.scheme = "http";
  head.authority = "a";
  head.path = "/";
  std::vector<StreamId> given_up;
  for (int i = 0; i < 2000; ++i) {
    bool too_large = false;
    given_up.push_back(client.SubmitRequest(head, true, &too_large));
    ASSERT_NE(given_up.back(), 0);
    Drain(client);
    client.Reset(given_up.back(), ErrorCode::kCancel);
    Drain(client);
    client.ClearEvents();
  }
  const auto late = [&](StreamId id) {
    return client.Feed(Head(static_cast<uint32_t>(id), {{":status", "200"}}, kEndHeaders)) &&
           client.Feed(Head(static_cast<uint32_t>(id), {{"grpc-status", "0"}}));
  };
  for (const StreamId id : given_up) ASSERT_TRUE(late(id)) << id << " " << client.error_detail();
  // Nobody is owed more.
  size_t more = 0;
  while (more < 10'000 && late(given_up[0])) ++more;
  EXPECT_LT(more, 1500u);
  EXPECT_EQ(client.flood(), Flood::kFrames);
}

TEST(Adversary, AnOpenBlockOfAStreamThatIsOverIsSeen) {
  const std::unique_ptr<Codec> server = AfterOne();
  const std::string block = Block(Get({{"x", std::string(50'000, 'v')}}));
  const std::string bytes = Raw(kHeaders, kEndStream, 1, block.substr(0, 15'000)) +
                            Raw(kContinuation, 0, 1, block.substr(15'000, 15'000)) +
                            Raw(kContinuation, kEndHeaders, 1, block.substr(30'000));
  EXPECT_FALSE(server->mid_head());
  for (size_t i = 0; i + 1 < bytes.size(); ++i) {
    ASSERT_TRUE(server->Feed(bytes.substr(i, 1)));
    if (i < 9) continue;
    ASSERT_TRUE(server->mid_head()) << i;
    const size_t frames = i < 15'009 ? 1 : 2;
    if (i < 15'000 || i > 15'020) ASSERT_EQ(server->HeldHeadBytes() > 0, i + 1 - frames * 9 > 16'384) << i;
  }
  EXPECT_TRUE(server->Feed(bytes.substr(bytes.size() - 1)));
  EXPECT_FALSE(server->mid_head());
  EXPECT_EQ(server->HeldHeadBytes(), 0u);
  EXPECT_FALSE(server->builds_head());
}

TEST(Adversary, ContentBeyondTheStreamWindowIsAnError) {
  Limits limits;
  limits.stream_window_bytes = 100;
  Codec server(Role::kServer, limits);
  EXPECT_TRUE(server.Feed(ClientStart()));
  Drain(server);
  EXPECT_TRUE(server.Feed(Raw(kSettings, kAck, 0, "") + Head(1, Get(), kEndHeaders) +
                          Raw(kData, 0, 1, std::string(100, 'x'))));
  EXPECT_EQ(Verdict(Drain(server)), "");
  const bool lives = server.Feed(Raw(kData, 0, 1, "y"));
  const std::string told = Verdict(Drain(server));
  EXPECT_TRUE((lives && told == "RST 1 code=3 ") || (!lives && told.ends_with("code=3 "))) << told;
}

}  // namespace
}  // namespace pillion::http2
