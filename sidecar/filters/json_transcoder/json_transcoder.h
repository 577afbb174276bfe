// JSON over plain HTTP to gRPC and back, as the google.api.http options of a descriptor set say.
//
//   GET /v1/shelves/7?page=2                 -->  POST /library.Shelves/Get, one message
//   POST, a JSON object                      -->  one message         (held: it is converted as a whole)
//   POST, an array or lines of objects       -->  client streaming    (each as it comes)
//   a JSON object                            <--  one message         (held)
//   array, lines, or SSE by `accept`         <--  server streaming    (each as it comes)
//   google.rpc.Status and its HTTP status    <--  an error
//
// A request that fits no rule passes untouched.
#ifndef PILLION_SIDECAR_FILTERS_JSON_TRANSCODER_JSON_TRANSCODER_H_
#define PILLION_SIDECAR_FILTERS_JSON_TRANSCODER_JSON_TRANSCODER_H_

#include "sidecar/filter/filter.h"

namespace pillion::filters {

class JsonTranscoder final : public filter::Filter {
 public:
  filter::Decision OnRequestHead(const filter::RequestView& request) const override;
};

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_JSON_TRANSCODER_JSON_TRANSCODER_H_
