#include "sidecar/config/parse_tls.h"

#include <re2/re2.h>

#include <algorithm>
#include <utility>

#include "pillion/sidecar/v1/early_data.pb.h"
#include "sidecar/base/text.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/config/parse_route.h"

namespace pillion::config {
namespace {

namespace core = envoy::config::core::v3;
namespace proto_tls = envoy::extensions::transport_sockets::tls::v3;
using ServerProto = proto_tls::DownstreamTlsContext;
using ClientProto = proto_tls::UpstreamTlsContext;

constexpr uint32_t kMaxVerifyDepth = 100;
constexpr uint32_t kMaxEarlyBytes = 65536;
constexpr uint32_t kMaxSessionKeys = 64;
constexpr auto kMaxSessionTimeout = std::chrono::hours(12);
constexpr size_t kTicketKeyBytes = 80;
constexpr size_t kSha256Digits = 64;

void CheckWatched(const core::WatchedDirectory& directory, const std::string& path, ConfigErrors& errors) {
  RequireText(directory.path(), FieldPath(path, "path"), errors);
}

TlsCertificate ReadCertificate(const proto_tls::TlsCertificate& proto, const std::string& path,
                               ConfigErrors& errors) {
  if (proto.has_watched_directory())
    CheckWatched(proto.watched_directory(), FieldPath(path, "watched_directory"), errors);
  return {
      .chain = ReadDataSource(proto.certificate_chain(), FieldPath(path, "certificate_chain"), errors, true),
      .key = ReadDataSource(proto.private_key(), FieldPath(path, "private_key"), errors, true),
      .password = ReadDataSource(proto.password(), FieldPath(path, "password"), errors, false)};
}

std::vector<DataSource> ReadTicketKeys(const proto_tls::TlsSessionTicketKeys& proto, const std::string& path,
                                       ConfigErrors& errors) {
  const std::string keys_path = FieldPath(path, "keys");
  if (proto.keys().empty()) Add(errors, keys_path, "expected at least one");
  std::vector<DataSource> keys;
  for (int i = 0; i < proto.keys_size(); ++i) {
    const std::string key_path = ElementPath(keys_path, static_cast<size_t>(i));
    keys.push_back(ReadDataSource(proto.keys(i), key_path, errors, true));
    const DataSource& key = keys.back();
    if (!key.text.empty() && key.text.size() != kTicketKeyBytes) Add(errors, key_path, "expected 80 bytes");
  }
  return keys;
}

tls::NameMatcher ReadName(const proto_tls::SubjectAltNameMatcher& proto, const std::string& path,
                          ConfigErrors& errors) {
  using Kind = tls::NameMatcher::Kind;
  using Match = tls::NameMatcher::Match;
  tls::NameMatcher matcher;
  switch (proto.san_type()) {
    case proto_tls::SubjectAltNameMatcher::EMAIL:
      matcher.kind = Kind::kEmail;
      break;
    case proto_tls::SubjectAltNameMatcher::DNS:
      matcher.kind = Kind::kDns;
      break;
    case proto_tls::SubjectAltNameMatcher::URI:
      matcher.kind = Kind::kUri;
      break;
    case proto_tls::SubjectAltNameMatcher::IP_ADDRESS:
      matcher.kind = Kind::kIp;
      break;
    default:
      Add(errors, FieldPath(path, "san_type"),
          "expected EMAIL, DNS, URI or IP_ADDRESS; others are not implemented");
  }
  const StringMatch match = ReadStringMatch(proto.matcher(), FieldPath(path, "matcher"), errors);
  matcher.text = match.text;
  matcher.ignore_case = match.ignore_case;
  switch (match.kind) {
    case StringMatch::Kind::kPrefix:
      matcher.match = Match::kPrefix;
      break;
    case StringMatch::Kind::kSuffix:
      matcher.match = Match::kSuffix;
      break;
    case StringMatch::Kind::kContains:
      matcher.match = Match::kContains;
      break;
    case StringMatch::Kind::kRegex:
      matcher.match = Match::kRegex;
      break;
    default:
      matcher.match = Match::kExact;
      break;
  }
  return matcher;
}

// "AB:CD:..." or "abcd..." as lower-case digits.
std::string ReadHash(const std::string& text, const std::string& path, ConfigErrors& errors) {
  std::string digits;
  for (const char c : text) {
    if (c != ':') digits += AsciiLower(c);
  }
  const bool hexadecimal = digits.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!hexadecimal || digits.size() != kSha256Digits)
    Add(errors, path, "expected the SHA-256 of a certificate, 64 hexadecimal digits");
  return digits;
}

void CheckSpki(const std::string& text, const std::string& path, ConfigErrors& errors) {
  constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() != 44 || text.back() != '=' || text.find_first_not_of(kBase64) != 43)
    Add(errors, path, "expected the SHA-256 of a public key in base64, 44 characters");
}

TlsValidation ReadValidation(const proto_tls::CertificateValidationContext& proto, const std::string& path,
                             ConfigErrors& errors) {
  TlsValidation result;
  result.trusted_ca = ReadDataSource(proto.trusted_ca(), FieldPath(path, "trusted_ca"), errors, false);
  result.crl = ReadDataSource(proto.crl(), FieldPath(path, "crl"), errors, false);
  tls::Validation& settings = result.settings;
  const auto element = [&](std::string_view field, int i) {
    return ElementPath(FieldPath(path, field), static_cast<size_t>(i));
  };
  for (int i = 0; i < proto.verify_certificate_hash_size(); ++i)
    settings.certificate_sha256.push_back(
        ReadHash(proto.verify_certificate_hash(i), element("verify_certificate_hash", i), errors));
  for (int i = 0; i < proto.verify_certificate_spki_size(); ++i) {
    CheckSpki(proto.verify_certificate_spki(i), element("verify_certificate_spki", i), errors);
    settings.spki_sha256.push_back(proto.verify_certificate_spki(i));
  }
  for (int i = 0; i < proto.match_typed_subject_alt_names_size(); ++i)
    settings.names.push_back(ReadName(proto.match_typed_subject_alt_names(i),
                                      element("match_typed_subject_alt_names", i), errors));
  settings.allow_expired = proto.allow_expired_certificate();
  settings.only_leaf_crl = proto.only_verify_leaf_cert_crl();
  if (proto.has_max_verify_depth()) {
    settings.max_depth =
        ReadNumber(proto.max_verify_depth(), FieldPath(path, "max_verify_depth"), errors, 0, kMaxVerifyDepth);
  }
  if (proto.has_watched_directory())
    CheckWatched(proto.watched_directory(), FieldPath(path, "watched_directory"), errors);
  result.offer_ca_names = !proto.suppress_client_ca_list();
  return result;
}

// Names and lists say nothing without a CA to check the chain with.
void NeedCa(const CommonTls& tls, const std::string& path, ConfigErrors& errors) {
  if (tls.validation_secret || !tls.validation.trusted_ca.empty()) return;
  if (!tls.validation.settings.names.empty() || !tls.validation.crl.empty())
    Add(errors, FieldPath(path, "trusted_ca"), "expected one beside match_typed_subject_alt_names and crl");
}

SecretName ReadSecretName(const proto_tls::SdsSecretConfig& proto, const std::string& path,
                          ConfigErrors& errors) {
  SecretName secret;
  secret.name = proto.name();
  RequireText(proto.name(), FieldPath(path, "name"), errors);
  secret.pushed = proto.has_sds_config();
  if (secret.pushed)
    secret.timeout = ReadAdsSource(proto.sds_config(), FieldPath(path, "sds_config"), errors);
  return secret;
}

tls::Version ReadVersion(proto_tls::TlsParameters::TlsProtocol proto, tls::Version usual,
                         const std::string& path, ConfigErrors& errors) {
  switch (proto) {
    case proto_tls::TlsParameters::TLS_AUTO:
      return usual;
    case proto_tls::TlsParameters::TLSv1_2:
      return tls::Version::k12;
    case proto_tls::TlsParameters::TLSv1_3:
      return tls::Version::k13;
    default:
      Add(errors, path, "expected TLS_AUTO, TLSv1_2 or TLSv1_3");
      return usual;
  }
}

void ReadParameters(const proto_tls::TlsParameters& proto, const std::string& path, bool server,
                    tls::CommonSettings& settings, ConfigErrors& errors) {
  const std::string max_path = FieldPath(path, "tls_maximum_protocol_version");
  settings.min_version = ReadVersion(proto.tls_minimum_protocol_version(), tls::Version::k12,
                                     FieldPath(path, "tls_minimum_protocol_version"), errors);
  settings.max_version = ReadVersion(proto.tls_maximum_protocol_version(),
                                     server ? tls::Version::k13 : tls::Version::k12, max_path, errors);
  if (settings.max_version < settings.min_version) {
    Add(errors, max_path,
        server ? "expected no less than tls_minimum_protocol_version"
               : "expected no less than tls_minimum_protocol_version; a client's default is TLSv1_2");
  }
  settings.ciphers.assign(proto.cipher_suites().begin(), proto.cipher_suites().end());
  settings.curves.assign(proto.ecdh_curves().begin(), proto.ecdh_curves().end());
  settings.signature_algorithms.assign(proto.signature_algorithms().begin(),
                                       proto.signature_algorithms().end());
}

void ReadValidationOf(const proto_tls::CommonTlsContext& proto, const std::string& path, CommonTls& result,
                      ConfigErrors& errors) {
  std::string where = FieldPath(path, "validation_context");
  if (proto.has_validation_context()) {
    result.validation = ReadValidation(proto.validation_context(), where, errors);
  } else if (proto.has_validation_context_sds_secret_config()) {
    result.validation_secret =
        ReadSecretName(proto.validation_context_sds_secret_config(),
                       FieldPath(path, "validation_context_sds_secret_config"), errors);
  } else if (proto.has_combined_validation_context()) {
    const auto& combined = proto.combined_validation_context();
    const std::string combined_path = FieldPath(path, "combined_validation_context");
    where = FieldPath(combined_path, "default_validation_context");
    result.validation = ReadValidation(combined.default_validation_context(), where, errors);
    result.validation_secret =
        ReadSecretName(combined.validation_context_sds_secret_config(),
                       FieldPath(combined_path, "validation_context_sds_secret_config"), errors);
  }
  NeedCa(result, where, errors);
}

CommonTls ReadCommon(const proto_tls::CommonTlsContext& proto, const std::string& path, bool server,
                     ConfigErrors& errors) {
  CommonTls result;
  ReadParameters(proto.tls_params(), FieldPath(path, "tls_params"), server, result.settings, errors);
  const std::string certificates_path = FieldPath(path, "tls_certificates");
  for (int i = 0; i < proto.tls_certificates_size(); ++i)
    result.certificates.push_back(ReadCertificate(
        proto.tls_certificates(i), ElementPath(certificates_path, static_cast<size_t>(i)), errors));
  const std::string secrets_path = FieldPath(path, "tls_certificate_sds_secret_configs");
  for (int i = 0; i < proto.tls_certificate_sds_secret_configs_size(); ++i)
    result.certificate_secrets.push_back(ReadSecretName(proto.tls_certificate_sds_secret_configs(i),
                                                        ElementPath(secrets_path, static_cast<size_t>(i)),
                                                        errors));
  const size_t certificates = result.certificates.size() + result.certificate_secrets.size();
  if (server && certificates == 0)
    Add(errors, certificates_path, "expected at least one, here or in tls_certificate_sds_secret_configs");
  if (!server && certificates > 1) Add(errors, certificates_path, "expected at most one");
  if (certificates > tls::kMaxCertificates)
    Add(errors, certificates_path, "expected at most " + std::to_string(tls::kMaxCertificates));
  ReadValidationOf(proto, path, result, errors);
  const std::string alpn_path = FieldPath(path, "alpn_protocols");
  for (int i = 0; i < proto.alpn_protocols_size(); ++i) {
    const std::string& name = proto.alpn_protocols(i);
    if (name.empty() || name.size() > 255)
      Add(errors, ElementPath(alpn_path, static_cast<size_t>(i)), "expected 1 to 255 bytes");
    result.settings.alpn.push_back(name);
  }
  return result;
}

uint32_t ReadEarlyData(const core::TypedExtensionConfig& proto, const std::string& path,
                       ConfigErrors& errors) {
  const std::string config_path = FieldPath(path, "typed_config");
  const auto early = Unpack<pillion::sidecar::v1::EarlyData>(proto.typed_config(), config_path, errors);
  if (early == nullptr) return 0;
  if (early->max_bytes() < 1 || early->max_bytes() > kMaxEarlyBytes)
    Add(errors, FieldPath(config_path, "max_bytes"), "expected a number from 1 to 65536");
  return early->max_bytes();
}

void ReadResumption(const ServerProto& proto, const std::string& path, ServerTls& result,
                    ConfigErrors& errors) {
  switch (proto.session_ticket_keys_type_case()) {
    case ServerProto::kSessionTicketKeys:
      result.ticket_keys =
          ReadTicketKeys(proto.session_ticket_keys(), FieldPath(path, "session_ticket_keys"), errors);
      break;
    case ServerProto::kSessionTicketKeysSdsSecretConfig:
      result.ticket_keys_secret =
          ReadSecretName(proto.session_ticket_keys_sds_secret_config(),
                         FieldPath(path, "session_ticket_keys_sds_secret_config"), errors);
      break;
    case ServerProto::kDisableStatelessSessionResumption:
      result.settings.stateless_resumption = !proto.disable_stateless_session_resumption();
      break;
    case ServerProto::SESSION_TICKET_KEYS_TYPE_NOT_SET:
      break;
  }
  result.settings.stateful_resumption = !proto.disable_stateful_session_resumption();
  if (!proto.has_session_timeout()) return;
  const std::string timeout_path = FieldPath(path, "session_timeout");
  const nanoseconds timeout = ReadDuration(proto.session_timeout(), timeout_path, errors, true);
  result.settings.session_timeout = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  if (timeout > kMaxSessionTimeout || proto.session_timeout().nanos() != 0)
    Add(errors, timeout_path, "expected whole seconds, at most 43200s");
}

}  // namespace

DataSource ReadDataSource(const envoy::config::core::v3::DataSource& proto, const std::string& path,
                          ConfigErrors& errors, bool required) {
  DataSource source;
  source.file = proto.filename();
  source.text = proto.has_inline_bytes() ? proto.inline_bytes() : proto.inline_string();
  if (proto.specifier_case() != envoy::config::core::v3::DataSource::SPECIFIER_NOT_SET ? source.empty()
                                                                                       : required)
    Add(errors, path, "expected a filename, inline_string or inline_bytes that is not empty");
  return source;
}

std::shared_ptr<const ServerTls> ReadServerTls(const core::TransportSocket& proto, const std::string& path,
                                               ConfigErrors& errors) {
  const std::string config_path = FieldPath(path, "typed_config");
  const auto server = Unpack<ServerProto>(proto.typed_config(), config_path, errors);
  if (server == nullptr) return nullptr;
  auto result = std::make_shared<ServerTls>();
  const std::string common_path = FieldPath(config_path, "common_tls_context");
  result->common = ReadCommon(server->common_tls_context(), common_path, true, errors);
  if (server->common_tls_context().has_custom_handshaker()) {
    result->settings.max_early_data_bytes =
        ReadEarlyData(server->common_tls_context().custom_handshaker(),
                      FieldPath(common_path, "custom_handshaker"), errors);
    if (server->disable_stateful_session_resumption())
      Add(errors, FieldPath(config_path, "disable_stateful_session_resumption"),
          "expected false beside early data: each session is used once, so it is kept");
  }
  result->settings.require_client_certificate = server->require_client_certificate().value();
  result->settings.require_sni = server->require_sni().value();
  result->settings.prefer_client_ciphers = server->prefer_client_ciphers();
  result->settings.offer_ca_names = result->common.validation.offer_ca_names;
  if (result->settings.require_client_certificate && !result->common.validation_secret &&
      result->common.validation.trusted_ca.empty() && result->common.validation.settings.empty()) {
    Add(errors, FieldPath(config_path, "require_client_certificate"),
        "expected false, or something to check it with: trusted_ca or hashes in common_tls_context");
  }
  ReadResumption(*server, config_path, *result, errors);
  return result;
}

std::shared_ptr<const ClientTls> ReadClientTls(const core::TransportSocket& proto, const std::string& path,
                                               ConfigErrors& errors) {
  const std::string config_path = FieldPath(path, "typed_config");
  const auto client = Unpack<ClientProto>(proto.typed_config(), config_path, errors);
  if (client == nullptr) return nullptr;
  auto result = std::make_shared<ClientTls>();
  const std::string common_path = FieldPath(config_path, "common_tls_context");
  result->common = ReadCommon(client->common_tls_context(), common_path, false, errors);
  if (client->common_tls_context().has_custom_handshaker())
    Add(errors, FieldPath(common_path, "custom_handshaker"), "not implemented for clusters");
  if (!result->common.validation.offer_ca_names)
    Add(errors, FieldPath(common_path, "validation_context.suppress_client_ca_list"),
        "expected only in a listener");
  result->settings.sni = client->sni();
  if (client->sni().size() > 255)
    Add(errors, FieldPath(config_path, "sni"), "expected at most 255 characters");
  if (client->has_max_session_keys()) {
    result->settings.max_sessions = ReadNumber(
        client->max_session_keys(), FieldPath(config_path, "max_session_keys"), errors, 0, kMaxSessionKeys);
  }
  return result;
}

Secret ReadSecret(const proto_tls::Secret& proto, const std::string& path, ConfigErrors& errors) {
  Secret result;
  result.name = proto.name();
  RequireText(proto.name(), FieldPath(path, "name"), errors);
  switch (proto.type_case()) {
    case proto_tls::Secret::kTlsCertificate:
      result.certificate =
          ReadCertificate(proto.tls_certificate(), FieldPath(path, "tls_certificate"), errors);
      break;
    case proto_tls::Secret::kValidationContext: {
      const std::string where = FieldPath(path, "validation_context");
      result.validation = ReadValidation(proto.validation_context(), where, errors);
      break;
    }
    case proto_tls::Secret::kSessionTicketKeys:
      result.ticket_keys =
          ReadTicketKeys(proto.session_ticket_keys(), FieldPath(path, "session_ticket_keys"), errors);
      break;
    case proto_tls::Secret::TYPE_NOT_SET:
      Add(errors, path, "expected tls_certificate, validation_context or session_ticket_keys");
  }
  return result;
}

Validated<Secret> ParseSecret(const proto_tls::Secret& proto, const std::string& version) {
  ConfigErrors errors;
  Secret result = ReadSecret(proto, "", errors);
  result.version = version;
  return Finish(std::move(result), std::move(errors), proto);
}

}  // namespace pillion::config
