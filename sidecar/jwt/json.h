// The JSON of JWT and of their keys. What it says is read by protobuf; before that it is made sure that it
// can be read in one way only: JSON as RFC 8259 has it, UTF-8, and no object in it that has a member twice
// (RFC 7519 section 4, RFC 7517 section 4), which readers take for the first one or the last, as they like.
#ifndef PILLION_SIDECAR_JWT_JSON_H_
#define PILLION_SIDECAR_JWT_JSON_H_

#include <google/protobuf/struct.pb.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pillion::jwt {

// Objects and arrays in each other. Attack: a text of nothing but brackets.
inline constexpr size_t kMaxJsonDepth = 16;

// Whether it is one value that everybody reads alike.
bool IsPlainJson(std::string_view text);

// nullopt: it is not, or no object, or has a number that is none (1e999).
std::optional<google::protobuf::Struct> ReadObject(std::string_view text);

// Null: the object has no member of that name.
const google::protobuf::Value* FindMember(const google::protobuf::Struct& object, const std::string& name);
// Null: none that is a string.
const std::string* FindText(const google::protobuf::Struct& object, const std::string& name);

}  // namespace pillion::jwt

#endif  // PILLION_SIDECAR_JWT_JSON_H_
