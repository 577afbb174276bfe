#include "sidecar/filter/order.h"

#include "sidecar/filters/request_id/request_id.h"
#include "sidecar/filters/tracing/tracing.h"

namespace pillion::filter {

FilterList MakeFilters() {
  FilterList list;
  auto& filters = list.all;
  // First: everything after it, and every log line, names the request by this id.
  filters.push_back(std::make_unique<filters::RequestId>());
  // Before anything that may answer, so that refused requests have a span too.
  filters.push_back(std::make_unique<filters::Tracing>());
  list.always = filters.size();
  return list;
}

}  // namespace pillion::filter
