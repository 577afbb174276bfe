// Messages of a descriptor set: from JSON, path and query to the wire, and back. Pure; protobuf does the
// work.
#ifndef PILLION_SIDECAR_FILTERS_JSON_TRANSCODER_MESSAGES_H_
#define PILLION_SIDECAR_FILTERS_JSON_TRANSCODER_MESSAGES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/config/transcoding/transcoding.h"

namespace pillion::filters {

// JSON of an answer, by the bytes that the message may have. Attack: an enum value of one byte may have a
// name of a thousand.
inline constexpr size_t kMaxJsonGrowth = 16;

using Bindings = std::vector<std::pair<config::FieldChain, std::string>>;

// Adds the fields that the query names to those that the path has bound, which win. The name of a parameter
// that stands for no field, where that matters.
std::optional<std::string> AddQuery(const config::Transcoding& transcoding,
                                    const config::Transcoding::Rule& rule, std::string_view query,
                                    Bindings& bindings);

// What the path and the query say, serialized; nullopt and `problem` when a value does not fit its field.
std::optional<std::string> BoundFields(const config::Transcoding& transcoding,
                                       const config::Transcoding::Rule& rule, const Bindings& bindings,
                                       std::string& problem);

// What the content says, serialized; to be appended to BoundFields. Fields nobody knows are left out.
std::optional<std::string> ContentFields(const config::Transcoding& transcoding,
                                         const config::Transcoding::Rule& rule, const std::string& json,
                                         std::string& problem);

// One answer as JSON; `line`: without line breaks. nullopt: not such a message.
std::optional<std::string> AnswerJson(const config::Transcoding& transcoding,
                                      const config::Transcoding::Rule& rule, const std::string& message,
                                      bool line);

// google.rpc.Status as JSON: of `serialized` (grpc-status-details-bin) where it can be shown, else of the
// two.
std::string StatusJson(const config::Transcoding& transcoding, uint32_t code, std::string_view message,
                       const std::optional<std::string>& serialized);

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_JSON_TRANSCODER_MESSAGES_H_
