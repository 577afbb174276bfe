// Collects what is wrong with one object while it is read; used by the readers in this folder.
#ifndef PILLION_CONTROL_PLANE_MODEL_REPORT_H_
#define PILLION_CONTROL_PLANE_MODEL_REPORT_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control-plane/model/origin.h"

namespace pillion::control {

class Report {
 public:
  // `problems` outlives it.
  Report(std::shared_ptr<const Origin> origin, std::vector<Problem>& problems)
      : origin_(std::move(origin)), problems_(problems) {}

  void Add(const std::string& path, std::string message) {
    problems_.push_back(origin_->At(path, std::move(message)));
    failed_ = true;
  }
  // A value that nothing was expected to be at `path`.
  void NotImplemented(const std::string& path) { Add(path, "not implemented yet"); }
  bool failed() const { return failed_; }
  const std::shared_ptr<const Origin>& origin() const { return origin_; }

 private:
  std::shared_ptr<const Origin> origin_;
  std::vector<Problem>& problems_;
  bool failed_ = false;
};

// GEP-2257: one to four of `<digits><h|m|s|ms>`, e.g. `1m30s`, `500ms`, `0s`. nullopt: not one.
std::optional<std::chrono::milliseconds> ParseGatewayDuration(std::string_view text);

// RFC 1123: 1 to 63 of a-z, 0-9 and -, not at the ends.
bool IsDnsLabel(std::string_view text);
// Labels with dots between, at most 253 characters.
bool IsDnsSubdomain(std::string_view text);
// RFC 9110 section 5.6.2.
bool IsToken(std::string_view text);

// A port, or nullopt with a problem.
std::optional<uint16_t> ReadPort(int32_t value, const std::string& path, Report& report);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_MODEL_REPORT_H_
