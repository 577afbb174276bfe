#include "sidecar/config/cluster.h"

namespace pillion::config {

LabelMatch LabelMatch::Of(Labels labels) {
  LabelMatch match;
  for (const auto& [name, value] : labels) {
    // Lengths keep labels apart whatever is in them.
    match.key.append(std::to_string(name.size())).append(":").append(name);
    match.key.append(std::to_string(value.size())).append(":").append(value);
  }
  match.labels = std::move(labels);
  return match;
}

}  // namespace pillion::config
