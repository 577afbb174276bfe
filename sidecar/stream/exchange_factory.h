// What a session calls when a request arrived. The data plane's exchange and the admin pages implement it.
#ifndef PILLION_SIDECAR_STREAM_EXCHANGE_FACTORY_H_
#define PILLION_SIDECAR_STREAM_EXCHANGE_FACTORY_H_

#include <memory>

#include "sidecar/stream/stream.h"

namespace pillion::stream {

class ExchangeFactory {
 public:
  virtual ~ExchangeFactory() = default;
  // `client` has its head recorded. The exchange sets itself as owner and is woken; it runs later, never
  // inside this call.
  virtual void Begin(std::unique_ptr<ClientStream> client) = 0;
};

}  // namespace pillion::stream

#endif  // PILLION_SIDECAR_STREAM_EXCHANGE_FACTORY_H_
