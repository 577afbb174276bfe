// Protos for tests, written as YAML.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_TEST_YAML_H_
#define PILLION_SIDECAR_CONFIG_PARSE_TEST_YAML_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sidecar/config/document/document.h"
#include "sidecar/config/validated.h"

namespace pillion::config {

template <typename M>
M FromYaml(const std::string& text) {
  M message;
  for (const DocumentError& error : LoadDocument(text, "yaml", message)) ADD_FAILURE() << error.ToString();
  return message;
}

using Lines = std::vector<std::string>;

inline Lines ToLines(const ConfigErrors& errors) {
  Lines lines;
  for (const ConfigError& error : errors) lines.push_back(error.path + ": " + error.message);
  return lines;
}

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_TEST_YAML_H_
