// A number for what something says: the same in all versions of this program.
#ifndef PILLION_CONTROL_PLANE_SNAPSHOT_CONTENT_HASH_H_
#define PILLION_CONTROL_PLANE_SNAPSHOT_CONTENT_HASH_H_

#include <cstdint>
#include <string_view>

namespace pillion::control {

// FNV-1a; never 0, which is no domain.
inline uint64_t HashOf(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash == 0 ? 1 : hash;
}

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SNAPSHOT_CONTENT_HASH_H_
