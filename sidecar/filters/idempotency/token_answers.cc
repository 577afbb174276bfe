#include "sidecar/filters/idempotency/token_answers.h"

#include <algorithm>
#include <string>

#include "sidecar/base/text.h"

namespace pillion::filters {
namespace {

using idempotency::Verdict;

// Of the answer that is saved, not of one that tells it again; or a hop's own (specs/idempotency.md 2.12).
bool IsOfOneMessage(http::Known known, std::string_view name) {
  using http::Known;
  switch (known) {
    case Known::kConnection:
    case Known::kKeepAlive:
    case Known::kPillionDedup:
    case Known::kPillionExplain:
    case Known::kPillionNotExecuted:
    case Known::kPillionOrigin:
    case Known::kPillionOutcome:
    case Known::kProxyConnection:
    case Known::kRequestId:
    case Known::kTraceparent:
    case Known::kTracestate:
    case Known::kTransferEncoding:
    case Known::kUpgrade:
      return true;
    default:
      return known == Known::kOther &&
             (EqualsIgnoreCase(name, "server-timing") || EqualsIgnoreCase(name, "retry-after"));
  }
}

}  // namespace

void FillReplay(const idempotency::SavedAnswer& saved, Verdict verdict, idempotency::DomainTime now,
                uint64_t execution, http::ResponseHead& head, SliceQueue& body) {
  head.Clear();
  body.Clear();
  head.status = saved.status();
  saved.AddHeadTo(head.headers);
  const int64_t age = std::max<int64_t>(0, (now - saved.execution().at).count() / 1000);
  std::string told(idempotency::ToString(verdict));
  told += ";age=" + std::to_string(age) + ";exec=\"" + std::to_string(execution) + '"';
  head.headers.Add(http::Known::kPillionDedup, told);
  using Kind = http::ContentLength::Kind;
  head.content = saved.has_trailers() ? http::ContentLength{Kind::kUnsized, 0}
                                      : http::ContentLength{Kind::kSized, saved.content().size()};
  body.AppendCopy(saved.content());
}

bool IsSaved(const http::HeaderList::Field& field) { return !IsOfOneMessage(field.known, field.name); }

}  // namespace pillion::filters
