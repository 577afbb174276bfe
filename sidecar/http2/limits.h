// What an HTTP/2 peer can make us hold or do, by name (STYLE.md R11).
#ifndef PILLION_SIDECAR_HTTP2_LIMITS_H_
#define PILLION_SIDECAR_HTTP2_LIMITS_H_

#include <cstddef>
#include <cstdint>

namespace pillion::http2 {

// Larger than heads are, cookies and tokens included.
inline constexpr size_t kOrdinaryHeadBytes = size_t{16} * 1024;

// Of a note of the server's (Codec::SendNote), one of which is kept per connection. Attack: memory.
inline constexpr size_t kMaxNoteBytes = 2048;

struct Limits {
  // Streams that a peer may have open at once. Attack: rapid reset, memory.
  uint32_t max_concurrent_streams = 1024;
  // Client: the last stream id that is used; ids never come again on one connection (RFC 9113 section 5.1.1).
  // After it the connection takes no more streams and is left for a new one, as after a GOAWAY.
  uint32_t last_stream_id = 0x7fffffff;
  // Content of one stream that we hold for a reader that does not read: the stream's receive window.
  uint32_t stream_window_bytes = uint32_t{256} * 1024;
  // Content in flight on the whole connection; credit is returned at once, so this bounds a burst, not
  // memory.
  uint32_t connection_window_bytes = 16 * 1024 * 1024;
  // Decoded fields of one head (RFC 9113 section 6.5.2, SETTINGS_MAX_HEADER_LIST_SIZE).
  size_t max_head_bytes = size_t{60} * 1024;
  size_t max_fields = 100;  // pseudo-fields do not count
  // Server: decoded fields, heads and trailers, of all requests that are under way on one connection. A head
  // beyond it is refused with REFUSED_STREAM: it was not looked at, and may be sent again; a sidecar then
  // opens fewer on all of its connections to that endpoint (session/pool.h). Attack: HPACK makes 55 KiB of 75
  // bytes, and a thousand requests may be open. Between two sidecars one connection carries the requests of
  // many clients: there is room for kOrdinaryHeadBytes of each of max_concurrent_streams.
  size_t max_request_heads_bytes = size_t{1024} * kOrdinaryHeadBytes;
  // Encoded bytes of one head that we send; larger gives that request an error, never the connection.
  size_t max_sent_head_bytes = size_t{60} * 1024;
  // Content queued in the codec per stream before the sender is told to wait.
  size_t send_buffer_bytes = size_t{64} * 1024;
  // 1xx heads of one stream that wait to be sent; more are left out. Attack: an upstream that sends nothing
  // else, towards a client that does not read.
  uint32_t max_queued_informational = 8;
  // Frames in answer to the peer's own (PING, SETTINGS, RST_STREAM) that may wait for a peer that does not
  // read; more end the connection.
  size_t max_outbound_control_frames = 1000;
  // Frames of the peer that ask for work and carry nothing (PING, SETTINGS, PRIORITY, WINDOW_UPDATE,
  // RST_STREAM, empty DATA, CONTINUATION, unknown ones) and heads over their limit or of streams that are
  // over are paid from a purse that useful frames and time fill again; an empty purse ends the connection.
  // Attack: floods of them (CVE-2019-9511 to 9518).
  uint32_t max_idle_frames = 10'000;
  uint32_t frames_per_stream = 20;        // a stream that is opened pays for so many
  uint32_t frames_per_data = 20;          // a DATA frame with content, of either side
  uint32_t frames_per_second = 100;       // time that passes
  uint32_t frames_of_a_large_head = 100;  // what a head over its limit costs
  // What a head, or trailers, of a stream that is over costs, and each CONTINUATION of it. For each stream
  // that we have reset, two such HEADERS cost nothing, of whatever stream they are; their CONTINUATIONs do.
  uint32_t frames_of_a_passed_head = 4;
  // Streams that a client resets soon after it opened them, or that we reset because it broke a rule on them,
  // are paid from a second purse; each stream that is answered and time fill it again. Attack: work that is
  // begun and given up (CVE-2023-44487 rapid reset, CVE-2025-8671 MadeYouReset). Clients that cancel a lot
  // have been answered, or waited.
  uint32_t max_early_resets = 2048;
  uint32_t resets_per_second = 50;
  // Client: streams that we reset unanswered, soon after we opened them, or that are open and could come to
  // it. No more are opened: a peer ends the connection that many clients share for what one of them does.
  // Servers that count resets bear 500 (Envoy) or 1000 (nghttp2) at once, and 33 a second; what is under way
  // counts here before it does there.
  uint32_t max_own_resets = 400;
  uint32_t own_resets_per_second = 25;
};

}  // namespace pillion::http2

#endif  // PILLION_SIDECAR_HTTP2_LIMITS_H_
