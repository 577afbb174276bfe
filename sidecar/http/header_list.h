// The fields of a message head or trailer section, in order, in one growing text (RFC 9110 section 5).
//
//   text_   |Host|a.example|User-Agent|curl/8|...       fields_   {where, sizes, id}
//
// A parser that has the whole head at hand copies it at once: AddSpan per field, then TakeText (the bytes
// between fields are then part of text_ and harmless). Names keep the case they came in; every look-up
// ignores case. Clear() keeps the memory, so a recycled list costs no allocation. Views returned are valid
// until the list changes. A value type: one owner, any thread.
#ifndef PILLION_SIDECAR_HTTP_HEADER_LIST_H_
#define PILLION_SIDECAR_HTTP_HEADER_LIST_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pillion::http {

// Names that the sidecar itself looks at; found by number instead of by text.
enum class Known : uint8_t {
  kOther,
  kAccept,
  kAuthority,  // never in a list; the pseudo-header lives in RequestHead
  kConnection,
  kContentLength,
  kContentType,
  kCookie,
  kDate,
  kExpect,
  kGrpcMessage,
  kGrpcStatus,
  kGrpcTimeout,
  kHost,
  kHttp2Settings,
  kIdempotencyKey,
  kKeepAlive,
  kPillionAttempt,      // pillion-attempt: which try of its token a request is, between two sidecars only
  kPillionDeadline,     // x-pillion-deadline: the milliseconds that a request has left
  kPillionDedup,        // pillion-dedup: what became of its token, likewise
  kPillionDomain,       // pillion-domain: for which its token is, likewise
  kPillionExplain,      // x-pillion-explain: asks for, and carries, the reason
  kPillionFirst,        // pillion-first: which process the first try of its token went to, likewise
  kPillionNotExecuted,  // pillion-not-executed: an app says that it has not run a request
  kPillionOrigin,       // pillion-h1: the app's own protocol, between two sidecars only
  kPillionOutcome,      // pillion-outcome: how the far sidecar's attempt ended, between two sidecars only
  kPillionToken,        // pillion-token: its idempotency token, likewise
  kPillionOther,        // any other name that begins with pillion-: some other version's; look for it by name
  kProxyConnection,
  kServer,
  kTe,
  kTraceparent,
  kTracestate,
  kTrailer,
  kTransferEncoding,
  kUpgrade,
  kUserAgent,
  kVia,
  kRequestId,
  kAttemptCount,         // x-envoy-attempt-count
  kForwardedClientCert,  // x-forwarded-client-cert
  kCount,
};

// Several of them, looked for at once. Not kOther.
class KnownSet {
 public:
  constexpr KnownSet(std::initializer_list<Known> all) {
    for (const Known known : all) bits_ |= uint64_t{1} << static_cast<unsigned>(known);
  }
  constexpr uint64_t bits() const { return bits_; }

 private:
  uint64_t bits_ = 0;
};

// kOther when the name is not one of them. ASCII case does not matter.
Known Lookup(std::string_view name);
// The lower-case name; "" for kOther, kPillionOther and kCount.
std::string_view NameOf(Known known);

class HeaderList {
 public:
  struct Field {
    std::string_view name;
    std::string_view value;
    Known known;
  };

  void Add(std::string_view name, std::string_view value) { AddKnown(Lookup(name), name, value); }
  void Add(Known known, std::string_view value) { AddKnown(known, NameOf(known), value); }
  // `known` must be Lookup(name): for a caller that has looked already.
  void AddKnown(Known known, std::string_view name, std::string_view value);
  // A field whose name and value stand at these offsets of the text that TakeText will copy. The list must be
  // empty before the first AddSpan, and must not be read or changed between it and TakeText.
  void AddSpan(Known known, uint32_t name_at, uint16_t name_size, uint32_t value_at, uint32_t value_size) {
    fields_.push_back({name_at, value_at, value_size, name_size, known});
    present_ |= uint64_t{1} << static_cast<unsigned>(known);
  }
  void TakeText(std::string_view text) { text_.assign(text); }
  // Replaces every field of that name by one.
  void Set(Known known, std::string_view value);
  // First value; nullopt when absent.
  std::optional<std::string_view> Find(Known known) const;
  std::optional<std::string_view> Find(std::string_view name) const;
  bool Has(Known known) const { return (present_ >> static_cast<unsigned>(known) & 1) != 0; }
  bool HasAny(KnownSet set) const { return (present_ & set.bits()) != 0; }
  void RemoveAny(KnownSet set) {
    if (HasAny(set)) RemovePresent(set.bits());
  }
  // Return how many were removed.
  size_t Remove(Known known);
  size_t Remove(std::string_view name);

  size_t size() const { return fields_.size(); }
  bool empty() const { return fields_.empty(); }
  Field operator[](size_t i) const;
  // Bytes held for names and values, removed fields and what stood between fields included.
  size_t text_bytes() const { return text_.size(); }
  size_t held_bytes() const { return text_.size() + fields_.size() * sizeof(Entry); }
  void Reserve(size_t fields, size_t text_bytes);
  void Clear();
  // Rewrites the name of field `i`, which must be equal but for case (the far sidecar restores the app's
  // case).
  void RenameCase(size_t i, std::string_view name);
  friend void swap(HeaderList& a, HeaderList& b) noexcept {
    a.text_.swap(b.text_);
    a.fields_.swap(b.fields_);
    std::swap(a.present_, b.present_);
  }

 private:
  struct Entry {
    uint32_t name_at;
    uint32_t value_at;
    uint32_t value_size;
    uint16_t name_size;
    Known known;
  };
  void RemovePresent(uint64_t bits);
  std::string_view NameAt(const Entry& e) const { return {text_.data() + e.name_at, e.name_size}; }
  std::string_view ValueAt(const Entry& e) const { return {text_.data() + e.value_at, e.value_size}; }
  std::string text_;
  std::vector<Entry> fields_;
  uint64_t present_ = 0;  // bit per Known; set = at least one field (kOther: undefined)
};

static_assert(static_cast<unsigned>(Known::kCount) <= 64);

}  // namespace pillion::http

#endif  // PILLION_SIDECAR_HTTP_HEADER_LIST_H_
