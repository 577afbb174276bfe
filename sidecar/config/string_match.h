// How a StringMatch is applied. Pure.
#ifndef PILLION_SIDECAR_CONFIG_STRING_MATCH_H_
#define PILLION_SIDECAR_CONFIG_STRING_MATCH_H_

#include <string_view>

#include "sidecar/config/route_table.h"

namespace pillion::config {

bool HasPrefix(std::string_view text, std::string_view prefix, bool ignore_case);
bool Matches(const StringMatch& match, std::string_view text);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_STRING_MATCH_H_
