// Responses: a table of bytes and what they must be read as, at many fragment sizes.
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
      EXPECT_EQ(Transcript(Role::kResponses, c.bytes, feeding), c.expected)
          << c.name << " at fragments of " << fragment;
    }
  }
}

Feeding Closed() {
  Feeding feeding;
  feeding.finish = true;
  return feeding;
}
Feeding To(http::Method method) {
  Feeding feeding;
  feeding.answers = method;
  return feeding;
}
std::string Bad() { return "ERROR:malformed"; }
const std::string kOk = "HTTP/1.1 200 OK\r\n";

TEST(ResponseParser, AReasonOfTheAppsOwnIsKept) {
  const Limits limits;
  const auto reason = [&](const std::string& line) {
    Parser parser(Role::kResponses, limits);
    EXPECT_EQ(parser.Next(line + "\r\nContent-Length: 0\r\n\r\n").event, Parser::Event::kHead) << line;
    return parser.response().has_own_reason ? "'" + parser.response().own_reason + "'" : "standard";
  };
  EXPECT_EQ(reason("HTTP/1.1 200 OK"), "standard");
  EXPECT_EQ(reason("HTTP/1.0 404 Not Found"), "standard");
  EXPECT_EQ(reason("HTTP/1.1 200 ok"), "'ok'");
  EXPECT_EQ(reason("HTTP/1.1 200 Very OK \xe4"), "'Very OK \xe4'");
  EXPECT_EQ(reason("HTTP/1.1 200 Fine \t "), "'Fine'");
  EXPECT_EQ(reason("HTTP/1.1 200 "), "''");
  EXPECT_EQ(reason("HTTP/1.1 200"), "''");
  EXPECT_EQ(reason("HTTP/1.1 799 "), "standard");  // it has none
  EXPECT_EQ(reason("HTTP/1.1 799 ?"), "'?'");
}

TEST(ResponseParser, StatusLinesAreReadStrictly) {
  const std::string rest = "\r\nContent-Length: 0\r\n\r\n";
  const std::string ok = "200 HTTP/1.1 keep sized:0 declared:0 >END ";
  std::vector<Case> cases = {
      {"reason", "HTTP/1.1 200 Very OK \xe4" + rest, "<" + ok},
      {"empty reason", "HTTP/1.1 200 " + rest, "<" + ok},
      {"no reason and no space", "HTTP/1.1 200" + rest, "<" + ok},
      {"unknown code", "HTTP/1.1 799 ?" + rest, "<799 HTTP/1.1 keep sized:0 declared:0 >END "},
      {"version 2", "HTTP/2.0 200 OK" + rest, "ERROR:unsupported_version"},
      {"leading empty line", "\r\nHTTP/1.1 200 OK" + rest, Bad()},
  };
  for (const char* line :
       {"HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1  200 OK", "HTTP/1.1 099 OK", "HTTP/1.1 2x0",
        "HTTP/1.1\t200 OK", "http/1.1 200 OK", "ICY 200 OK", "HTTP/1.1 200 O\x01K", "HTTP/1.1",
        "HTTP/1.1 200\tOK", "HTTP/1.1 200 O\rK", "HTTP/1.1 200 OK\n"}) {
    cases.push_back({line, line + rest, Bad()});
  }
  Check(cases);
}

TEST(ResponseParser, FramingFollowsTheRulesInOrder) {
  Check({
      {"sized", kOk + "Content-Length: 3\r\n\r\nabc" + kOk,
       "<200 HTTP/1.1 keep sized:3 declared:3 >(abc)END MORE"},
      {"chunked", kOk + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: u\r\n\r\n",
       "<200 HTTP/1.1 keep unsized >(abc)END[T=u] "},
      {"until close", kOk + "\r\nabc", "<200 HTTP/1.1 close until-close >(abc)...MORE"},
      {"both", kOk + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", Bad()},
      {"other coding", kOk + "Transfer-Encoding: gzip\r\n\r\n", "ERROR:not_implemented"},
      {"coding in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Bad()},
      {"two lengths", kOk + "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", Bad()},
      {"1.0", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
       "<200 HTTP/1.0 close sized:1 declared:1 >(x)END "},
      {"1.0 keep-alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
       "<200 HTTP/1.0 keep sized:1 declared:1 [Connection=keep-alive]>(x)END "},
      {"204", "HTTP/1.1 204 N\r\n\r\n" + kOk, "<204 HTTP/1.1 keep none >END MORE"},
      {"204 with length 0", "HTTP/1.1 204 N\r\nContent-Length: 0\r\n\r\n",
       "<204 HTTP/1.1 keep none declared:0 >END "},
      {"204 that may send content", "HTTP/1.1 204 N\r\nContent-Length: 3\r\n\r\n",
       "<204 HTTP/1.1 close none declared:3 >END "},
      {"204 chunked", "HTTP/1.1 204 N\r\nTransfer-Encoding: chunked\r\n\r\n",
       "<204 HTTP/1.1 close none >END "},
      {"304", "HTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\n", "<304 HTTP/1.1 keep none declared:9 >END "},
      {"1xx then final", "HTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 204 N\r\n\r\n",
       "<103 HTTP/1.1 keep none [Link=x]>END <204 HTTP/1.1 keep none >END "},
      {"1xx with content", "HTTP/1.1 100 C\r\nContent-Length: 3\r\n\r\n", Bad()},
      {"101", "HTTP/1.1 101 S\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\n\x01\x02zz",
       "<101 HTTP/1.1 close until-close [Upgrade=x]>(\x01\x02zz)...MORE"},
      {"Host is an ordinary field here", kOk + "Host: a\r\nhost: b c\r\nContent-Length: 0\r\n\r\n",
       "<200 HTTP/1.1 keep sized:0 declared:0 [Host=a][host=b c]>END "},
  });
}

TEST(ResponseParser, HeadHasNoContent) {
  Check({{"sized", kOk + "Content-Length: 3\r\n\r\nHTTP/1.1 204 N\r\n\r\n",
          "<200 HTTP/1.1 keep none declared:3 >END <204 HTTP/1.1 keep none >END "},
         {"chunked", kOk + "Transfer-Encoding: chunked\r\n\r\n", "<200 HTTP/1.1 keep none >END "},
         {"unframed", kOk + "\r\n", "<200 HTTP/1.1 keep none >END "}},
        To(http::Method::kHead));
}

TEST(ResponseParser, ConnectOpensATunnelOnlyOnSuccess) {
  Check({{"2xx", kOk + "Content-Length: 3\r\n\r\nraw\n", "<200 HTTP/1.1 close until-close >(raw\n)...MORE"},
         {"4xx", "HTTP/1.1 405 No\r\nContent-Length: 3\r\n\r\nabc",
          "<405 HTTP/1.1 keep sized:3 declared:3 >(abc)END "}},
        To(http::Method::kConnect));
}

TEST(ResponseParser, TheEndOfTheConnectionEndsOnlyWhatItFrames) {
  Check({{"until close", kOk + "\r\nabc", "<200 HTTP/1.1 close until-close >(abc)END "},
         {"nothing", "", ""},
         {"between messages", "HTTP/1.1 204 N\r\n\r\n", "<204 HTTP/1.1 keep none >END "},
         {"in the head", "HTTP/1.1 200 O", Bad()},
         {"in sized content", kOk + "Content-Length: 3\r\n\r\nab",
          "<200 HTTP/1.1 keep sized:3 declared:3 >(ab)" + Bad()},
         {"in a chunk", kOk + "Transfer-Encoding: chunked\r\n\r\n3\r\nab",
          "<200 HTTP/1.1 keep unsized >(ab)" + Bad()},
         {"before the last chunk", kOk + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
          "<200 HTTP/1.1 keep unsized >(ab)" + Bad()},
         {"in trailers", kOk + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n",
          "<200 HTTP/1.1 keep unsized >" + Bad()}},
        Closed());
}

}  // namespace
}  // namespace pillion::http1
