// Requests: a table of bytes and what they must be read as, at many fragment sizes.
#include <gtest/gtest.h>

#include <string>

#include "sidecar/http1/transcript.h"

namespace pillion::http1 {
namespace {

struct Case {
  std::string name;
  std::string bytes;
  std::string expected;
};

void Check(const std::vector<Case>& cases, const Feeding& base = {}) {
  for (const Case& c : cases) {
    for (const size_t fragment : {size_t{1}, size_t{2}, size_t{3}, size_t{4}, size_t{5}, size_t{6}, size_t{7},
                                  size_t{8}, size_t{16}, size_t{31}, SIZE_MAX}) {
      Feeding feeding = base;
      feeding.fragment = fragment;
      EXPECT_EQ(Transcript(Role::kRequests, c.bytes, feeding), c.expected)
          << c.name << " at fragments of " << fragment;
    }
  }
}

std::string Get(const std::string& fields) { return "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n"; }
std::string Bad() { return "ERROR:malformed"; }
const std::string kPlain = "<GET origin http|a|/ HTTP/1.1 keep none >END ";

TEST(RequestParser, TargetsAreReadInTheirForm) {
  Check({
      {"origin", "GET /a/b?c=d&e HTTP/1.1\r\nHost: x.example:80\r\n\r\n",
       "<GET origin http|x.example:80|/a/b?c=d&e HTTP/1.1 keep none >END "},
      {"unencoded bytes that clients send", "GET /a|b{c}\"^` HTTP/1.1\r\nHost: x\r\n\r\n",
       "<GET origin http|x|/a|b{c}\"^` HTTP/1.1 keep none >END "},
      {"absolute wins over Host", "GET http://b.example/p?q HTTP/1.1\r\nHost: other\r\n\r\n",
       "<GET absolute http|b.example|/p?q HTTP/1.1 keep none >END "},
      {"absolute without path", "GET HTTPS://b HTTP/1.1\r\nHost: b\r\n\r\n",
       "<GET absolute https|b|/ HTTP/1.1 keep none >END "},
      {"absolute with query only", "GET http://b?x HTTP/1.1\r\nHost: b\r\n\r\n",
       "<GET absolute http|b|/?x HTTP/1.1 keep none >END "},
      {"absolute OPTIONS of the server", "OPTIONS http://b:1 HTTP/1.1\r\nHost: b\r\n\r\n",
       "<OPTIONS asterisk http|b:1|* HTTP/1.1 keep none >END "},
      {"asterisk", "OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n",
       "<OPTIONS asterisk http|b|* HTTP/1.1 keep none >END "},
      {"authority", "CONNECT b:443 HTTP/1.1\r\nHost: b\r\n\r\n",
       "<CONNECT authority http|b:443| HTTP/1.1 keep none >END "},
      {"IPv6 authority", "CONNECT [::1]:443 HTTP/1.1\r\nHost: b\r\n\r\n",
       "<CONNECT authority http|[::1]:443| HTTP/1.1 keep none >END "},
      {"any method token", "M-SEARCH!~ / HTTP/1.1\r\nHost: b\r\n\r\n",
       "<M-SEARCH!~ origin http|b|/ HTTP/1.1 keep none >END "},
      {"lower-case method is another method", "get / HTTP/1.1\r\nHost: b\r\n\r\n",
       "<get origin http|b|/ HTTP/1.1 keep none >END "},
  });
}

TEST(RequestParser, BadTargetsAreRefused) {
  std::vector<Case> cases;
  for (const char* line : {"GET  / HTTP/1.1",
                           "GET /  HTTP/1.1",
                           " GET / HTTP/1.1",
                           "GET / HTTP/1.1 ",
                           "GET /\tHTTP/1.1",
                           "GET /",
                           "GET /#f HTTP/1.1",
                           "GET /\x80 HTTP/1.1",
                           "GET /\x7f HTTP/1.1",
                           "GET a/b HTTP/1.1",
                           "GET * HTTP/1.1",
                           "CONNECT / HTTP/1.1",
                           "CONNECT b HTTP/1.1",
                           "CONNECT b: HTTP/1.1",
                           "CONNECT b:99999 HTTP/1.1",
                           "CONNECT [::1] HTTP/1.1",
                           "CONNECT http://b:1/ HTTP/1.1",
                           "GET b:80 HTTP/1.1",
                           "GET ftp://b/ HTTP/1.1",
                           "GET http:/// HTTP/1.1",
                           "GET http://u@b/ HTTP/1.1",
                           "GET http://b:x/ HTTP/1.1",
                           "GET http://[::1/ HTTP/1.1",
                           "GE(T / HTTP/1.1",
                           "G\x01T / HTTP/1.1",
                           "GET / http/1.1",
                           "GET / HTTP/1.",
                           "GET / HTTP/11",
                           "GET / HTTP/1.10",
                           "GET / HTTX/1.1",
                           "GET / HTTP/x.1",
                           "GET /\rx HTTP/1.1",
                           "GET HTTP/1.1",
                           "* / HTTP/1.1\r"}) {
    cases.push_back({line, std::string(line) + "\r\nHost: a\r\n\r\n", Bad()});
  }
  cases.back().name = "bare CR in line";
  Check(cases);
}

TEST(RequestParser, AConnectHasNoContent) {
  const std::string head = "CONNECT b:443 HTTP/1.1\r\nHost: b\r\n";
  Check({
      {"length", head + "Content-Length: 3\r\n\r\nabc", Bad()},
      {"no length", head + "Content-Length: 0\r\n\r\n",
       "<CONNECT authority http|b:443| HTTP/1.1 keep none >END "},
      {"chunked", head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "ERROR:not_implemented"},
  });
}

// What sidecars say of a client, and to one another, nobody says for them behind the head.
TEST(RequestParser, FieldsThatSidecarsWriteAreLeftOutOfTrailers) {
  Check({{"trailers",
          "POST / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Forwarded-Client-Cert: "
          "By=me\r\n"
          "a: b\r\npillion-h1: 1.0\r\nX-Pillion-Explain: 1\r\n\r\n",
          "<POST origin http|b|/ HTTP/1.1 keep unsized >END[a=b] "}});
}

TEST(RequestParser, OtherVersionsAreNamed) {
  Check({
      {"2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "ERROR:unsupported_version"},
      {"1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", "ERROR:unsupported_version"},
      {"0.9", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", "ERROR:unsupported_version"},
      {"h2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "ERROR:unsupported_version"},
  });
}

TEST(RequestParser, HostMustBeThereOnceAndValid) {
  std::vector<Case> cases = {
      {"missing", "GET / HTTP/1.1\r\n\r\n", Bad()},
      {"missing with absolute target", "GET http://a/ HTTP/1.1\r\n\r\n", Bad()},
      {"twice", Get("hOST: a\r\n"), Bad()},
      {"empty", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "<GET origin http||/ HTTP/1.1 keep none >END "},
      {"1.0 may leave it out", "GET / HTTP/1.0\r\n\r\n",
       "<GET origin http|(none)|/ HTTP/1.0 close none >END "},
      {"1.0 twice", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", Bad()},
  };
  for (const char* host : {"a b", "a,b/", "u@a", "a:b", "a:1:2", "/", "a\"", "a?b", "[::1", "[]", "[::1]x",
                           ":80", "a%2", "a%zz", "\xc3\xa4", "a:123456"}) {
    cases.push_back({host, "GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n", Bad()});
  }
  for (const char* host : {"a_b", "1.2.3.4:8080", "[::1]:80", "a%20b", "a:", "A.B"}) {
    cases.push_back({host, "GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n",
                     "<GET origin http|" + std::string(host) + "|/ HTTP/1.1 keep none >END "});
  }
  Check(cases);
}

TEST(RequestParser, FieldsAreTrimmedAndKeptInOrder) {
  Check({{"trim", Get("X-A:  b \t c \t \r\nx-a:\r\nY:\xc3\xa4\tz\r\n"),
          "<GET origin http|a|/ HTTP/1.1 keep none [X-A=b \t c][x-a=][Y=\xc3\xa4\tz]>END "},
         {"all name bytes", Get("!#$%&'*+-.^_`|~09azAZ: v\r\n"),
          "<GET origin http|a|/ HTTP/1.1 keep none [!#$%&'*+-.^_`|~09azAZ=v]>END "}});
}

TEST(RequestParser, BytesThatParsersDisagreeOnAreRefused) {
  std::vector<Case> cases = {
      {"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", Bad()},
      {"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", Bad()},
      {"bare LF ends the head", "GET / HTTP/1.1\r\nHost: a\r\n\n", Bad()},
      {"bare CR in a value", Get("X: a\rb\r\n"), Bad()},
      {"CR CR LF", Get("X: a\r\r\n"), Bad()},
      {"obs-fold", Get("X: a\r\n b\r\n"), Bad()},
      {"tab obs-fold", Get("X: a\r\n\tb\r\n"), Bad()},
      {"space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", Bad()},
      {"space before the colon", Get("X : a\r\n"), Bad()},
      {"empty name", Get(": a\r\n"), Bad()},
      {"no colon", Get("X\r\n"), Bad()},
      {"name not a token", Get("X(): a\r\n"), Bad()},
      {"8-bit name", Get("X\xe4: a\r\n"), Bad()},
  };
  for (int c = 0; c < 0x80; ++c) {
    if (c == '\t' || c == '\r' || (c >= 0x20 && c != 0x7f)) continue;
    for (const size_t offset : {size_t{0}, size_t{3}, size_t{15}, size_t{16}, size_t{40}}) {
      std::string value(48, 'v');
      value[offset] = static_cast<char>(c);
      cases.push_back({"control byte " + std::to_string(c), Get("X: " + value + "\r\n"), Bad()});
    }
  }
  Check(cases);
}

TEST(RequestParser, KeepAliveFollowsVersionAndConnection) {
  const auto head = [](const char* version, const char* connection) {
    return "GET / HTTP/" + std::string(version) + "\r\nHost: a\r\nConnection: " + connection + "\r\n\r\n";
  };
  const auto read = [](const char* version, const char* connection, const char* verdict) {
    return "<GET origin http|a|/ HTTP/" + std::string(version) + " " + verdict +
           " none [Connection=" + connection + "]>END ";
  };
  Check({
      {"1.1 close", head("1.1", "Close"), read("1.1", "Close", "close")},
      {"1.1 list", head("1.1", "x, close ,y"), read("1.1", "x, close ,y", "close")},
      {"1.1 not a token of it", head("1.1", "closed"), read("1.1", "closed", "keep")},
      {"1.0", head("1.0", "x"), read("1.0", "x", "close")},
      {"1.0 keep-alive", head("1.0", "Keep-Alive"), read("1.0", "Keep-Alive", "keep")},
      {"1.0 both", head("1.0", "keep-alive, close"), read("1.0", "keep-alive, close", "close")},
  });
}

std::string Post(const std::string& fields, const std::string& rest) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + rest;
}

TEST(RequestParser, ContentIsFramedByItsLength) {
  const std::string sized = "<POST origin http|a|/ HTTP/1.1 keep sized:";
  Check({
      {"sized", Post("Content-Length: 5\r\n", "hello"), sized + "5 >(hello)END "},
      {"zero", Post("Content-Length: 0\r\n", ""), sized + "0 >END "},
      {"leading zeros", Post("Content-Length: 0005\r\n", "hello"), sized + "5 >(hello)END "},
      {"pipelined", Post("Content-Length: 2\r\n", "hi") + Get(""), sized + "2 >(hi)END " + kPlain},
      {"incomplete", Post("Content-Length: 6\r\n", "hello"), sized + "6 >(hello)...MORE"},
      {"large", Post("Content-Length: 9999999999999999999\r\n", ""), sized + "9999999999999999999 >MORE"},
      {"overflow", Post("Content-Length: 99999999999999999999\r\n", ""), Bad()},
      {"plus", Post("Content-Length: +5\r\n", "hello"), Bad()},
      {"minus", Post("Content-Length: -5\r\n", "hello"), Bad()},
      {"hex", Post("Content-Length: 0x5\r\n", "hello"), Bad()},
      {"blank inside", Post("Content-Length: 5 5\r\n", "hello"), Bad()},
      {"empty", Post("Content-Length: \r\n", "hello"), Bad()},
      {"list", Post("Content-Length: 5, 5\r\n", "hello"), Bad()},
      {"twice", Post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), Bad()},
      {"differing", Post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), Bad()},
      {"with coding", Post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), Bad()},
      {"with coding before", Post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), Bad()},
      {"with unknown coding", Post("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", ""), Bad()},
  });
}

TEST(RequestParser, OnlyChunkedIsATransferCoding) {
  std::vector<Case> cases;
  for (const char* coding : {"gzip", "xchunked", "chunked, chunked", "gzip, chunked", "identity", "",
                             "chunked;x", "chunked,", "\"chunked\""}) {
    cases.push_back({coding, Post("Transfer-Encoding: " + std::string(coding) + "\r\n", "0\r\n\r\n"),
                     "ERROR:not_implemented"});
  }
  cases.push_back({"twice", Post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
                   "ERROR:not_implemented"});
  cases.push_back({"vertical tab",
                   Post("Transfer-Encoding: \x0b"
                        "chunked\r\n",
                        "0\r\n\r\n"),
                   Bad()});
  cases.push_back({"in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Bad()});
  Check(cases);
}

TEST(RequestParser, ChunksAreReadStrictly) {
  const std::string head = "<POST origin http|a|/ HTTP/1.1 keep unsized >";
  const auto chunked = [](const std::string& body) { return Post("Transfer-Encoding: Chunked\r\n", body); };
  std::vector<Case> cases = {
      {"plain", chunked("5\r\nhello\r\n00006\r\n world\r\n0\r\n\r\n"), head + "(hello world)END "},
      {"hex", chunked("A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n"),
       head + "(01234567890123456789)END "},
      {"next message", chunked("1\r\nx\r\n0\r\n\r\n") + Get(""), head + "(x)END " + kPlain},
      {"extension", chunked("1;a=b;c=\"d e\"\r\nx\r\n0;z\r\n\r\n"), head + "(x)END "},
      {"trailers", chunked("1\r\nx\r\n0\r\nA: b\r\nc:d\r\n\r\n") + Get(""),
       head + "(x)END[A=b][c=d] " + kPlain},
      {"incomplete", chunked("5\r\nhel"), head + "(hel)...MORE"},
      {"no last line end", chunked("0\r\n"), head + "MORE"},
      {"largest", chunked("ffffffffffffffff\r\nhel"), head + "(hel)...MORE"},
  };
  for (const char* body : {"10000000000000000\r\n", "00000000000000001\r\nx\r\n", "\r\nx", "g\r\nx",
                           "-1\r\nx", "0x1\r\nx\r\n", " 1\r\nx", "1 \r\nx\r\n", "1 ;a\r\nx\r\n", "1\nx\r\n",
                           "1\r\r\nx\r\n", "1;a\rb\r\nx", "1;a\x01\r\nx", "1;a\nx\r\n"}) {
    cases.push_back({body, chunked(body), head + Bad()});
  }
  for (const char* end : {"xx", "\n", "\rx", "x\r\n"}) {
    cases.push_back({end, chunked("1\r\nx" + std::string(end)), head + "(x)" + Bad()});
  }
  for (const char* trailer : {"Content-Length: 1", "Transfer-Encoding: chunked", "Host: a", "Connection: x",
                              "X : a", "X: a\r\n b", "X: a\nY: b", " X: a", "Trailer: x", "\x01: b"}) {
    cases.push_back({trailer, chunked("0\r\n" + std::string(trailer) + "\r\n\r\n"), head + Bad()});
  }
  Check(cases);
}

TEST(RequestParser, EmptyLinesBeforeARequestAreSkippedUpToALimit) {
  Check({{"four", "\r\n\r\n\r\n\r\n" + Get(""), kPlain},
         {"between", Get("") + "\r\n" + Get(""), kPlain + kPlain},
         {"only", "\r\n\r\n", ""},
         {"five", "\r\n\r\n\r\n\r\n\r\n" + Get(""), Bad()},
         {"bare LF", "\n" + Get(""), Bad()},
         {"bare CR", "\r" + Get(""), Bad()}});
}

TEST(RequestParser, SizesHaveLimits) {
  Feeding feeding;
  feeding.limits.max_line_bytes = 64;
  feeding.limits.max_head_bytes = 200;
  feeding.limits.max_fields = 4;
  feeding.limits.max_chunk_line_bytes = 24;
  const std::string fits = "/" + std::string(64 - 16, 'p');
  const std::string chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string head = "<POST origin http|a|/ HTTP/1.1 keep unsized >";
  const std::string five = "a:\r\nb:\r\nc:\r\nd:\r\ne:\r\n";
  Check(
      {
          {"line fits", "GET " + fits + " HTTP/1.1\r\nHost: a\r\n\r\n",
           "<GET origin http|a|" + fits + " HTTP/1.1 keep none >END "},
          {"line too long", "GET " + fits + "p HTTP/1.1\r\nHost: a\r\n\r\n", "ERROR:target_too_long"},
          {"line without end", "GET /" + std::string(500, 'p'), "ERROR:target_too_long"},
          {"bad before too long", "GET (" + std::string(500, '\x01'), Bad()},
          {"head too large", Get("X: " + std::string(200, 'v') + "\r\n"), "ERROR:head_too_large"},
          {"head without end", "GET / HTTP/1.1\r\nX: " + std::string(500, 'v'), "ERROR:head_too_large"},
          {"four fields", Get("a:\r\nb:\r\nc:\r\n"),
           "<GET origin http|a|/ HTTP/1.1 keep none [a=][b=][c=]>END "},
          {"too many fields", Get("a:\r\nb:\r\nc:\r\nd:\r\n"), "ERROR:head_too_large"},
          {"chunk line", chunked + "1;" + std::string(40, 'x') + "\r\n", head + Bad()},
          {"chunk line without end", chunked + std::string(40, '1'), head + Bad()},
          {"too many trailers", chunked + "0\r\n" + five + "\r\n", head + "ERROR:head_too_large"},
          {"trailers too large", chunked + "0\r\nX: " + std::string(300, 'v') + "\r\n\r\n",
           head + "ERROR:head_too_large"},
      },
      feeding);
}

TEST(RequestParser, ALineOverItsLimitIsRefusedAtOnce) {
  Limits limits;
  limits.max_line_bytes = 64;
  Parser parser(Role::kRequests, limits);
  const std::string bytes = "GET /" + std::string(60, 'p');
  for (size_t size = 1; size <= 64; ++size) {
    ASSERT_EQ(parser.Next(std::string_view(bytes).substr(0, size)).event, Parser::Event::kNeedMore);
  }
  EXPECT_EQ(parser.Next(bytes).event, Parser::Event::kError);
  EXPECT_EQ(parser.error().kind, ErrorKind::kTargetTooLong);
}

TEST(RequestParser, ExtensionsOfAllChunksTogetherHaveALimit) {
  Feeding feeding;
  feeding.limits.max_head_bytes = 100;
  std::string bytes = Post("Transfer-Encoding: chunked\r\n", "");
  for (int i = 0; i < 12; ++i) bytes += "1;23456789\r\nx\r\n";
  Check({{"extensions", bytes, "<POST origin http|a|/ HTTP/1.1 keep unsized >(xxxxxxxxxxx)" + Bad()}},
        feeding);
}

TEST(RequestParser, AHeadSentByteByByteIsReadInLinearTime) {
  Limits limits;
  limits.max_head_bytes = 2 << 20;
  limits.max_fields = 100'000;
  std::string head = "GET / HTTP/1.1\r\nHost: a\r\n";
  while (head.size() < (1 << 20)) head += "X-Field: some value or other\r\n";
  head += "\r\n";
  Parser parser(Role::kRequests, limits);
  // Quadratic work would be 5 * 10^11 byte visits: minutes, and the test's own time limit.
  for (size_t size = 1; size < head.size(); ++size) {
    ASSERT_EQ(parser.Next(std::string_view(head).substr(0, size)).event, Parser::Event::kNeedMore);
  }
  EXPECT_EQ(parser.Next(head).event, Parser::Event::kHead);
}

TEST(RequestParser, KnowsWhetherItIsBetweenMessages) {
  Limits limits;
  Parser parser(Role::kRequests, limits);
  EXPECT_TRUE(parser.idle());
  EXPECT_EQ(parser.Finish().event, Parser::Event::kNeedMore);
  EXPECT_EQ(parser.Next("GET").event, Parser::Event::kNeedMore);
  EXPECT_FALSE(parser.idle());
  EXPECT_EQ(parser.Next(Get("")).event, Parser::Event::kHead);
  EXPECT_FALSE(parser.idle());
  EXPECT_EQ(parser.Next("").event, Parser::Event::kEnd);
  EXPECT_TRUE(parser.idle());
  EXPECT_EQ(parser.Next("G").event, Parser::Event::kNeedMore);
  EXPECT_EQ(parser.Finish().event, Parser::Event::kError);
  EXPECT_EQ(parser.Next(Get("")).event, Parser::Event::kError);
}

}  // namespace
}  // namespace pillion::http1
