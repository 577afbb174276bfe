// The facts of the v3 xDS wire format, read from the two tables in this folder, and the comparison of a file
// of ours with them. Facts only: names, numbers, types, membership in a oneof, enum values.
#ifndef PILLION_TESTS_CONFORMANCE_WIRE_CONTRACT_H_
#define PILLION_TESTS_CONFORMANCE_WIRE_CONTRACT_H_

#include <google/protobuf/descriptor.h>

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace pillion::conformance {

struct FieldFact {
  int number = 0;
  std::string type;   // as the table writes it: "repeated X", "map<string, X>", "X (enum)"
  std::string oneof;  // empty: in none
};

struct WireContract {
  std::map<std::pair<std::string, std::string>, FieldFact> fields;       // by (message, field)
  std::set<std::string> messages;                                        // those with at least one field
  std::map<std::string, std::map<std::string, int>, std::less<>> enums;  // value numbers by enum and name
};

// Fails the running test when a table cannot be read.
WireContract ReadWireContract(const std::string& fields_tsv, const std::string& enums_tsv);

// The type of a field as the table writes it.
std::string TypeInContract(const google::protobuf::FieldDescriptor& field);

// One line for each way in which the messages and enums of a file differ from the table.
std::vector<std::string> Disagreements(const google::protobuf::FileDescriptor& file,
                                       const WireContract& contract);

}  // namespace pillion::conformance

#endif  // PILLION_TESTS_CONFORMANCE_WIRE_CONTRACT_H_
