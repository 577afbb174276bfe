#include "sidecar/export/otlp.h"

#include <gtest/gtest.h>

#include <optional>

#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "sidecar/base/slice.h"
#include "sidecar/export/spans.h"
#include "sidecar/http/head.h"
#include "sidecar/testing/sim_network.h"

namespace pillion::exporting {
namespace {

using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;
using opentelemetry::proto::trace::v1::Span;
using opentelemetry::proto::trace::v1::Status;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::shared_ptr<const config::Reporting> Listener(const std::string& service, const std::string& collector) {
  auto listener = std::make_shared<config::Reporting>();
  listener->listener = "outbound";
  listener->tracing.emplace();
  listener->tracing->collector_cluster = collector;
  listener->tracing->service_name = service;
  return listener;
}

telemetry::RequestRecord Sample(size_t attempts, const std::string& service = "orders",
                                const std::string& collector = "otel") {
  telemetry::RequestRecord record;
  record.reporting = Listener(service, collector);
  record.started = time::WallTime(seconds(1'700'000'000));
  record.duration = milliseconds(20);
  record.method = "GET";
  record.authority = "web.example:8080";
  record.path = "/a?token=secret";
  record.protocol = "HTTP/1.1";
  record.route = "web/0";
  record.cluster = "web";
  record.client = "[::1]:4711";
  record.status = 200;
  record.sampled = true;
  record.trace.fill(0xAA);
  record.server_span.fill(0xBB);
  for (size_t i = 0; i < attempts; ++i) {
    telemetry::AttemptRecord attempt;
    attempt.span.fill(static_cast<uint8_t>(i + 1));
    attempt.endpoint = "10.0.0.1:80";
    attempt.protocol = "HTTP/2";
    attempt.status = 200;
    attempt.started = record.started + milliseconds(1);
    attempt.ended = record.started + milliseconds(19);
    record.attempts.push_back(attempt);
  }
  return record;
}

std::string AttributeOf(const Span& span, std::string_view key) {
  for (const auto& attribute : span.attributes()) {
    if (attribute.key() != key) continue;
    if (attribute.value().has_int_value()) return std::to_string(attribute.value().int_value());
    return attribute.value().string_value();
  }
  return "(none)";
}

TEST(Spans, AServerSpanAndBelowItOneClientSpanPerAttempt) {
  Random random(1);
  const auto spans = SpansOf(Sample(2), random);
  ASSERT_EQ(spans.size(), 3u);
  const Span& server = spans[0];
  EXPECT_EQ(server.kind(), Span::SPAN_KIND_SERVER);
  EXPECT_EQ(server.name(), "GET web/0");
  EXPECT_EQ(server.trace_id(), std::string(16, '\xAA'));
  EXPECT_EQ(server.span_id(), std::string(8, '\xBB'));
  EXPECT_EQ(server.parent_span_id(), "");
  EXPECT_EQ(server.flags(), 1u);
  EXPECT_EQ(server.start_time_unix_nano(), 1'700'000'000'000'000'000u);
  EXPECT_EQ(server.end_time_unix_nano(), 1'700'000'000'020'000'000u);
  EXPECT_EQ(AttributeOf(server, "http.request.method"), "GET");
  EXPECT_EQ(AttributeOf(server, "url.path"), "/a");
  EXPECT_EQ(AttributeOf(server, "server.address"), "web.example");
  EXPECT_EQ(AttributeOf(server, "server.port"), "8080");
  EXPECT_EQ(AttributeOf(server, "client.address"), "::1");
  EXPECT_EQ(AttributeOf(server, "http.response.status_code"), "200");
  EXPECT_EQ(AttributeOf(server, "pillion.route"), "web/0");
  EXPECT_EQ(server.status().code(), Status::STATUS_CODE_UNSET);
  EXPECT_EQ(server.SerializeAsString().find("secret"), std::string::npos);
  for (const Span* client : {&spans[1], &spans[2]}) {
    EXPECT_EQ(client->kind(), Span::SPAN_KIND_CLIENT);
    EXPECT_EQ(client->parent_span_id(), server.span_id());
    EXPECT_EQ(client->trace_id(), server.trace_id());
    EXPECT_EQ(AttributeOf(*client, "network.peer.address"), "10.0.0.1");
    EXPECT_EQ(AttributeOf(*client, "network.protocol.version"), "2");
  }
  EXPECT_EQ(AttributeOf(spans[1], "http.request.resend_count"), "(none)");
  EXPECT_EQ(AttributeOf(spans[2], "http.request.resend_count"), "1");
}

TEST(Spans, ATokenIsShownByItsHashAndAReplayLinksToTheExecution) {
  Random random(1);
  telemetry::RequestRecord record = Sample(2);
  auto spans = SpansOf(record, random);
  EXPECT_EQ(spans[0].links_size(), 0);
  for (const Span& span : spans) EXPECT_EQ(AttributeOf(span, "pillion.token_hash"), "(none)");
  record.token = "0123456789abcdef";
  record.attempts[1].token = "0000456789abcdef";  // another one than the last
  record.attempts[1].verdict = "replayed";
  spans = SpansOf(record, random);
  EXPECT_EQ(AttributeOf(spans[0], "pillion.token_hash"), "0123456789abcdef");
  EXPECT_EQ(AttributeOf(spans[0], "pillion.verdict"), "(none)");
  EXPECT_EQ(AttributeOf(spans[1], "pillion.token_hash"), "(none)");
  EXPECT_EQ(AttributeOf(spans[1], "pillion.attempt"), "(none)");
  EXPECT_EQ(AttributeOf(spans[2], "pillion.token_hash"), "0000456789abcdef");
  EXPECT_EQ(AttributeOf(spans[2], "pillion.attempt"), "2");
  EXPECT_EQ(AttributeOf(spans[2], "pillion.verdict"), "replayed");
  record.verdict = "coalesced";
  record.linked_trace.fill(0x11);
  record.linked_span.fill(0x22);
  spans = SpansOf(record, random);
  EXPECT_EQ(AttributeOf(spans[0], "pillion.verdict"), "coalesced");
  ASSERT_EQ(spans[0].links_size(), 1);
  EXPECT_EQ(spans[0].links(0).trace_id(), std::string(16, '\x11'));
  EXPECT_EQ(spans[0].links(0).span_id(), std::string(8, '\x22'));
}

TEST(Spans, ErrorsAreMarkedOnTheSideThatHasThem) {
  Random random(1);
  telemetry::RequestRecord record = Sample(2);
  record.parent_span.fill(0xCC);
  record.status = 404;
  record.attempts[0].status = 0;
  record.attempts[0].span = {};
  record.attempts[0].error = "connection refused";
  record.attempts[1].status = 404;
  auto spans = SpansOf(record, random);
  EXPECT_EQ(spans[0].parent_span_id(), std::string(8, '\xCC'));
  EXPECT_EQ(spans[0].status().code(), Status::STATUS_CODE_UNSET) << "404 is the client's";
  EXPECT_EQ(spans[1].status().code(), Status::STATUS_CODE_ERROR);
  EXPECT_EQ(spans[1].status().message(), "connection refused");
  EXPECT_EQ(AttributeOf(spans[1], "error.type"), "no_answer");
  EXPECT_NE(spans[1].span_id(), std::string(8, '\0')) << "collectors refuse an id of zeros";
  EXPECT_EQ(spans[2].status().code(), Status::STATUS_CODE_ERROR);
  EXPECT_EQ(AttributeOf(spans[2], "error.type"), "404");
  record.status = 503;
  spans = SpansOf(record, random);
  EXPECT_EQ(spans[0].status().code(), Status::STATUS_CODE_ERROR);
  EXPECT_EQ(AttributeOf(spans[0], "error.type"), "503");
}

TEST(Spans, WhatTheClientSentIsCutAndMadeUtf8) {
  Random random(1);
  telemetry::RequestRecord record = Sample(0);
  record.path = "/\xFF" + std::string(100'000, 'x');
  record.user_agent = "\xED\xA0\x80";
  const Span span = SpansOf(record, random)[0];
  EXPECT_EQ(AttributeOf(span, "url.path").size(), kMaxAttributeBytes);
  Span read;
  EXPECT_TRUE(read.ParseFromString(span.SerializeAsString()));
}

// The exporter on virtual time; the test plays the exchanges.
class SpanExporterTest : public ::testing::Test {
 protected:
  struct Call {
    std::string cluster;
    std::unique_ptr<stream::ClientStream> stream;
    ExportTraceServiceRequest Request() const {
      std::string bytes(stream->in().content.bytes(), '\0');
      stream->in().content.CopyTo(bytes.data(), bytes.size());
      ExportTraceServiceRequest request;
      EXPECT_TRUE(bytes.size() >= 5 && request.ParseFromString(bytes.substr(5)));
      return request;
    }
    int Spans() const { return Request().resource_spans(0).scope_spans(0).spans_size(); }
  };
  void Answer(Call& call, const std::string& grpc_status, int64_t rejected = 0) {
    http::ResponseHead head;
    ASSERT_TRUE(call.stream->SendResponse(head, false));
    ExportTraceServiceResponse response;
    if (rejected > 0) response.mutable_partial_success()->set_rejected_spans(rejected);
    const std::string message = response.SerializeAsString();
    SliceQueue content;
    content.AppendCopy({"\0\0\0\0", 4});
    content.AppendCopy(std::string(1, static_cast<char>(message.size())) + message);
    call.stream->SendContent(content);
    http::HeaderList trailers;
    trailers.Add(http::Known::kGrpcStatus, grpc_status);
    call.stream->FinishWithTrailers(trailers);
    call.stream.reset();
    turn_.Run();
  }
  void Advance(time::Duration by) {
    const time::MonotonicTime target = clock_.Now() + by;
    while (clock_.Now() < target) {
      clock_.AdvanceTo(std::min(target, clock_.Now() + milliseconds(10)));
      turn_.Run();
    }
  }
  void Add(size_t records, size_t attempts = 0) {
    for (size_t i = 0; i < records; ++i) exporter_.Add(Sample(attempts));
    turn_.Run();
  }
  uint64_t Dropped() const { return stats_.spans_dropped.value(); }

  testing::VirtualClock clock_;
  stream::Turn turn_{clock_};
  Random random_{7};
  telemetry::WorkerStats stats_;
  std::vector<Call> calls_;
  SpanExporter exporter_{turn_, random_, stats_, "node-1",
                         [this](std::string_view cluster, std::unique_ptr<stream::ClientStream> stream) {
                           calls_.push_back({std::string(cluster), std::move(stream)});
                         }};
};

TEST_F(SpanExporterTest, AFullBatchLeavesAtOnce) {
  Add(SpanExporter::kBatchSpans - 1);
  EXPECT_TRUE(calls_.empty());
  Add(1);
  ASSERT_EQ(calls_.size(), 1u);
  EXPECT_EQ(calls_[0].cluster, "otel");
  EXPECT_EQ(calls_[0].Spans(), 512);
  EXPECT_EQ(calls_[0].stream->request().path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
  EXPECT_TRUE(calls_[0].stream->in().ended);
  Answer(calls_[0], "0");
  EXPECT_TRUE(exporter_.idle());
  EXPECT_EQ(Dropped(), 0u);
}

TEST_F(SpanExporterTest, APartialBatchLeavesAfterASecond) {
  Add(3, 1);
  Advance(milliseconds(900));
  EXPECT_TRUE(calls_.empty());
  Advance(milliseconds(150));
  ASSERT_EQ(calls_.size(), 1u);
  EXPECT_EQ(calls_[0].Spans(), 6);
  const auto request = calls_[0].Request();
  EXPECT_EQ(request.resource_spans(0).resource().attributes(0).value().string_value(), "orders");
  EXPECT_EQ(request.resource_spans(0).resource().attributes(1).value().string_value(), "node-1");
}

TEST_F(SpanExporterTest, EachServiceAndCollectorHasItsOwnBatch) {
  exporter_.Add(Sample(0, "orders", "a"));
  exporter_.Add(Sample(0, "payments", "a"));
  exporter_.Add(Sample(0, "orders", "b"));
  Advance(milliseconds(1050));
  ASSERT_EQ(calls_.size(), 3u);
  EXPECT_EQ(calls_[2].cluster, "b");
}

TEST_F(SpanExporterTest, WhatIsNotSampledOrNotTracedIsPassedOver) {
  telemetry::RequestRecord record = Sample(0);
  record.sampled = false;
  exporter_.Add(record);
  record.sampled = true;
  record.reporting = std::make_shared<config::Reporting>();
  exporter_.Add(record);
  Advance(seconds(2));
  EXPECT_TRUE(calls_.empty());
  EXPECT_EQ(Dropped(), 0u);
}

TEST_F(SpanExporterTest, TwoCallsAtOnceThenTheQueueFillsThenSpansDrop) {
  Add(2 * SpanExporter::kBatchSpans);
  EXPECT_EQ(calls_.size(), 2u);
  Add(SpanExporter::kMaxQueuedSpans + 100);
  EXPECT_EQ(calls_.size(), 2u);
  EXPECT_EQ(Dropped(), 100u);
  Answer(calls_[0], "0");
  EXPECT_EQ(calls_.size(), 3u);
  EXPECT_EQ(Dropped(), 100u);
}

TEST_F(SpanExporterTest, ADeadCollectorCostsCountedDropsAndFewCalls) {
  for (int second = 0; second < 60; ++second) {
    Add(SpanExporter::kBatchSpans);
    for (int tick = 0; tick < 10; ++tick) {
      for (Call& call : calls_) {
        if (call.stream == nullptr) continue;
        call.stream->Reset({ErrorKind::kConnectFailed, Side::kUpstream, Outcome::kNotSent, "refused"});
        call.stream.reset();
      }
      Advance(milliseconds(100));
    }
  }
  // Back-off 250 ms doubling to 5 s with jitter from a half: at most about 24 failures of 2 calls each.
  EXPECT_LT(calls_.size(), 50u);
  EXPECT_GT(calls_.size(), 10u);
  EXPECT_GT(Dropped(), 20'000u);
  // It comes back: the next try goes through, and batches flow again.
  Advance(SpanExporter::kMaxBackoff);
  const size_t before = calls_.size();
  for (size_t i = 0; i < calls_.size(); ++i) {
    if (calls_[i].stream != nullptr) Answer(calls_[i], "0");
  }
  const uint64_t dropped = Dropped();
  Add(SpanExporter::kBatchSpans);
  EXPECT_GT(calls_.size(), before);
  EXPECT_EQ(Dropped(), dropped);
}

TEST_F(SpanExporterTest, ACallThatTakesTooLongIsGivenUp) {
  Add(SpanExporter::kBatchSpans);
  ASSERT_EQ(calls_.size(), 1u);
  Advance(milliseconds(9'900));
  EXPECT_FALSE(calls_[0].stream->in().error);
  Advance(milliseconds(200));
  EXPECT_EQ(calls_[0].stream->in().error.kind, ErrorKind::kClientGone);
  EXPECT_EQ(Dropped(), 512u);
  EXPECT_TRUE(exporter_.idle());
}

TEST_F(SpanExporterTest, RefusedAndRejectedSpansAreCounted) {
  Add(SpanExporter::kBatchSpans);
  Answer(calls_[0], "0", 7);
  EXPECT_EQ(Dropped(), 7u);
  Add(SpanExporter::kBatchSpans);
  Answer(calls_[1], "8");
  EXPECT_EQ(Dropped(), 7u + 512u);
}

TEST_F(SpanExporterTest, HurrySendsWhatIsQueued) {
  Add(3);
  exporter_.Hurry();
  turn_.Run();
  ASSERT_EQ(calls_.size(), 1u);
  EXPECT_FALSE(exporter_.idle());
  Answer(calls_[0], "0");
  EXPECT_TRUE(exporter_.idle());
}

}  // namespace
}  // namespace pillion::exporting
