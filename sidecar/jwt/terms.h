// What a JWT must say, as configured. A value.
#ifndef PILLION_SIDECAR_JWT_TERMS_H_
#define PILLION_SIDECAR_JWT_TERMS_H_

#include <string>
#include <vector>

namespace pillion::jwt {

struct Terms {
  std::string claim;                   // whose value is asked for, "sub"
  std::string issuer;                  // its `iss`; "": anybody's
  std::vector<std::string> audiences;  // its `aud` has one of these; none: whatever it has
};

}  // namespace pillion::jwt

#endif  // PILLION_SIDECAR_JWT_TERMS_H_
