#include "sidecar/filters/request_id/request_id.h"

#include <array>
#include <string_view>

namespace pillion::filters {
namespace {

std::array<char, 36> Uuid4(Random& random) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  uint64_t high = random.Next();
  uint64_t low = random.Next();
  high = (high & ~uint64_t{0xF000}) | 0x4000;                // version
  low = (low & ~(uint64_t{3} << 62)) | (uint64_t{2} << 62);  // variant
  std::array<char, 36> text;
  size_t at = 0;
  for (int nibble = 0; nibble < 32; ++nibble) {
    if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20) text[at++] = '-';
    const uint64_t word = nibble < 16 ? high : low;
    text[at++] = kDigits[word >> (60 - 4 * (nibble % 16)) & 0xF];
  }
  return text;
}

}  // namespace

filter::Decision RequestId::OnRequestHead(const filter::RequestView& request) const {
  if (request.options.generate_request_id && !request.head.headers.Has(http::Known::kRequestId)) {
    const std::array<char, 36> id = Uuid4(request.random);
    request.head.headers.Add(http::Known::kRequestId, std::string_view(id.data(), id.size()));
  }
  return filter::Decision::kContinue;
}

}  // namespace pillion::filters
