#include "sidecar/idempotency/shared/scripts.h"

#include <openssl/evp.h>

#include <charconv>
#include <initializer_list>
#include <utility>

#include "sidecar/base/check.h"
#include "sidecar/base/hex.h"

namespace pillion::idempotency {
namespace {

// Who a server is, to an epoch: its process, and the history of its data, which is another one each time that
// it becomes the primary: it may lack then what another had meanwhile.
//
// Each script that compares times takes, for its present time, the later of the clock and the epoch's mark,
// which it raises in steps of a second. Without a line of flags a script may read while the server is out of
// memory, and only its first write fails: so a duplicate is told its answer then. Writes by pcall are of use,
// and not needed.
// A record ends by the clock that the mark makes: the server's own expiry goes by its clock as it is at that
// moment, and a record that is gone early, for a clock that is wrong, lets its token run again. So who ends
// records are scripts, which first see to it that the mark has come so far; the server's expiry is for what
// no sidecar asks for any more, a week later. Each record stands in a list of its shard in the order of the
// ends. The list may name records that were released, or made again: those have another end.
constexpr std::string_view kDrop = R"(
local function drop(ends,epoch,now,high,most)
  for _=1,most do
    local head=redis.call('LINDEX',ends,0)
    if not head then return end
    local e,key=string.match(head,'^(%d+) (.*)$')
    if now<tonumber(e) then return end
    if high<now then
      if type(redis.pcall('HSET',epoch,'high',now))=='table' then return end
      high=now
    end
    if type(redis.pcall('LPOP',ends))=='table' then return end
    key=string.sub(epoch,1,-6)..key
    if redis.call('HGET',key,'e')==e then redis.call('DEL',key) end
  end
end
)";

// Of a record that is made now, in KEYS[1], with the fields that stand in the middle: its end, `e`, its place
// in the list.
constexpr std::string_view kKeep = R"(
local function keep(ends,epoch,e,life)
  local later=tonumber(life)+604800000
  redis.call('PEXPIRE',KEYS[1],later)
  redis.call('RPUSH',ends,string.format('%.0f',e)..' '..string.sub(KEYS[1],#epoch-4))
  redis.call('PEXPIRE',ends,later)
end
)";

constexpr std::string_view kClaim = R"(
local t=redis.call('TIME')
local now=t[1]*1000+math.floor(t[2]/1000)
local e=redis.call('HMGET',KEYS[2],'run','start','high')
local high=tonumber(e[3] or 0)
if now<high then now=high end
local id=ARGV[5]..':'..(string.match(redis.call('INFO','replication'),'master_replid:(%x+)') or '')
if e[1]~=id then
  e[2]=now
  redis.pcall('HSET',KEYS[2],'run',id,'start',now,'high',now)
elseif now>=high+1000 then
  redis.pcall('HSET',KEYS[2],'high',now)
end
local mint,skew=tonumber(ARGV[4]),tonumber(ARGV[7])
if mint>=0 then
  if mint>now+skew then return {'BAD_CLOCK'} end
  if now>mint+tonumber(ARGV[8])+skew then return {'EXPIRED'} end
end
drop(KEYS[3],KEYS[2],now,tonumber(redis.call('HGET',KEYS[2],'high') or 0),2)
local r=redis.call('HMGET',KEYS[1],'s','l','fp','st','x','a','e')
if not r[1] or now>=tonumber(r[7]) then
  if (mint>=0 and mint or now)<tonumber(e[2])+tonumber(ARGV[6]) then return {'DOUBT'} end
  if r[1] then redis.call('DEL',KEYS[1]) end
  local e=now+tonumber(ARGV[3])
  redis.call('HSET',KEYS[1],'s','I','x',ARGV[1],'l',now+tonumber(ARGV[2]),'fp',ARGV[9],'e',e)
  keep(KEYS[3],KEYS[2],e,ARGV[3])
  return {'CLAIMED'}
end
if r[3]~=ARGV[9] then return {'MISMATCH'} end
if r[1]=='C' then return {'REPLAY',r[4],r[5],r[6]} end
if r[1]=='T' then return {'TOMBSTONE',r[4],r[5]} end
if r[1]=='I' then
  if now<=tonumber(r[2]) then return {'INFLIGHT',tonumber(r[2])-now,r[5]} end
  redis.pcall('HSET',KEYS[1],'s','U')
end
if ARGV[10]=='1' then
  redis.call('HSET',KEYS[1],'s','I','x',ARGV[1],'l',now+tonumber(ARGV[2]))
  return {'CLAIMED'}
end
return {'UNKNOWN',r[5]}
)";

constexpr std::string_view kEnd = R"(
local r=redis.call('HMGET',KEYS[1],'s','x')
if not r[1] then return 'GONE' end
if r[2]~=ARGV[1] then return 'FENCED' end
if r[1]=='C' or r[1]=='T' then return 'ALREADY' end
redis.call('HSET',KEYS[1],'s',ARGV[2],'st',ARGV[3],'a',ARGV[4])
redis.call('PUBLISH',ARGV[5],ARGV[2])
return 'OK'
)";

constexpr std::string_view kRenew = R"(
local r=redis.call('HMGET',KEYS[1],'s','x')
if r[1]~='I' or r[2]~=ARGV[1] then return 0 end
local t=redis.call('TIME')
local now=t[1]*1000+math.floor(t[2]/1000)
local e=redis.call('HMGET',KEYS[2],'high')
if now<tonumber(e[1] or 0) then now=tonumber(e[1]) end
redis.call('HSET',KEYS[1],'l',now+tonumber(ARGV[2]))
return 1
)";

constexpr std::string_view kRelease = R"(
local r=redis.call('HMGET',KEYS[1],'s','x')
if r[2]~=ARGV[1] or (r[1]~='I' and r[1]~='U') then return 0 end
redis.call('DEL',KEYS[1])
redis.call('PUBLISH',ARGV[2],'R')
return 1
)";

constexpr std::string_view kReassert = R"(
local t=redis.call('TIME')
local now=t[1]*1000+math.floor(t[2]/1000)
local e=redis.call('HMGET',KEYS[2],'run','high')
if now<tonumber(e[2] or 0) then now=tonumber(e[2]) end
local id=ARGV[5]..':'..(string.match(redis.call('INFO','replication'),'master_replid:(%x+)') or '')
if e[1]~=id then redis.call('HSET',KEYS[2],'run',id,'start',now,'high',now) end
local r=redis.call('HMGET',KEYS[1],'s','x')
if not r[1] then
  local ends=now+tonumber(ARGV[4])
  redis.call('HSET',KEYS[1],'s',ARGV[2],'x',ARGV[1],'l',now+tonumber(ARGV[3]),'fp',ARGV[6],'st',ARGV[7],'a',ARGV[8],'e',ends)
  keep(KEYS[3],KEYS[2],ends,ARGV[4])
  if ARGV[2]~='I' then redis.call('PUBLISH',ARGV[9],ARGV[2]) end
  return 'OK'
end
if r[2]~=ARGV[1] then return 'FENCED' end
if r[1]=='C' or r[1]=='T' then return 'ALREADY' end
if ARGV[2]=='I' then
  if r[1]=='I' then redis.call('HSET',KEYS[1],'l',now+tonumber(ARGV[3])) end
  return 'OK'
end
redis.call('HSET',KEYS[1],'s',ARGV[2],'st',ARGV[7],'a',ARGV[8])
redis.call('PUBLISH',ARGV[9],ARGV[2])
return 'OK'
)";

constexpr std::string_view kOpen = R"(
local t=redis.call('TIME')
local now=t[1]*1000+math.floor(t[2]/1000)
local e=redis.call('HMGET',KEYS[1],'run','start','high')
local high=tonumber(e[3] or 0)
if now<high then now=high end
local id=ARGV[1]..':'..(string.match(redis.call('INFO','replication'),'master_replid:(%x+)') or '')
if e[1]~=id then
  e[2]=now
  high=now
  redis.call('HSET',KEYS[1],'run',id,'start',now,'high',now)
elseif now>=high+1000 then
  high=now
  redis.call('HSET',KEYS[1],'high',now)
end
drop(KEYS[2],KEYS[1],now,high,200)
drop(KEYS[3],KEYS[1],now,high,200)
return tonumber(e[2])
)";

std::string Sha1(std::string_view text) {
  std::array<uint8_t, 20> digest;
  unsigned size = 0;
  PILLION_CHECK(EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) == 1);
  return ToHex(digest);
}

}  // namespace

Scripts::Scripts() {
  // Works while the server is out of memory.
  constexpr std::string_view kAlways = "#!lua flags=allow-oom";
  const auto join = [](std::initializer_list<std::string_view> parts) {
    std::string text;
    for (const std::string_view part : parts) text += part;
    return text;
  };
  size_t next = 0;
  for (std::string& text : std::array<std::string, kScripts>{
           join({kDrop, kKeep, kClaim}), join({kAlways, kEnd}), join({kAlways, kRenew}),
           join({kAlways, kRelease}), join({kAlways, kKeep, kReassert}), join({kAlways, kDrop, kOpen})}) {
    all_[next].sha = Sha1(text);
    all_[next++].text = std::move(text);
  }
}

ScriptCall::ScriptCall(const Script& script, By by, size_t keys) {
  Add(by == By::kSha ? "EVALSHA" : "EVAL").Add(by == By::kSha ? script.sha : script.text);
  AddNumber(static_cast<int64_t>(keys));
}

ScriptCall& ScriptCall::AddNumber(int64_t number) {
  char* const begin = digits_.data() + used_;
  const auto [end, error] = std::to_chars(begin, digits_.data() + digits_.size(), number);
  PILLION_CHECK(error == std::errc());
  used_ = static_cast<size_t>(end - digits_.data());
  return Add({begin, static_cast<size_t>(end - begin)});
}

KeyNames::KeyNames(std::string_view service) {
  std::string name;
  for (const char c : service) {
    if (c == '{' || c == '}' || c == ':' || c == '%') {
      name += '%';
      const auto byte = static_cast<uint8_t>(c);
      AppendHex({&byte, 1}, name);
    } else {
      name += c;
    }
  }
  for (size_t shard = 0; shard < kShards; ++shard) {
    tags_[shard] = ":{" + name + ":" + std::to_string(shard) + "}:";
    epochs_[shard] = "p" + tags_[shard] + "epoch";
    ends_[0][shard] = "p" + tags_[shard] + "ends";
    ends_[1][shard] = "p" + tags_[shard] + "ends-of-keys";
  }
}

std::optional<Digest> KeyNames::KeyOf(std::string_view channel) {
  Digest key;
  const size_t digits = 2 * key.bytes.size();
  if (channel.size() < digits || !ParseHex(channel.substr(channel.size() - digits), key.bytes))
    return std::nullopt;
  return key;
}

}  // namespace pillion::idempotency
