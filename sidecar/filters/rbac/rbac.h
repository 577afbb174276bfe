// Who may ask for what (envoy.filters.http.rbac): judged at every request, and every attempt of one that has
// a token, before its record is looked up. Whoever may not gets 403 (gRPC: PERMISSION_DENIED), and no word of
// what others were answered.
#ifndef PILLION_SIDECAR_FILTERS_RBAC_RBAC_H_
#define PILLION_SIDECAR_FILTERS_RBAC_RBAC_H_

#include "sidecar/config/listener.h"
#include "sidecar/filter/filter.h"

namespace pillion::filters {

class Rbac final : public filter::Filter {
 public:
  // It stands where listeners want requests to be judged that way.
  explicit Rbac(config::AccessJudged place) : place_(place) {}
  filter::Decision OnRequestHead(const filter::RequestView& request) const override;

 private:
  const config::AccessJudged place_;
};

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_RBAC_RBAC_H_
