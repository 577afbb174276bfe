// What all TLS connections of a worker use in turn: the pace of handshakes, and memory for records under way.
#ifndef PILLION_SIDECAR_TLS_WORKER_TOOLS_H_
#define PILLION_SIDECAR_TLS_WORKER_TOOLS_H_

#include <string>

#include "sidecar/base/intrusive_list.h"
#include "sidecar/net/loop.h"

namespace pillion::tls {

struct PaceTag;

// Who waits for his turn is marked as ready when it comes.
class Paced : public ListNode<PaceTag> {
 protected:
  net::Observer* upper_ = nullptr;

 private:
  friend class HandshakePacer;
};

// One step of a handshake costs up to a millisecond. A worker takes at most one in each turn of its loop, so
// that a flood of handshakes delays its other connections by no more than that; who comes too late waits in
// line. Attack: ClientHellos without end.
//
//   MayStep -> yes, once per turn | no: waits -> BeginTurn -> OnReady -> (its session runs) -> MayStep ->
//   yes
class HandshakePacer {
 public:
  // At the start of each turn.
  void BeginTurn() {
    used_ = false;
    next_ = waiting_.PopFront();
    if (next_ != nullptr && next_->upper_ != nullptr) next_->upper_->OnReady(true, true);
  }
  bool MayStep(Paced& who) {
    if (!used_ && (next_ == &who || (next_ == nullptr && waiting_.empty()))) {
      used_ = true;
      next_ = nullptr;
      who.ListNode<PaceTag>::Unlink();
      return true;
    }
    if (&who != next_ && !who.ListNode<PaceTag>::linked()) waiting_.PushBack(&who);
    return false;
  }
  void Forget(Paced& who) {
    who.ListNode<PaceTag>::Unlink();
    if (next_ == &who) next_ = nullptr;
  }
  // The next turn should not wait for readiness.
  bool waiting() const { return !waiting_.empty(); }

 private:
  IntrusiveList<Paced, PaceTag> waiting_;
  Paced* next_ = nullptr;  // whose turn it is
  bool used_ = false;
};

struct WorkerTools {
  HandshakePacer pacer;
  std::string plain;   // a record that is being gathered
  std::string cipher;  // what has been sealed and not been written; empty between calls
};

}  // namespace pillion::tls

#endif  // PILLION_SIDECAR_TLS_WORKER_TOOLS_H_
