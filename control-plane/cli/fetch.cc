#include "control-plane/cli/fetch.h"

#include <curl/curl.h>

#include <memory>

namespace pillion::control {
namespace {

constexpr long kTimeoutSeconds = 5;
constexpr long kOk = 200;

size_t Take(char* data, size_t size, size_t count, void* to) {
  static_cast<std::string*>(to)->append(data, size * count);
  return size * count;
}

}  // namespace

Fetched Fetch(const std::string& address, const std::string& path) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  if (curl == nullptr) return {"", "libcurl cannot be used"};
  Fetched fetched;
  const std::string url = "http://" + address + path;
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http");
  curl_easy_setopt(curl.get(), CURLOPT_PROXY, "");
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, kTimeoutSeconds);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Take);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &fetched.body);
  const CURLcode code = curl_easy_perform(curl.get());
  if (code != CURLE_OK) {
    fetched.error = curl_easy_strerror(code);
    return fetched;
  }
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status != kOk) fetched.error = "answered " + std::to_string(status) + ": " + fetched.body;
  return fetched;
}

}  // namespace pillion::control
