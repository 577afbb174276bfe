// How short memory is, told to all workers by the memory guard (main/memory_guard.h). Each step includes
// those before it.
#ifndef PILLION_SIDECAR_BASE_PRESSURE_H_
#define PILLION_SIDECAR_BASE_PRESSURE_H_

#include <atomic>
#include <cstdint>

namespace pillion {

enum class Pressure : uint8_t {
  kNone,
  kShedRequests,       // new requests get 503
  kShedStreams,        // those that hold most are given up
  kRefuseConnections,  // new connections are closed unheard
};

// Written under the guard's lock, by the main loop and by workers that look themselves; read by any thread.
class PressureGauge {
 public:
  Pressure level() const { return level_.load(std::memory_order_relaxed); }
  void Set(Pressure level) { level_.store(level, std::memory_order_relaxed); }

 private:
  std::atomic<Pressure> level_{Pressure::kNone};
};

}  // namespace pillion

#endif  // PILLION_SIDECAR_BASE_PRESSURE_H_
