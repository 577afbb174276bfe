"""TLS on the first leg and towards the app, with the TLS of others: curl, nghttp, h2load, wrk, grpcio, grpc-js, ws and nginx as
clients of a sidecar that ends TLS (HTTP/1.1 and HTTP/2 by ALPN), and nginx as an app that wants TLS, with and without session
resumption. One sidecar, and two that speak HTTP/2 over mutual TLS with each other."""
import os
import queue
import subprocess
import tempfile
import threading
import unittest

import grpc

import certificates
import clients_test
import grpc_interop_test
import mesh
import nginx
import npm
import websocket_test

BIG = clients_test.BIG
VERSIONS = (("--http1.1", "1.1"), ("--http2", "2"), ("--no-alpn", "1.1"))
RESUMED = 'pillion_tls_resumed_total{side="client"}'


class TlsTest(mesh.MeshTest):
    """`start_tls` makes a mesh whose first listener ends TLS."""

    def setUp(self):
        super().setUp()
        self.authority = certificates.Authority()
        self.authority.issue("server", "DNS:shop.example,IP:" + mesh.HOST)

    def serve(self):
        """The app of clients_test.py; returns its address."""
        server = clients_test.Server((mesh.HOST, 0), clients_test.Handler)
        self.events = server.events = queue.Queue()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def end():
            server.shutdown()
            thread.join()
            server.server_close()
        self.addCleanup(end)
        return server.server_address

    def start_tls(self, address, http2_app=False, alpn=("h2", "http/1.1"), out=None):
        self.port = mesh.free_port()
        cluster = mesh.cluster("app", [address], http2=http2_app)
        if self.sidecars == 2:
            cluster = self.start_far(cluster)
        common = {"tls_certificates": [self.authority.files("server")], "alpn_protocols": list(alpn)}
        first = mesh.with_tls(mesh.listener("outbound", self.port, cluster["name"], **(out or {})), mesh.server_tls(common))
        self.near = mesh.Sidecar([first], [cluster], admin=True)
        self.made.insert(0, self.near)
        self.url = "https://%s:%d" % (mesh.HOST, self.port)

    def start_far(self, app):
        """The second sidecar; returns the first one's cluster."""
        between = mesh.free_port()
        names = [{"san_type": "URI", "matcher": {"prefix": "spiffe://td/"}}]
        trusted = self.authority.trusted(match_typed_subject_alt_names=names)
        common = {"tls_certificates": [self.authority.issue("far", "URI:spiffe://td/far")], "alpn_protocols": ["h2"],
                  "validation_context": trusted}
        last = mesh.listener("inbound", between, "app", direction="INBOUND", peer=True, explain=True)
        self.made = [mesh.Sidecar([mesh.with_tls(last, mesh.server_tls(common, require_client_certificate=True))], [app])]
        common = {"tls_certificates": [self.authority.issue("near", "URI:spiffe://td/near")], "alpn_protocols": ["h2"],
                  "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"}, "validation_context": trusted}
        return mesh.cluster("next", [(mesh.HOST, between)], sidecar=True, transport_socket=mesh.client_tls(common))

    def nginx(self, port, config):
        self.addCleanup(nginx.Nginx(port, config).stop)

    def run_tool(self, *command, stdin=b""):
        ran = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=3 * mesh.WAIT)
        said = (ran.stdout[-1000:] + ran.stderr[-1000:]).decode(errors="replace")
        self.assertEqual(ran.returncode, 0, "%s: %s" % (command, said))
        return ran.stdout

    def curl(self, *arguments, path="/", stdin=b"", url=None):
        return self.run_tool("curl", "--silent", "--show-error", "--max-time", str(int(mesh.WAIT)), "--cacert", self.authority.ca,
                             *arguments, (url or self.url) + path, stdin=stdin)


class Curl(TlsTest):
    def setUp(self):
        super().setUp()
        self.start_tls(self.serve())

    def test_get_in_each_version(self):
        for flag, version in VERSIONS:
            for tls in ("1.2", "1.3"):
                with self.subTest(flag=flag, tls=tls):
                    got = self.curl(flag, "--tlsv" + tls, "--tls-max", tls, "--write-out", "|%{http_code}|%{http_version}")
                    self.assertEqual(got.decode().split("|"), ["hello", "200", version])

    def test_uploads_and_downloads(self):
        body = os.urandom(BIG)
        for flag, _ in VERSIONS[:2]:
            for framing in ((), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect:")):
                with self.subTest(flag=flag, framing=framing):
                    self.assertEqual(self.curl(flag, "--data-binary", "@-", *framing, path="/echo", stdin=body), body)
            with self.subTest(flag):
                self.assertEqual(self.curl(flag, path="/big"), b"x" * BIG)

    def test_one_connection_serves_many(self):
        # Not over HTTP/2: clients_test.py says why.
        made = self.run_tool("curl", "--silent", "--http1.1", "--cacert", self.authority.ca, "--write-out", "%{num_connects}\n",
                             "--output", "/dev/null", self.url + "/[1-5]").split()
        self.assertEqual(made, [b"1", b"0", b"0", b"0", b"0"])

    def test_events_arrive_one_by_one(self):
        for flag, _ in VERSIONS[:2]:
            with self.subTest(flag):
                reader = subprocess.Popen(["curl", "--silent", "--no-buffer", "--cacert", self.authority.ca, flag,
                                           self.url + "/events"], stdout=subprocess.PIPE)
                for i in range(10):
                    self.events.put(b"event %d" % i)
                    self.assertEqual(reader.stdout.readline(), b"data: event %d\n" % i)  # before the next one is sent
                    self.assertEqual(reader.stdout.readline(), b"\n")
                self.events.put(None)
                self.assertEqual(reader.stdout.read(), b"")
                reader.stdout.close()
                self.assertEqual(reader.wait(mesh.WAIT), 0)

    def test_another_authority_is_not_believed(self):
        """That the others verify whom they speak to."""
        other = certificates.Authority("other")
        ran = subprocess.run(["curl", "--silent", "--cacert", other.ca, self.url + "/"], stdout=subprocess.PIPE,
                             timeout=mesh.WAIT)
        self.assertEqual((ran.returncode, ran.stdout), (60, b""))


class CurlAtTwo(mesh.AtTwo, Curl):
    pass


class Tools(TlsTest):
    def setUp(self):
        super().setUp()
        self.start_tls(self.serve())

    def test_nghttp(self):
        for flags in ((), ("--no-dep",), ("--window-bits=10", "--connection-window-bits=10"), ("--continuation",)):
            with self.subTest(flags):
                self.assertEqual(self.run_tool("nghttp", "--no-verify-peer", *flags, self.url + "/big"), b"x" * BIG)

    def test_nghttp_uploads(self):
        with tempfile.NamedTemporaryFile(dir=os.environ.get("TEST_TMPDIR")) as body:
            body.write(b"y" * BIG)
            body.flush()
            self.assertEqual(self.run_tool("nghttp", "--no-verify-peer", "--data", body.name, self.url + "/echo"), b"y" * BIG)

    def test_h2load(self):
        for flags, protocol in ((("-m", "16", "--npn-list", "h2"), "h2"), (("--h1", "-m", "1"), "http/1.1")):
            with self.subTest(protocol):
                said = self.run_tool("h2load", *flags, "-n", "2000", "-c", "8", self.url + "/").decode()
                self.assertIn("TLS Protocol: TLSv1.3", said)
                self.assertIn("Application protocol: %s\n" % protocol, said)
                self.assertIn("2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout", said)
                self.assertIn("status codes: 2000 2xx, 0 3xx, 0 4xx, 0 5xx", said)

    def test_wrk(self):
        said = self.run_tool("wrk", "-t1", "-c8", "-d1s", self.url + "/").decode()
        self.assertNotIn("\n  0 requests in", said)
        self.assertIn(" requests in", said)
        self.assertNotIn("Socket errors", said)
        self.assertNotIn("Non-2xx", said)


class ToolsAtTwo(mesh.AtTwo, Tools):
    pass


class Programs(TlsTest):
    """grpcio, grpc-js and ws, each with a TLS of its own."""

    def start_grpc(self):
        server, address = grpc_interop_test.serve()
        self.addCleanup(lambda: server.stop(0).wait())
        self.start_tls(address, http2_app=True)

    def test_grpcio(self):
        self.start_grpc()
        with open(self.authority.ca, "rb") as file:
            credentials = grpc.ssl_channel_credentials(file.read())
        with grpc.secure_channel("%s:%d" % (mesh.HOST, self.port), credentials, grpc_interop_test.MAX) as channel:
            client = grpc_interop_test.PythonClient(self, channel)
            for case in grpc_interop_test.CASES:
                with self.subTest(case):
                    getattr(client, case)()

    def test_grpc_js(self):
        self.start_grpc()
        results = npm.run("grpc_interop_client.js", "%s:%d" % (mesh.HOST, self.port), "tls", ca=self.authority.ca)
        self.assertEqual(set(grpc_interop_test.CASES) - set(results), set())
        for case, result in results.items():
            with self.subTest(case):
                self.assertEqual(result, "ok")

    def test_ws(self):
        server = npm.Server("websocket_server.js", mesh.HOST)
        self.addCleanup(server.stop)
        for alpn in (("h2", "http/1.1"), ("http/1.1",)):
            with self.subTest(alpn):
                self.start_tls(server.address, alpn=alpn, out={"hcm": {"upgrade_configs": [{"upgrade_type": "websocket"}]}})
                results = npm.run("websocket_client.js", "wss://%s:%d" % (mesh.HOST, self.port), ca=self.authority.ca)
                self.assertEqual(set(results), websocket_test.CASES)
                for case, result in results.items():
                    with self.subTest(case):
                        self.assertEqual(result, "ok")
                mesh.stop_all(self, self.made)
                self.made = []


class ProgramsAtTwo(mesh.AtTwo, Programs):
    pass


class NginxAsTheApp(TlsTest):
    """client --> sidecar(s) --TLS, HTTP/1.1--> nginx --> the app of clients_test.py"""

    def start_nginx(self, version, resumption, keep="keepalive_timeout 60s;"):
        port = mesh.free_port()
        app = self.serve()
        self.nginx(port, """%s
            ssl_certificate %s; ssl_certificate_key %s; ssl_protocols %s; %s
            server {
              listen %s:%d ssl;
              location / {
                proxy_pass http://%s:%d; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off;
                add_header X-Seen "$ssl_protocol $ssl_session_reused $connection_requests" always;
              }
            }""" % (keep, self.authority.path("server"), self.authority.key("server"), version, resumption,
                     mesh.HOST, port, *app))
        common = {"validation_context": self.authority.trusted(
            match_typed_subject_alt_names=[{"san_type": "DNS", "matcher": {"exact": "shop.example"}}]),
            "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"}, "alpn_protocols": ["http/1.1"]}
        self.start(addresses=[(mesh.HOST, port)], app_cluster={"transport_socket": mesh.client_tls(common, sni="shop.example")})
        self.url = "http://%s:%d" % (mesh.HOST, self.port)

    TICKETS = "ssl_session_tickets on; ssl_session_cache off;"
    CACHE = "ssl_session_tickets off; ssl_session_cache shared:all:1m;"
    NONE = "ssl_session_tickets off; ssl_session_cache off;"

    def seen(self):
        return self.curl("--include").decode().split("X-Seen: ")[1].split("\r\n")[0]

    def check_connections(self, version, resumption, wanted):
        self.start_nginx(version, resumption, keep="keepalive_timeout 0;")
        self.assertEqual([self.seen() for _ in range(6)], ["%s %s 1" % (version, one) for one in wanted])

    def test_tickets_of_tls13(self):
        self.check_connections("TLSv1.3", self.TICKETS, ".rrrrr")

    def test_tickets_of_tls12(self):
        self.check_connections("TLSv1.2", self.TICKETS, ".rrrrr")

    def test_a_cache_of_tls13(self):
        self.check_connections("TLSv1.3", self.CACHE, ".rrrrr")

    def test_a_cache_of_tls12(self):
        self.check_connections("TLSv1.2", self.CACHE, ".rrrrr")

    def test_no_resumption_of_tls13(self):
        self.check_connections("TLSv1.3", self.NONE, "......")

    def test_no_resumption_of_tls12(self):
        self.check_connections("TLSv1.2", self.NONE, "......")

    def test_one_connection_serves_many(self):
        self.start_nginx("TLSv1.3", self.TICKETS)
        self.assertEqual([self.seen() for _ in range(4)], ["TLSv1.3 . %d" % (i + 1) for i in range(4)])

    def test_uploads_and_downloads(self):
        self.start_nginx("TLSv1.3", self.TICKETS)
        body = os.urandom(BIG)
        for flag in ("--http1.1", "--http2-prior-knowledge"):
            for framing in ((), ("-H", "Transfer-Encoding: chunked")):
                with self.subTest(flag=flag, framing=framing):
                    self.assertEqual(self.curl(flag, "--data-binary", "@-", *framing, path="/echo", stdin=body), body)
            self.assertEqual(self.curl(flag, path="/big"), b"x" * BIG)

    def test_load(self):
        for keep in ("keepalive_requests 3;", "keepalive_timeout 60s;"):
            with self.subTest(keep):
                self.start_nginx("TLSv1.3", self.TICKETS, keep)
                said = self.run_tool("h2load", "--h1", "-n", "1000", "-c", "8", self.url + "/").decode()
                self.assertIn("status codes: 1000 2xx, 0 3xx, 0 4xx, 0 5xx", said)
                mesh.stop_all(self, self.made)
                self.made = []


class NginxAsTheAppAtTwo(mesh.AtTwo, NginxAsTheApp):
    pass


class NginxAsTheClient(TlsTest):
    """client --TLS, HTTP/2 or HTTP/1.1--> nginx --TLS: HTTP/1.1, or HTTP/2 for gRPC--> sidecar(s)"""

    def start_nginx(self, location):
        self.front = mesh.free_port()
        self.nginx(self.front, """
            ssl_certificate %s; ssl_certificate_key %s; keepalive_requests 100000;
            upstream sidecar { server %s:%d; keepalive 4; }
            server {
              listen %s:%d ssl http2;
              location / { %s }
            }""" % (self.authority.path("server"), self.authority.key("server"), mesh.HOST, self.port, mesh.HOST, self.front,
                     location))

    def proxy(self, *more):
        return " ".join(("proxy_pass https://sidecar; proxy_http_version 1.1; proxy_request_buffering off;",
                         "proxy_ssl_name shop.example; proxy_ssl_server_name on; proxy_ssl_verify on;",
                         "proxy_ssl_trusted_certificate %s;" % self.authority.ca) + more)

    def test_http1(self):
        self.start_tls(self.serve())
        self.start_nginx(self.proxy('proxy_set_header Connection "";'))
        url = "https://%s:%d" % (mesh.HOST, self.front)
        body = os.urandom(BIG)
        for flag, version in (("--http1.1", "1.1"), ("--http2", "2")):
            with self.subTest(flag):
                self.assertEqual(self.curl(flag, "--write-out", "|%{http_version}", url=url), b"hello|" + version.encode())
                self.assertEqual(self.curl(flag, "--data-binary", "@-", path="/echo", stdin=body, url=url), body)
                self.assertEqual(self.curl(flag, path="/big", url=url), b"x" * BIG)
        said = self.run_tool("h2load", "-n", "1000", "-c", "4", "-m", "4", url + "/").decode()
        self.assertIn("status codes: 1000 2xx, 0 3xx, 0 4xx, 0 5xx", said)

    def resumed(self, reuse, version):
        """How many of six connections were."""
        self.start_tls(self.serve())
        self.start_nginx(self.proxy("proxy_ssl_session_reuse %s; proxy_ssl_protocols %s;" % (reuse, version),
                                    "proxy_set_header Connection close;"))
        before = self.near.metrics()[RESUMED]
        for _ in range(6):
            self.assertEqual(self.curl(url="https://%s:%d" % (mesh.HOST, self.front)), b"hello")
        return self.near.metrics()[RESUMED] - before

    def test_connections_are_resumed(self):
        for version in ("TLSv1.2", "TLSv1.3"):
            with self.subTest(version):
                self.assertEqual(self.resumed("on", version), 5)
                mesh.stop_all(self, self.made)
                self.made = []

    def test_connections_are_not_resumed_if_nginx_does_not_want_it(self):
        self.assertEqual(self.resumed("off", "TLSv1.3"), 0)

    def test_grpc(self):
        server, address = grpc_interop_test.serve()
        self.addCleanup(lambda: server.stop(0).wait())
        self.start_tls(address, http2_app=True)
        self.start_nginx("grpc_pass grpcs://sidecar; grpc_ssl_name shop.example; grpc_ssl_server_name on; grpc_ssl_verify on; "
                         "grpc_ssl_trusted_certificate %s; grpc_buffer_size 64k;" % self.authority.ca)
        with open(self.authority.ca, "rb") as file:
            credentials = grpc.ssl_channel_credentials(file.read())
        with grpc.secure_channel("%s:%d" % (mesh.HOST, self.front), credentials, grpc_interop_test.MAX) as channel:
            client = grpc_interop_test.PythonClient(self, channel)
            for case in grpc_interop_test.CASES:
                with self.subTest(case):
                    getattr(client, case)()


class NginxAsTheClientAtTwo(mesh.AtTwo, NginxAsTheClient):
    pass


if __name__ == "__main__":
    unittest.main()
