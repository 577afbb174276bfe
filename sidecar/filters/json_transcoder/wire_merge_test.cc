#include "sidecar/filters/json_transcoder/wire_merge.h"

#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/wire_format_lite.h>
#include <gtest/gtest.h>

#include <string>

#include "pillion/testing/v1/every_type.pb.h"
#include "sidecar/base/random.h"
#include "sidecar/base/serialize_in_order.h"

namespace pillion::filters {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using testing::v1::EveryType;

std::optional<std::string> MergeEvery(std::string_view message, const FieldDescriptor* only = nullptr) {
  return Merge(*DescriptorPool::generated_pool(), *EveryType::descriptor(), message, only);
}

std::string Text(const std::optional<std::string>& merged) {
  EveryType message;
  if (!merged || !message.ParseFromString(*merged)) return "(none)";
  return message.ShortDebugString();
}

EveryType FromText(const std::string& text) {
  EveryType message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}
std::string Bytes(const std::string& text) { return FromText(text).SerializeAsString(); }

TEST(Merge, OrdersFieldsAndPutsMessagesTogether) {
  EXPECT_EQ(
      MergeEvery(Bytes("string_value: 'a' message_value { texts: 'x' message_value { int32_value: 1 } }") +
                 Bytes("int32_value: 7 message_value { texts: 'y' message_value { bool_value: true } }") +
                 Bytes("string_value: 'b'")),
      Bytes("int32_value: 7 string_value: 'b' "
            "message_value { message_value { int32_value: 1 bool_value: true } texts: 'x' texts: 'y' }"));
}

TEST(Merge, ListsInPartsAreOneList) {
  const std::string one_by_one("\x70\x04\x70\x05", 4);  // numbers, not packed
  EXPECT_EQ(
      MergeEvery(Bytes("numbers: 1 numbers: 2") + Bytes("numbers: 3") + one_by_one + Bytes("numbers: 6")),
      Bytes("numbers: 1 numbers: 2 numbers: 3 numbers: 4 numbers: 5 numbers: 6"));
  EXPECT_EQ(MergeEvery(std::string("\x72\x00", 2)), "");  // a part without numbers
  EXPECT_EQ(MergeEvery(Bytes("texts: 'a'") + Bytes("int32_value: 1") + Bytes("texts: 'b'")),
            Bytes("int32_value: 1 texts: 'a' texts: 'b'"));
}

TEST(Merge, OfAMapTheLastEntryOfAKeyCountsAndWhatIsLeftOutIsADefault) {
  const auto entry = [](int number, const std::string& content) {
    std::string out;
    AppendField(number, content, out);
    return out;
  };
  EXPECT_EQ(Text(MergeEvery(Bytes("bool_by_number { key: 7 value: false }") +
                            Bytes("bool_by_number { key: 7 value: true }"))),
            "bool_by_number { key: 7 value: true }");
  const std::string seven_in_more_bytes("\x08\x87\x80\x80\x00\x10\x00", 7);
  EXPECT_EQ(Text(MergeEvery(Bytes("bool_by_number { key: 7 value: true }") + entry(19, seven_in_more_bytes))),
            "bool_by_number { key: 7 value: false }");
  // An entry without its value, without its key, without both.
  EXPECT_EQ(MergeEvery(entry(18, std::string("\x0a\x01k", 3))),
            entry(18, std::string("\x0a\x01k\x12\x00", 5)));
  EXPECT_EQ(MergeEvery(entry(18, std::string("\x12\x01v", 3))),
            entry(18, std::string("\x0a\x00\x12\x01v", 5)));
  EXPECT_EQ(MergeEvery(entry(20, "")), entry(20, std::string("\x08\x00\x12\x00", 4)));
}

TEST(Merge, OfAOneofTheLastMemberCounts) {
  EXPECT_EQ(MergeEvery(Bytes("choice_message { texts: 'lost' }") + Bytes("choice_number: 1") +
                       Bytes("choice_message { texts: 'a' }") + Bytes("choice_message { texts: 'b' }")),
            Bytes("choice_message { texts: 'a' texts: 'b' }"));
  EXPECT_EQ(MergeEvery(Bytes("choice_message { texts: 'lost' }") + Bytes("choice_text: ''")),
            Bytes("choice_text: ''"));
}

TEST(Merge, GoesIntoAnysThatAreKnown) {
  EveryType outer;
  outer.mutable_any()->set_type_url("type.googleapis.com/pillion.testing.v1.EveryType");
  outer.mutable_any()->set_value(Bytes("string_value: 'a'") + Bytes("int32_value: 1 string_value: 'b'"));
  EveryType expected = outer;
  expected.mutable_any()->set_value(Bytes("int32_value: 1 string_value: 'b'"));
  EXPECT_EQ(MergeEvery(outer.SerializeAsString()), expected.SerializeAsString());
  outer.mutable_any()->set_value("\x0a\x7f");
  EXPECT_EQ(MergeEvery(outer.SerializeAsString()), std::nullopt);
  outer.mutable_any()->set_type_url("type.googleapis.com/nobody.knows.It");
  EXPECT_EQ(MergeEvery(outer.SerializeAsString()), outer.SerializeAsString());
}

TEST(Merge, GoesNoDeeperThanItsLimits) {
  EveryType any;
  for (int depth = 0; depth <= kMaxAnyDepth + 1; ++depth) {
    EXPECT_EQ(MergeEvery(any.SerializeAsString()).has_value(), depth <= kMaxAnyDepth) << depth;
    EveryType outer;
    outer.mutable_any()->set_type_url("a/pillion.testing.v1.EveryType");
    outer.mutable_any()->set_value(any.SerializeAsString());
    any = outer;
  }
  std::string nested;
  for (int depth = 1; depth <= kMaxMessageDepth + 1; ++depth) {
    EXPECT_EQ(MergeEvery(nested).has_value(), depth <= kMaxMessageDepth) << depth;
    std::string outer;
    AppendField(EveryType::kMessageValueFieldNumber, nested, outer);
    nested = outer;
  }
}

TEST(Merge, FieldsOfAllItsMessagesMayHaveALimit) {
  const auto fields = static_cast<size_t>(EveryType::descriptor()->field_count());
  const auto merge = [](const std::string& message, size_t most) {
    const Descriptor& type = *EveryType::descriptor();
    return Merge(*DescriptorPool::generated_pool(), type, message, nullptr, most).has_value();
  };
  const std::string message = Bytes("messages {} messages {} message_value {}");
  EXPECT_TRUE(merge(message, 4 * fields));
  EXPECT_FALSE(merge(message, 4 * fields - 1));
}

TEST(Merge, OneFieldAlone) {
  const std::string message = Bytes("int32_value: 1 message_value { texts: 'a' } texts: 'b'") +
                              Bytes("message_value { int32_value: 2 } choice_text: 'c'") +
                              Bytes("choice_number: 1");
  const auto only = [&](const char* name) {
    return MergeEvery(message, EveryType::descriptor()->FindFieldByName(name));
  };
  EXPECT_EQ(only("message_value"), Bytes("message_value { int32_value: 2 texts: 'a' }"));
  EXPECT_EQ(ContentOf(*only("message_value")), Bytes("int32_value: 2 texts: 'a'"));
  EXPECT_EQ(only("choice_text"), "");
  EXPECT_EQ(ContentOf(""), "");
}

TEST(Merge, WhatIsNoUtf8OrMalformedIsRefused) {
  for (const std::string text :
       {"\xff", "\xc3\"", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    std::string message;
    AppendField(EveryType::kStringValueFieldNumber, text, message);
    EXPECT_EQ(MergeEvery(message), std::nullopt) << ::testing::PrintToString(text);
    message.clear();
    AppendField(EveryType::kBytesValueFieldNumber, text, message);
    EXPECT_EQ(MergeEvery(message), message);
  }
  const std::string long_pack(11, '\x80');
  for (const std::string& pack : {std::string("\x80"), long_pack + std::string(1, '\0')}) {
    std::string message;
    AppendField(EveryType::kNumbersFieldNumber, pack, message);
    EXPECT_EQ(MergeEvery(message), std::nullopt);
  }
  EXPECT_EQ(MergeEvery(std::string("\0", 1)), std::nullopt);
  EXPECT_EQ(MergeEvery("\x0c"), std::nullopt);  // the end of a group
}

// Bytes that mean a message of a type: its fields in any order, as often as may be, in all their forms.
class Wire {
 public:
  explicit Wire(uint64_t seed) : random_(seed) {}
  uint64_t Below(uint64_t limit) { return random_.Next() % limit; }
  std::string Message(const Descriptor& type, int depth) {
    std::string out;
    for (uint64_t count = type.field_count() > 0 ? Below(7) : 0; count > 0; --count) {
      const FieldDescriptor& field =
          *type.field(static_cast<int>(Below(static_cast<uint64_t>(type.field_count()))));
      if (field.name() != "any") Field(field, depth, out);
    }
    if (Below(20) == 0) AppendField(99, "unknown", out);
    return out;
  }

 private:
  void Field(const FieldDescriptor& field, int depth, std::string& out) {
    if (field.message_type() != nullptr) {
      AppendField(field.number(), depth > 0 ? Message(*field.message_type(), depth - 1) : "", out);
    } else if (field.type() == FieldDescriptor::TYPE_STRING || field.type() == FieldDescriptor::TYPE_BYTES) {
      AppendField(field.number(), std::string(Below(3), static_cast<char>('a' + Below(3))), out);
    } else if (field.is_packable() && Below(2) == 0) {
      std::string values;
      for (uint64_t count = Below(4); count > 0; --count) values += Value(field);
      AppendField(field.number(), values, out);
    } else {
      const auto kind =
          WireFormatLite::WireTypeForFieldType(static_cast<WireFormatLite::FieldType>(field.type()));
      out += Varint(static_cast<uint64_t>(field.number()) << 3 | static_cast<uint64_t>(kind)) + Value(field);
    }
  }
  std::string Value(const FieldDescriptor& field) {
    const auto kind =
        WireFormatLite::WireTypeForFieldType(static_cast<WireFormatLite::FieldType>(field.type()));
    if (kind == WireFormatLite::WIRETYPE_FIXED32) return std::string(4, static_cast<char>(Below(4)));
    if (kind == WireFormatLite::WIRETYPE_FIXED64) return std::string(8, static_cast<char>(Below(4)));
    return Varint(Below(5) == 0 ? random_.Next() : Below(4));
  }
  static std::string Varint(uint64_t value) {
    std::string out;
    for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
    return out + static_cast<char>(value);
  }
  Random random_;
};

// It means what it meant, by protobuf's own reader.
TEST(Merge, MeansTheSame) {
  const google::protobuf::LogSilencer silence;  // of what is not UTF-8
  size_t good = 0;
  size_t changed = 0;
  size_t refused = 0;
  for (uint64_t seed = 0; seed < 30'000; ++seed) {
    Wire wire(seed);
    std::string message = wire.Message(*EveryType::descriptor(), 3);
    if (seed % 4 == 0 && !message.empty())
      message[wire.Below(message.size())] = static_cast<char>(wire.Below(256));
    EveryType before;
    const bool is_one = before.ParseFromString(message);
    const std::optional<std::string> merged = MergeEvery(message);
    if (!is_one) {
      // What another member of a oneof has replaced is not looked at.
      refused += merged ? 0 : 1;
      continue;
    }
    ASSERT_TRUE(merged.has_value()) << "seed " << seed << " " << ::testing::PrintToString(message);
    ++good;
    changed += *merged != message ? 1 : 0;
    EveryType after;
    ASSERT_TRUE(after.ParseFromString(*merged)) << "seed " << seed;
    before.DiscardUnknownFields();
    ASSERT_EQ(SerializeInOrder(before), SerializeInOrder(after)) << "seed " << seed << "\n"
                                                                 << before.ShortDebugString() << "\n"
                                                                 << after.ShortDebugString();
    ASSERT_EQ(MergeEvery(*merged), merged) << "seed " << seed;
  }
  EXPECT_GT(good, 20'000u);
  EXPECT_GT(changed, 10'000u);
  EXPECT_GT(refused, 1'000u);
}

}  // namespace
}  // namespace pillion::filters
