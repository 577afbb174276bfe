// A simulated connection as two strings, and HTTP/1.1 messages cut out of one; independent of the sidecar's
// codec.
#ifndef PILLION_TESTS_SIMULATION_TEXT_CONNECTION_H_
#define PILLION_TESTS_SIMULATION_TEXT_CONNECTION_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "sidecar/net/loop.h"

namespace pillion::simulation {

class TextConnection : public net::Observer {
 public:
  virtual ~TextConnection() = default;
  void OnReady(bool readable, bool writable) override {
    readable_ = readable_ || readable;
    writable_ = writable_ || writable;
  }
  bool ready() const { return (readable_ && allowance > 0) || (writable_ && (!out.empty() || shutting())); }
  // Reads and writes what goes; false: the connection is broken.
  bool Pump();
  // One write; true when bytes went.
  bool Write();
  void ShutdownWrite();
  // The end that was told has not left yet: over TLS, closing now would look as if somebody had cut it off.
  bool shutting() const { return shut_ && !told_; }
  // Tells the end where it is a message of its own.
  bool MayClose();
  void ResetOnClose();
  std::unique_ptr<net::Socket> socket;
  std::string in;
  std::string out;
  size_t allowance = SIZE_MAX;  // may be read
  bool ended = false;
  bool broken = false;

 private:
  bool Read();
  bool readable_ = true;
  bool writable_ = true;
  bool shut_ = false;
  bool told_ = false;
  bool reset_ = false;
};

struct Message {
  std::string first_line;
  std::map<std::string, std::string> fields;  // lower-case names
  std::string body;
  std::map<std::string, std::string> trailers;
  int status() const;  // 0: a request, or no number
};

// Reads one message as it comes.
class MessageReader {
 public:
  // Takes from the front of `in`; true when the message is complete. `ended`: nothing follows `in`.
  bool Read(std::string& in, bool ended);
  bool has_head() const { return phase_ != Phase::kHead; }
  bool until_close() const { return phase_ == Phase::kUntilClose; }
  Message& message() { return message_; }
  const std::string& error() const { return error_; }

 private:
  enum class Phase : uint8_t { kHead, kSized, kChunkSize, kChunk, kTrailers, kUntilClose, kDone };
  bool Step(const std::string& in, bool ended);
  bool TakeHead(const std::string& in);
  bool TakeTrailers(const std::string& in);
  bool TakeFields(const std::string& in, size_t end, std::map<std::string, std::string>& fields);
  Message message_;
  Phase phase_ = Phase::kHead;
  size_t at_ = 0;
  size_t left_ = 0;
  std::string error_;
};

// A chunked body, in chunks of at most `chunk` bytes, with an optional trailer line.
std::string Chunked(const std::string& body, size_t chunk, const std::string& trailer);

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_TEXT_CONNECTION_H_
