"""Configurations of the proxies and servers that are compared. All of them: access log off, metrics on."""

ROUTER = """          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
"""
PEERING = """          - name: pillion.peering
            typed_config: {"@type": type.googleapis.com/pillion.sidecar.v1.Peering, accept_peer_headers: true}
"""
ENFORCES = """          - name: pillion.idempotency
            typed_config:
              "@type": type.googleapis.com/pillion.sidecar.v1.Idempotency
              domains: [{id: "7", max_records: 20000000, max_bytes: "17179869184", caller_percent: 100,
                         validity: 2s, skew: 0.5s, max_execution: 1s%s}]
"""
STORE = """,
                         store: {cluster: store, service: bench, key: {inline_string: "%s"}, replica_wait: 1s}""" % ("0123456789abcdef" * 4)
STORE_CLUSTER = """  - name: store
    type: STATIC
    load_assignment:
      cluster_name: store
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}
"""
STAMPS = """          - name: pillion.idempotency
            typed_config: {"@type": type.googleapis.com/pillion.sidecar.v1.Idempotency}
"""
TOKENS_OF_ROUTES = """              typed_per_filter_config:
                pillion.idempotency: {"@type": type.googleapis.com/pillion.sidecar.v1.TokenPolicy, domain: "7"%s}
"""
HTTP2 = """    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
"""


def pillion(port, admin_port, upstream_port, direction="OUTBOUND", http2=False, to_sidecar=False, from_sidecar=False,
            tokens=False, store_port=None):
    """A bootstrap: one listener, one cluster. `http2`: the cluster is configured so; `to_sidecar`: the endpoint's
    metadata names a sidecar, which upgrades; `from_sidecar`: internal headers of one are honoured; `tokens`:
    POSTs run at most once; `store_port`: their records are in Redis there."""
    enforces = ENFORCES % (STORE if store_port else "")
    filters = (PEERING if from_sidecar else "") + ((enforces if from_sidecar else STAMPS) if tokens else "") + ROUTER
    policy = TOKENS_OF_ROUTES % (", shared: true" if store_port else "")
    return f"""node: {{id: bench-{direction.lower()}, cluster: bench}}
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin_port}}}}}}}
static_resources:
  listeners:
  - name: listener
    traffic_direction: {direction}
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          generate_request_id: false
          server_header_transformation: PASS_THROUGH
          route_config:
            name: routes
            virtual_hosts:
            - name: all
              domains: ["*"]
{policy if tokens and to_sidecar else ""}              routes:
              - match: {{prefix: "/"}}
                route: {{cluster: next}}
          http_filters:
{filters}  clusters:
  - name: next
    connect_timeout: 1s
    type: STATIC
{HTTP2 if http2 else ""}    load_assignment:
      cluster_name: next
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream_port}}}}}}}
{"          metadata: {filter_metadata: {pillion: {sidecar: true}}}" if to_sidecar else ""}
{STORE_CLUSTER % store_port if store_port and from_sidecar else ""}"""


def haproxy(http_port, metrics_port, http2_backend):
    return f"""global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  http-reuse always
frontend http
  bind 127.0.0.1:{http_port}
  default_backend http2
backend http2
  server backend 127.0.0.1:{http2_backend} proto h2
frontend metrics
  bind 127.0.0.1:{metrics_port}
  http-request use-service prometheus-exporter if {{ path /metrics }}
"""


def haproxy_tcp(port, backend):
    return f"""global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend relay
  bind 127.0.0.1:{port}
  default_backend plain
backend plain
  server backend 127.0.0.1:{backend}
"""


def nginx(port, root, folder):
    return f"""daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  client_body_temp_path {folder}/t1;
  proxy_temp_path {folder}/t2;
  fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ root {root}; }}
    location = /pay {{ return 200 "paid"; }}
  }}
}}
"""
