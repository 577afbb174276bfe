// What a message on the wire says, written once and in order.
//
// On the wire fields may come in any order, the last value of a field counts, messages come in pieces that
// are to be put together, lists in several parts, packed and not, and an entry of a map may leave out its key
// or its value (https://protobuf.dev/programming-guides/encoding, "Last One Wins"). protobuf's JSON printer
// prints what stands there as it stands there: a field as often as it comes, which no reader of JSON takes
// (RFC 8259 section 4: names should be unique), and a list to the end of its first part.
//
// Works on the bytes, without objects: those are many times as large as what they come in. Attack: a million
// empty messages of a type with a hundred fields.
#ifndef PILLION_SIDECAR_FILTERS_JSON_TRANSCODER_WIRE_MERGE_H_
#define PILLION_SIDECAR_FILTERS_JSON_TRANSCODER_WIRE_MERGE_H_

#include <google/protobuf/descriptor.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pillion::filters {

// Messages in messages.
inline constexpr int kMaxMessageDepth = 100;
// Anys in Anys: the printer copies the content of each, with all that is in it.
inline constexpr int kMaxAnyDepth = 8;

// `message` of `type`, with what is in its Anys where `pool` knows what that is; without fields that the type
// does not have, and groups, for which JSON has no form. `only`: of the fields of `type` this one alone;
// null: all. nullopt: it is malformed, has a string that is no UTF-8, is deeper than the limits, or its
// messages have more than `most_fields` fields together, those that are not set too. Takes time and memory
// (20 to 40 bytes for each) by the bytes of the message.
std::optional<std::string> Merge(const google::protobuf::DescriptorPool& pool,
                                 const google::protobuf::Descriptor& type, std::string_view message,
                                 const google::protobuf::FieldDescriptor* only,
                                 size_t most_fields = SIZE_MAX);

// A string, bytes, or a message, as the field of that number.
void AppendField(int number, std::string_view content, std::string& out);
// What AppendField was given, of a message that is nothing but that field; of an empty one nothing.
std::string_view ContentOf(std::string_view message);

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_JSON_TRANSCODER_WIRE_MERGE_H_
