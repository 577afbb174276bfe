// Header edits of a route, and the values that they are filled in with. Pure; any thread.
#ifndef PILLION_SIDECAR_ROUTE_EDITS_H_
#define PILLION_SIDECAR_ROUTE_EDITS_H_

#include <string>
#include <string_view>

#include "sidecar/config/header_edits.h"
#include "sidecar/http/head.h"

namespace pillion::route {

// What values may speak of; views of what outlives the edit.
struct EditFacts {
  const http::RequestHead& request;
  const http::HeaderList* response = nullptr;  // null: there is none yet
  std::string_view client;                     // address and port
  std::string_view route;
  std::string_view cluster;  // "": answered here
};

// What is not there becomes "" ("-" in front of a length would not help a header). No blanks at the ends.
std::string FillIn(const config::TextFormat& format, const EditFacts& facts);

// In order. A value that comes out empty is not written, unless it is kept (xds.md 1.3).
void Apply(const config::HeaderEdits& edits, const EditFacts& facts, http::HeaderList& fields);

}  // namespace pillion::route

#endif  // PILLION_SIDECAR_ROUTE_EDITS_H_
