#include "sidecar/http/header_list.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <iterator>

#include "sidecar/base/text.h"

namespace pillion::http {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(Known::kCount)> kNames = {
    "",
    "accept",
    ":authority",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "grpc-message",
    "grpc-status",
    "grpc-timeout",
    "host",
    "http2-settings",
    "idempotency-key",
    "keep-alive",
    "pillion-attempt",
    "x-pillion-deadline",
    "pillion-dedup",
    "pillion-domain",
    "x-pillion-explain",
    "pillion-first",
    "pillion-not-executed",
    "pillion-h1",
    "pillion-outcome",
    "pillion-token",
    "",
    "proxy-connection",
    "server",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-request-id",
    "x-envoy-attempt-count",
    "x-forwarded-client-cert",
};

constexpr size_t kLongestName = 23;

// Names by length, at most six of one length, each as three words in lower case.
struct ByLength {
  struct Name {
    uint64_t words[3] = {};
    Known known = Known::kOther;
  };
  std::array<std::array<Name, 8>, kLongestName + 1> names{};
  constexpr ByLength() {
    for (size_t i = 1; i < kNames.size(); ++i) {
      if (kNames[i].empty()) continue;
      auto& row = names[kNames[i].size()];
      size_t slot = 0;
      while (row[slot].known != Known::kOther) ++slot;
      row[slot].known = static_cast<Known>(i);
      for (size_t b = 0; b < kNames[i].size(); ++b) {
        row[slot].words[b / 8] |= uint64_t{static_cast<unsigned char>(kNames[i][b])} << (b % 8 * 8);
      }
    }
  }
};
constexpr ByLength kByLength;
static_assert(std::endian::native == std::endian::little);

// Up to eight bytes as a word, zero behind them; reads nothing outside.
uint64_t Word(std::string_view text) {
  const char* const at = text.data();
  const size_t size = text.size();
  uint64_t word = 0;
  if (size >= 8) {
    std::memcpy(&word, at, 8);
  } else if (size >= 4) {
    uint32_t low = 0;
    uint32_t high = 0;
    std::memcpy(&low, at, 4);
    std::memcpy(&high, at + size - 4, 4);
    word = low | uint64_t{high} << (size - 4) * 8;
  } else {
    for (size_t i = 0; i < size; ++i) word |= uint64_t{static_cast<unsigned char>(at[i])} << i * 8;
  }
  return word;
}

// Lower-cases the letters of a word, each byte by itself, and leaves all other bytes as they are.
uint64_t Lower(uint64_t word) {
  constexpr uint64_t kEach = 0x0101010101010101;
  const uint64_t ascii = word & kEach * 0x7f;
  const uint64_t from_a = ascii + kEach * (0x80 - 'A');      // high bit: at least 'A'
  const uint64_t past_z = ascii + kEach * (0x80 - 'Z' - 1);  // high bit: above 'Z'
  const uint64_t upper = from_a & ~past_z & ~word & kEach * 0x80;
  return word | upper >> 2;
}

// Of a name that is none of kNames.
Known OtherThanKnown(std::string_view name) {
  constexpr uint64_t kPillion = 0x2d6e6f696c6c6970;  // "pillion-"
  return name.size() > 8 && Lower(Word(name)) == kPillion ? Known::kPillionOther : Known::kOther;
}

// Which stand for one name.
bool IsOne(Known known) { return known != Known::kOther && known != Known::kPillionOther; }

}  // namespace

Known Lookup(std::string_view name) {
  if (name.size() > kLongestName) return OtherThanKnown(name);
  const auto& row = kByLength.names[name.size()];
  if (row[0].known == Known::kOther) return OtherThanKnown(name);
  const size_t size = name.size();
  const uint64_t words[3] = {
      Lower(Word(name)),
      size > 8 ? Lower(Word(name.substr(8))) : 0,
      size > 16 ? Lower(Word(name.substr(16))) : 0,
  };
  for (const ByLength::Name& candidate : row) {
    if (candidate.known == Known::kOther) break;
    if (candidate.words[0] == words[0] && candidate.words[1] == words[1] && candidate.words[2] == words[2]) {
      return candidate.known;
    }
  }
  return OtherThanKnown(name);
}

std::string_view NameOf(Known known) {
  return known < Known::kCount ? kNames[static_cast<size_t>(known)] : std::string_view();
}

void HeaderList::AddKnown(Known known, std::string_view name, std::string_view value) {
  const auto at = static_cast<uint32_t>(text_.size());
  fields_.push_back({at, static_cast<uint32_t>(at + name.size()), static_cast<uint32_t>(value.size()),
                     static_cast<uint16_t>(name.size()), known});
  text_.append(name);
  text_.append(value);
  present_ |= uint64_t{1} << static_cast<unsigned>(known);
}

void HeaderList::Set(Known known, std::string_view value) {
  Remove(known);
  Add(known, value);
}

std::optional<std::string_view> HeaderList::Find(Known known) const {
  if (!Has(known)) return std::nullopt;
  for (const Entry& entry : fields_) {
    if (entry.known == known) return ValueAt(entry);
  }
  return std::nullopt;
}

std::optional<std::string_view> HeaderList::Find(std::string_view name) const {
  const Known known = Lookup(name);
  if (IsOne(known)) return Find(known);
  for (const Entry& entry : fields_) {
    if (entry.known == known && EqualsIgnoreCase(NameAt(entry), name)) return ValueAt(entry);
  }
  return std::nullopt;
}

size_t HeaderList::Remove(Known known) {
  if (!Has(known)) return 0;
  const size_t before = fields_.size();
  std::erase_if(fields_, [known](const Entry& e) { return e.known == known; });
  present_ &= ~(uint64_t{1} << static_cast<unsigned>(known));
  return before - fields_.size();
}

void HeaderList::RemovePresent(uint64_t bits) {
  std::erase_if(fields_,
                [bits](const Entry& e) { return (bits >> static_cast<unsigned>(e.known) & 1) != 0; });
  present_ &= ~bits;
}

size_t HeaderList::Remove(std::string_view name) {
  const Known known = Lookup(name);
  if (IsOne(known)) return Remove(known);
  const size_t before = fields_.size();
  std::erase_if(fields_,
                [&](const Entry& e) { return e.known == known && EqualsIgnoreCase(NameAt(e), name); });
  return before - fields_.size();
}

HeaderList::Field HeaderList::operator[](size_t i) const {
  const Entry& entry = fields_[i];
  return {NameAt(entry), ValueAt(entry), entry.known};
}

void HeaderList::Reserve(size_t fields, size_t text_bytes) {
  fields_.reserve(fields);
  text_.reserve(text_bytes);
}

void HeaderList::Clear() {
  fields_.clear();
  text_.clear();
  present_ = 0;
}

void HeaderList::RenameCase(size_t i, std::string_view name) {
  if (name.size() == fields_[i].name_size) text_.replace(fields_[i].name_at, name.size(), name);
}

}  // namespace pillion::http
