// The transforms of one request, and the queues between them.
//
//   client  --> [in] first [in] second ... --> request_out()  --> attempt
//   client  <-- response_out() <-- first [in] <-- second [in] <-- attempt, or the answer made here
//
// Each queue is what the transform behind it has not taken: at most its limit, or one step when it waits for
// its output to leave. Owner: the exchange, through RequestState.
#ifndef PILLION_SIDECAR_FILTER_CHAIN_H_
#define PILLION_SIDECAR_FILTER_CHAIN_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "sidecar/base/recycled.h"
#include "sidecar/filter/filter.h"

namespace pillion::filter {

// What a transform may leave in its queue, where it does not know better. Attack: a message without end.
inline constexpr size_t kMaxHeldBytes = size_t{1024} * 1024;
// Content that one call feeds, and what a transform is asked to put out in one call.
inline constexpr size_t kStepBytes = size_t{64} * 1024;

struct HeldLimits {
  size_t request = kMaxHeldBytes;
  size_t response = kMaxHeldBytes;
};

// What feeding has come to.
enum class Passage : uint8_t {
  kFlows,
  kHeld,      // a head waits
  kAnswered,  // request side: Decision::kRespond
  kBroken,    // Decision::kReset
  kTooLarge,  // a transform left more than its limit
  kRematch,   // request side: the head was held, may go, and has changed
};

class Chain : public Recycled<Chain> {
 public:
  Chain() = default;
  void Add(std::unique_ptr<Transform> transform, HeldLimits limits);

  // Takes a step's worth of `content` through the request hooks. `ended`: no content comes behind it; then
  // `trailers` are handed over too, once. Call again when request_out() is empty or content has come.
  Passage FeedRequest(SliceQueue& content, bool ended, http::HeaderList& trailers,
                      const RequestView& request);
  // The filter whose transform was added last holds the request head.
  void HoldRequest() { request_held_ = true; }
  bool request_held() const { return request_held_; }
  SliceQueue& request_out() { return request_out_; }
  // The last feed, either way, moved something.
  bool progressed() const { return progressed_; }
  // A request hook has filled in an answer; nothing is fed any more.
  bool request_answered() const { return request_answered_; }
  // All hooks have seen the end: what is in request_out() is the rest.
  bool request_over() const { return links_.back().request.over; }

  // A response begins, also a second one after ForgetResponse.
  Passage BeginResponse(const ResponseHeadView& response);
  // kIsAskedAgain: who holds the head waits for something else than content (Await), and may have been rung:
  // it gets no more of that, also where there is none.
  enum class Holder : bool { kGetsContent, kIsAskedAgain };
  Passage FeedResponse(SliceQueue& content, bool ended, http::HeaderList& trailers, http::ResponseHead& head,
                       Holder holder = Holder::kGetsContent);
  bool response_begun() const { return response_begun_; }
  bool response_held() const { return response_held_; }
  // Which of the transforms holds it.
  size_t response_holder() const { return response_at_; }
  void ForgetResponse();
  SliceQueue& response_out() { return response_out_; }
  bool response_over() const { return links_.front().response.over; }
  // Of all transforms.
  bool only_response_head() const;
  // As Transform's, of the first that says so.
  std::optional<time::MonotonicTime> goes_on_until() const;
  // True: it was not known.
  bool TellClientGone();
  // In all queues, and by the transforms themselves.
  size_t HeldBytes() const;
  // A transform has done its share of this turn: nothing is to be fed before the next, which BeginTurn
  // begins.
  bool yielded() const { return yielded_; }
  void BeginTurn() { yielded_ = false; }
  // Trailers of an answer that is made here: the hooks may add some.
  http::HeaderList local_trailers;

 private:
  struct Lane {
    SliceQueue in;
    bool over = false;  // it has seen the end
  };
  struct Link {
    Link(std::unique_ptr<Transform> hooks, HeldLimits most) : transform(std::move(hooks)), limits(most) {}
    std::unique_ptr<Transform> transform;
    HeldLimits limits;
    Lane request;
    Lane response;
  };
  // OnResponseHead of link `at` and on towards the client, as far as nobody holds.
  Passage PassHead(size_t at, const ResponseHeadView& response);
  Passage FeedLink(Link& link, SliceQueue& out, bool end, http::HeaderList& trailers,
                   const RequestView& request);
  Passage FeedLink(Link& link, SliceQueue& out, bool end, http::HeaderList& trailers,
                   http::ResponseHead& head);

  absl::InlinedVector<Link, 1> links_;  // most chains have one
  SliceQueue request_out_;
  SliceQueue response_out_;
  bool progressed_ = false;
  bool yielded_ = false;
  bool request_held_ = false;
  bool request_answered_ = false;
  bool response_begun_ = false;
  size_t response_at_ = 0;      // the links from it on have seen the response head, and
  bool response_held_ = false;  // it holds it
  uint16_t local_status_ = 0;
  RequestError failure_;
};

// Makes the chain when there is none yet.
void AddTransform(RequestState& state, std::unique_ptr<Transform> transform, HeldLimits limits = {});

}  // namespace pillion::filter

#endif  // PILLION_SIDECAR_FILTER_CHAIN_H_
