#include "sidecar/net/introducing_socket.h"

#include <cerrno>
#include <utility>

namespace pillion::net {
namespace {

class IntroducingSocket final : public Socket {
 public:
  IntroducingSocket(std::unique_ptr<Socket> raw, std::string introduction)
      : raw_(std::move(raw)), introduction_(std::move(introduction)) {}

  IoResult Read(std::span<char> into) override { return raw_->Read(into); }
  IoResult Write(std::span<const iovec> from) override { return raw_->Write(from); }
  int ConnectError() override {
    if (const int error = raw_->ConnectError(); error != 0) return error;
    while (sent_ < introduction_.size()) {
      const iovec rest = {introduction_.data() + sent_, introduction_.size() - sent_};
      const IoResult result = raw_->Write({&rest, 1});
      if (result.kind == IoResult::Kind::kReset) return result.error;
      if (result.kind != IoResult::Kind::kBytes) return EINPROGRESS;
      sent_ += result.bytes;
    }
    return 0;
  }
  void ShutdownWrite() override { raw_->ShutdownWrite(); }
  bool Flush() override { return raw_->Flush(); }
  bool MayHaveSent() const override { return raw_->MayHaveSent(); }
  void ResetOnClose() override { raw_->ResetOnClose(); }
  std::optional<uint64_t> AckedBytes() override {
    const std::optional<uint64_t> acked = raw_->AckedBytes();
    if (!acked) return acked;
    const uint64_t first = introduction_.size() + 1;  // the SYN is the other
    return *acked <= first ? 1 : *acked - introduction_.size();
  }
  void GiveUpSilentPeerAfter(time::Duration limit) override { raw_->GiveUpSilentPeerAfter(limit); }
  const Address& peer() const override { return raw_->peer(); }
  void SetEnds(const Address& client, const Address& destination) override {
    raw_->SetEnds(client, destination);
  }
  const Address& local() const override { return raw_->local(); }
  Address direct_peer() const override { return raw_->direct_peer(); }
  Address own() const override { return raw_->own(); }
  Address OriginalDestination() const override { return raw_->OriginalDestination(); }
  const Security* security() const override { return raw_->security(); }
  std::pair<Socket*, Observer*> Watched(Observer& observer) override { return raw_->Watched(observer); }

 private:
  std::unique_ptr<Socket> raw_;
  std::string introduction_;
  size_t sent_ = 0;
};

}  // namespace

std::unique_ptr<Socket> Introduce(std::unique_ptr<Socket> raw, std::string introduction) {
  return std::make_unique<IntroducingSocket>(std::move(raw), std::move(introduction));
}

}  // namespace pillion::net
