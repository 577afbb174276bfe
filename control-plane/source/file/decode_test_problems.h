// For tests of decoding: what is said of a text.
#ifndef PILLION_CONTROL_PLANE_SOURCE_FILE_DECODE_TEST_PROBLEMS_H_
#define PILLION_CONTROL_PLANE_SOURCE_FILE_DECODE_TEST_PROBLEMS_H_

#include <string>
#include <vector>

#include "control-plane/source/file/decode.h"

namespace pillion::control {

inline std::vector<std::string> Problems(const std::string& text) {
  std::vector<std::string> lines;
  for (const Problem& problem : DecodeFile(text, "f.yaml").problems) lines.push_back(problem.ToString());
  return lines;
}
using Lines = std::vector<std::string>;

// What is wrong with a policy of that kind, without the places.
inline Lines PolicyProblems(const std::string& kind, const std::string& spec) {
  Lines lines =
      Problems("apiVersion: policy.pillion.dev/v1alpha1\nkind: " + kind +
               "\nmetadata: {name: p}\nspec: {targetRefs: [{kind: Service, name: a}], " + spec + "}");
  for (std::string& line : lines) line.erase(0, line.find(": ") + 2);
  return lines;
}

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SOURCE_FILE_DECODE_TEST_PROBLEMS_H_
