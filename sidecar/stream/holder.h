// What holds bytes of peers, and can be given up when memory is short (base/pressure.h).
#ifndef PILLION_SIDECAR_STREAM_HOLDER_H_
#define PILLION_SIDECAR_STREAM_HOLDER_H_

#include <cstddef>
#include <vector>

#include "sidecar/base/request_error.h"
#include "sidecar/stream/turn.h"

namespace pillion::stream {

class Holder : public Runnable {
 public:
  // Bytes that it holds for a side that has not taken them, as far as it can see; no byte is another
  // holder's too.
  virtual size_t HeldBytes() const = 0;
  // From outside of its Run: lets go of them, with that error for whoever still listens.
  virtual void GiveUp(const RequestError& why) = 0;
};

// Gives those up that hold most, until about half of all that is held is free, and has them run first;
// returns how many. Not from the Run of one of them.
size_t GiveUpLargest(const std::vector<Holder*>& holders, Turn& turn);

}  // namespace pillion::stream

#endif  // PILLION_SIDECAR_STREAM_HOLDER_H_
