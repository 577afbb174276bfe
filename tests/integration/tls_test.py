"""TLS of real sidecars: with Python's ssl, openssl and curl as clients, and with each other."""

import hashlib
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

import certificates
import mesh
from mesh import client_tls, server_tls, with_tls


class Tls(unittest.TestCase):
    def setUp(self):
        self.authority = certificates.Authority()
        self.app = mesh.App()
        self.made = []
        self.addCleanup(self.end)

    def end(self):
        self.app.close()
        mesh.stop_all(self, self.made)

    def start(self, listeners, clusters, **more):
        self.made.append(mesh.Sidecar(listeners, clusters, **more))
        return self.made[-1]

    def serve(self, answer=lambda head: b"hi"):
        """The app answers everything, on any number of connections."""

        def one(connection):
            try:
                while True:
                    head = connection.head()
                    content = answer(head)
                    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
            except (OSError, AssertionError):
                pass

        def accept():
            while True:
                try:
                    connection = self.app.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    def front(self, common=None, listener=None, **more):
        """A sidecar with TLS at its listener before the app. Returns its port."""
        port = mesh.free_port()
        common = common or {"tls_certificates": [self.authority.issue("server", "DNS:a.example,IP:" + mesh.HOST)]}
        made = mesh.listener("in", port, "app", direction="INBOUND", **(listener or {}))
        self.start([with_tls(made, server_tls(common, **more))], [mesh.cluster("app", [self.app.address])])
        return port

    def context(self, alpn=(), certificate=None):
        context = ssl.create_default_context(cafile=self.authority.ca)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if certificate:
            context.load_cert_chain(self.authority.path(certificate), self.authority.key(certificate))
        return context

    def connect(self, port, context=None, name="a.example"):
        raw = socket.create_connection((mesh.HOST, port), timeout=mesh.WAIT)
        return (context or self.context()).wrap_socket(raw, server_hostname=name)

    def get(self, port, context=None, name="a.example"):
        with self.connect(port, context, name) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            data = b""
            while True:
                block = client.recv(65536)
                if not block:
                    return data
                data += block

    def curl(self, *arguments):
        return subprocess.run(["/usr/bin/curl", "-sS", "--max-time", "20", "--cacert", self.authority.ca, *arguments],
                              capture_output=True, check=False)


class ServerTls(Tls):
    def test_http1_and_http2_by_alpn_and_by_the_first_bytes(self):
        self.serve()
        certificate = self.authority.issue("server", "DNS:a.example")
        port = self.front({"tls_certificates": [certificate], "alpn_protocols": ["h2", "http/1.1"]})
        url = ["--resolve", "a.example:%d:%s" % (port, mesh.HOST), "-w", " %{http_version}", "https://a.example:%d/" % port]
        self.assertEqual(self.curl("--http2", *url).stdout, b"hi 2")
        self.assertEqual(self.curl("--http1.1", *url).stdout, b"hi 1.1")
        self.assertEqual(self.curl("--no-alpn", *url).stdout, b"hi 1.1")
        self.assertEqual(self.curl("--no-alpn", "--http2-prior-knowledge", *url).stdout[-2:] in (b" 2", b".1"), True)

    def test_many_requests_on_one_connection_and_a_large_answer(self):
        content = bytes(range(256)) * 20000
        self.serve(lambda head: content if "/large" in head.first else b"hi")
        port = self.front()
        connection = http.client.HTTPSConnection(mesh.HOST, port, context=self.context(), timeout=mesh.WAIT)
        for path in ("/", "/large", "/", "/large"):
            connection.request("GET", path)
            self.assertEqual(connection.getresponse().read(), content if path == "/large" else b"hi")
        connection.close()

    def test_an_answer_that_ends_with_its_connection_ends_with_close_notify(self):
        def answer():
            connection = self.app.accept()
            connection.head()
            connection.send(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        port = self.front()
        with self.connect(port) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            data = b""
            while block := client.recv(65536):  # raises where close_notify is missing
                data += block
        self.assertTrue(data.endswith(b"until the end"), data)

    def test_the_certificate_is_chosen_by_sni(self):
        self.serve()
        port = self.front({"tls_certificates": [self.authority.issue("first", "DNS:a.example"),
                                                self.authority.issue("second", "DNS:*.b.example")]})
        for name, shown in (("a.example", "a.example"), ("x.b.example", "*.b.example")):
            with self.connect(port, name=name) as client:
                self.assertEqual(client.getpeercert()["subjectAltName"], (("DNS", shown),))
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.connect(port, name="c.example")

    def test_old_versions_garbage_and_plain_text_are_refused_and_others_served(self):
        self.serve()
        port = self.front()
        old = subprocess.run(["/usr/bin/openssl", "s_client", "-connect", "%s:%d" % (mesh.HOST, port), "-tls1_1",
                              "-cipher", "DEFAULT@SECLEVEL=0"], input=b"", capture_output=True, timeout=mesh.WAIT, check=False)
        self.assertNotEqual(old.returncode, 0)
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00" + b"\x00" * 600, b"\x80\x2e\x01\x00\x02"):
            raw = socket.create_connection((mesh.HOST, port), timeout=mesh.WAIT)
            raw.sendall(garbage)
            self.assertLessEqual(len(mesh.Conversation(raw).rest_or_reset()), 7)  # at most an alert
            raw.close()
        self.assertTrue(self.get(port).endswith(b"hi"))

    def test_client_certificates_are_required_checked_and_resumed(self):
        self.serve()
        self.authority.issue("client", "URI:spiffe://td/client")
        self.authority.issue("other", "URI:spiffe://td/other")
        port = self.front(
            {"tls_certificates": [self.authority.issue("server", "DNS:a.example")],
             "validation_context": self.authority.trusted(match_typed_subject_alt_names=[
                 {"san_type": "URI", "matcher": {"exact": "spiffe://td/client"}}])},
            require_client_certificate=True)
        good = self.context(certificate="client")
        self.assertTrue(self.get(port, good).endswith(b"hi"))
        for bad in (self.context(), self.context(certificate="other")):
            with self.assertRaises((ssl.SSLError, ConnectionResetError)):
                self.get(port, bad)
        # Resumed, without another look at the certificate.
        with self.connect(port, good) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            client.recv(1000)
            session = client.session
        raw = socket.create_connection((mesh.HOST, port), timeout=mesh.WAIT)
        with good.wrap_socket(raw, server_hostname="a.example", session=session) as client:
            self.assertTrue(client.session_reused)

    def test_the_app_is_told_who_the_client_proved_to_be_and_by_nobody_else(self):
        told = []
        self.serve(lambda head: told.append(head.all("x-forwarded-client-cert")) or b"hi")
        self.authority.issue("client", "URI:spiffe://td/client,DNS:client.example")
        port = self.front(
            {"tls_certificates": [self.authority.issue("server", "DNS:a.example,URI:spiffe://td/server")],
             "validation_context": self.authority.trusted()},
            {"hcm": {"forward_client_cert_details": "SANITIZE_SET",
                     "set_current_client_cert_details": {"subject": True, "uri": True, "dns": True}}})

        def ask(*arguments):
            done = self.curl("--resolve", "a.example:%d:%s" % (port, mesh.HOST), "-H", "x-forwarded-client-cert: Hash=lies",
                             "https://a.example:%d/" % port, *arguments)
            self.assertEqual(done.stdout, b"hi", done.stderr)
            return told.pop()

        files = ("--cert", self.authority.path("client"), "--key", self.authority.key("client"))
        shown = subprocess.run(["/usr/bin/openssl", "x509", "-in", self.authority.path("client"), "-outform", "DER"],
                               capture_output=True, check=True).stdout
        expected = "By=spiffe://td/server;Hash=%s;Subject=\"CN=client\";URI=spiffe://td/client;DNS=client.example" % (
            hashlib.sha256(shown).hexdigest())
        for version in ("--http1.1", "--http2"):
            self.assertEqual(ask(version, *files), [expected])
            self.assertEqual(ask(version), [])

    def test_each_identity_has_a_limit_of_its_own(self):
        self.serve()
        for name in ("ann", "bob"):
            self.authority.issue(name, "URI:spiffe://td/" + name)
        full = {"numerator": 100}
        bucket = {"max_tokens": 2, "tokens_per_fill": 2, "fill_interval": "3600s"}
        limit = mesh.typed(
            "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", stat_prefix="s",
            token_bucket={**bucket, "max_tokens": 100, "tokens_per_fill": 100},
            filter_enabled={"default_value": full}, filter_enforced={"default_value": full},
            rate_limits=[{"actions": [{"extension": {
                "name": "i", "typed_config": mesh.typed("pillion.sidecar.v1.PeerIdentity")}}]}],
            descriptors=[{"entries": [{"key": "peer_identity"}], "token_bucket": bucket}])
        port = self.front(
            {"tls_certificates": [self.authority.issue("server", "DNS:a.example")],
             "validation_context": self.authority.trusted()},
            {"filters": [("envoy.filters.http.local_ratelimit", limit)]})

        def statuses(certificate, count):
            context = self.context(certificate=certificate)
            return [self.get(port, context).split(b" ")[1].decode() for _ in range(count)]

        self.assertEqual(statuses("ann", 3), ["200", "200", "429"])
        self.assertEqual(statuses("bob", 3), ["200", "200", "429"], "another's")
        self.assertEqual(statuses(None, 4), ["200"] * 4, "who proves nothing is under the limit of all alone")

    def test_early_data_is_answered_425_unless_the_request_may_be_replayed(self):
        heads = []
        self.serve(lambda head: heads.append(head) or b"hi")
        port = self.front({"tls_certificates": [self.authority.issue("server", "DNS:a.example")],
                           "custom_handshaker": {"name": "early", "typed_config": mesh.typed(
                               "pillion.sidecar.v1.EarlyData", max_bytes=4096)}})
        folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        session, early = os.path.join(folder, "session"), os.path.join(folder, "early")

        def visit(*more):
            """Waits for the answer, then leaves."""
            program = subprocess.Popen(["/usr/bin/openssl", "s_client", "-connect", "%s:%d" % (mesh.HOST, port),
                                        "-servername", "a.example", "-CAfile", self.authority.ca, *more],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            return program

        def answer_of(program, request=b""):
            if request:
                program.stdin.write(request)
                program.stdin.flush()
            text = b""
            os.set_blocking(program.stdout.fileno(), False)
            end = time.monotonic() + mesh.WAIT
            while b"HTTP/1.1 " not in text and time.monotonic() < end:
                text += program.stdout.read(65536) or b""
                time.sleep(0.01)
            time.sleep(0.05)
            text += program.stdout.read(65536) or b""
            program.stdin.close()
            program.wait(timeout=mesh.WAIT)
            program.stdout.close()
            return text

        for request, status, reached in ((b"GET /early HTTP/1.1\r\nHost: a\r\n\r\n", b"200", True),
                                         (b"POST /pay HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", b"425", False)):
            text = answer_of(visit("-sess_out", session), b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn(b"HTTP/1.1 200", text)
            self.assertIsNone(heads[-1].get("early-data"))
            with open(early, "wb") as file:
                file.write(request)
            del heads[:]
            text = answer_of(visit("-sess_in", session, "-early_data", early))
            self.assertIn(b"Early data was accepted", text)
            self.assertIn(b"HTTP/1.1 " + status, text)
            self.assertEqual([head.get("early-data") for head in heads], ["1"] if reached else [])
            heads[:] = heads or [None]

    def test_files_are_replaced_under_load_without_a_failed_request(self):
        self.serve()
        folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        chain, key = os.path.join(folder, "chain.pem"), os.path.join(folder, "key.pem")

        def install(name):
            for source, target in ((self.authority.path(name), chain), (self.authority.key(name), key)):
                shutil.copy(source, target + ".next")
                os.rename(target + ".next", target)

        for name in ("one", "two", "three"):
            self.authority.issue(name, "DNS:a.example,DNS:%s.example" % name)
        install("one")
        port = self.front({"tls_certificates": [{"certificate_chain": {"filename": chain}, "private_key": {"filename": key}}]})
        failures, requests, stop = [], [0], threading.Event()

        def load(keep):
            connection = None
            while not stop.is_set():
                try:
                    if keep:
                        connection = connection or http.client.HTTPSConnection("a.example", port, context=self.context(),
                                                                               timeout=mesh.WAIT)
                        if connection.sock is None:
                            connection.sock = self.connect(port)
                        connection.request("GET", "/")
                        assert connection.getresponse().read() == b"hi"
                    else:
                        assert self.get(port).endswith(b"hi")
                    requests[0] += 1
                except Exception as error:  # whatever it is, a user would have seen it
                    failures.append(repr(error))
                    return

        threads = [threading.Thread(target=load, args=(keep,)) for keep in (True, False)]
        for thread in threads:
            thread.start()

        def shown():
            with self.connect(port) as client:
                return client.getpeercert()["subjectAltName"][1][1]

        for name in ("two", "three"):
            install(name)
            mesh.wait_until(lambda: shown() == name + ".example", "the new certificate is shown")
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(requests[0], 20)


class MutualTls(Tls):
    """app <-- sidecar ==mTLS, HTTP/2==> sidecar <-- client."""

    def pair(self, alpn=("h2",), names=None, **client):
        port, between = mesh.free_port(), mesh.free_port()
        server = {"tls_certificates": [self.authority.issue("server", "URI:spiffe://td/server")],
                  "alpn_protocols": list(alpn),
                  "validation_context": self.authority.trusted(match_typed_subject_alt_names=[
                      {"san_type": "URI", "matcher": {"prefix": "spiffe://td/"}}])}
        far = mesh.listener("in", between, "app", direction="INBOUND", peer=True)
        self.start([with_tls(far, server_tls(server, require_client_certificate=True))],
                   [mesh.cluster("app", [self.app.address])])
        common = {"tls_params": {"tls_maximum_protocol_version": "TLSv1_3"}, "alpn_protocols": ["h2"],
                  "tls_certificates": [self.authority.issue("client", "URI:spiffe://td/client")],
                  "validation_context": self.authority.trusted(match_typed_subject_alt_names=[
                      {"san_type": "URI", "matcher": {"exact": names or "spiffe://td/server"}}]), **client}
        next_one = mesh.cluster("next", [(mesh.HOST, between)], sidecar=True, transport_socket=client_tls(common))
        self.start([mesh.listener("out", port, "next", explain=True)], [next_one])
        return port

    def ask(self, port, text="GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
        client = mesh.Conversation(socket.create_connection((mesh.HOST, port), timeout=mesh.WAIT))
        client.send(text)
        head = client.head()
        content = client.exactly(int(head.get("content-length") or 0))
        client.close()
        return head, content

    def test_two_sidecars_speak_http2_over_mutual_tls(self):
        self.serve()
        port = self.pair()
        for _ in range(20):
            head, content = self.ask(port)
            self.assertEqual((head.status, content), (200, b"hi"))

    def test_a_server_with_another_identity_is_not_spoken_to(self):
        port = self.pair(names="spiffe://td/other")
        head, _ = self.ask(port, "GET / HTTP/1.1\r\nHost: a\r\nx-pillion-explain: 1\r\n\r\n")
        self.assertEqual(head.status, 503)
        self.assertIn("no subject alternative name of the peer is allowed", head.text)

    def test_an_endpoint_that_chooses_another_protocol_is_a_connect_failure(self):
        port = self.pair(alpn=("http/1.1",), alpn_protocols=["http/1.1"])
        head, _ = self.ask(port, "GET / HTTP/1.1\r\nHost: a\r\nx-pillion-explain: 1\r\n\r\n")
        self.assertEqual(head.status, 503)
        self.assertIn("ALPN", head.text)


class Replaced(Tls):
    """The files of both ends are replaced, as Kubernetes does: a link is turned from one folder to the next."""

    def setUp(self):
        super().setUp()
        self.old, self.new = self.authority, certificates.Authority("new")
        for authority in (self.old, self.new):
            for end in ("server", "client"):
                authority.issue(end, "URI:spiffe://td/" + end)
        self.folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        self.link = os.path.join(self.folder, "now")

    ask = MutualTls.ask

    def place(self, shown, *trusted, revoked=()):
        made = tempfile.mkdtemp(dir=self.folder)
        for end in ("server", "client"):
            shutil.copy(shown.path(end), made)
            shutil.copy(shown.key(end), made)
        lists = [self.old.revocations(), self.new.revocations(*revoked)]
        for name, parts in (("ca", [one.ca for one in trusted]), ("crl", lists)):
            with open(os.path.join(made, name), "w") as file:
                for part in parts:
                    with open(part) as text:
                        file.write(text.read())
        os.symlink(made, self.link + ".next")
        os.rename(self.link + ".next", self.link)

    def replace(self, *arguments, **more):
        def loads():
            return [one.metrics()['pillion_tls_certificate_loads_total{result="used"}'] for one in self.made]
        before = loads()
        self.place(*arguments, **more)
        mesh.wait_until(lambda: all(a < b for a, b in zip(before, loads())), "both ends have read it")

    def common(self, own, other):
        def at(name):
            return {"filename": os.path.join(self.link, name)}
        return {"alpn_protocols": ["h2"],
                "tls_certificates": [{"certificate_chain": at(own + ".pem"), "private_key": at(own + ".key")}],
                "validation_context": {"trusted_ca": at("ca"), "crl": at("crl"), "match_typed_subject_alt_names": [
                    {"san_type": "URI", "matcher": {"exact": "spiffe://td/" + other}}]}}

    def begin(self):
        """No connection between the two serves many requests, so that handshakes go on. Returns the near one's port."""
        port, self.between = mesh.free_port(), mesh.free_port()
        far = mesh.listener("in", self.between, "app", direction="INBOUND", peer=True,
                            hcm={"forward_client_cert_details": "SANITIZE_SET"})
        self.start([with_tls(far, server_tls(self.common("server", "client"), require_client_certificate=True))],
                   [mesh.cluster("app", [self.app.address])], admin=True)
        options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        few = mesh.typed(options, explicit_http_config={"http_protocol_options": {}},
                         common_http_protocol_options={"max_requests_per_connection": 5})
        self.start([mesh.listener("out", port, "next")],
                   [mesh.cluster("next", [(mesh.HOST, self.between)], sidecar=True,
                                 transport_socket=client_tls(self.common("client", "server")),
                                 typed_extension_protocol_options={options: few})], admin=True)
        return port

    def taken(self, authority):
        """Whether the far sidecar serves a client for whom this one vouches."""
        context = self.context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(authority.path("client"), authority.key("client"))
        try:
            return b" 200 " in self.get(self.between, context)
        except OSError:
            return False

    def test_certificates_trust_and_revocations_are_replaced_under_load(self):
        told, failures, requests, stop = [], [], [0], threading.Event()
        self.serve(lambda head: told.append(head.get("x-forwarded-client-cert") or "") or b"hi")
        self.place(self.old, self.old)
        port = self.begin()

        def load():
            while not stop.is_set():
                try:
                    head, content = self.ask(port)
                    assert (head.status, content) == (200, b"hi"), head
                    requests[0] += 1
                except Exception as error:  # whatever it is, a user would have seen it
                    failures.append(repr(error))
                    return

        threads = [threading.Thread(target=load) for _ in range(2)]
        self.addCleanup(stop.set)
        for thread in threads:
            thread.start()
        self.assertEqual((self.taken(self.old), self.taken(self.new)), (True, False))
        self.replace(self.old, self.old, self.new)
        self.assertEqual((self.taken(self.old), self.taken(self.new)), (True, True))
        self.replace(self.new, self.old, self.new)
        with open(self.new.path("client")) as file:
            shown = "Hash=" + hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest()
        mesh.wait_until(lambda: shown in told[-1], "the new certificate is shown")
        self.replace(self.new, self.new)
        before = requests[0]
        mesh.wait_until(lambda: failures or requests[0] > before + 50, "handshakes go on")
        self.assertEqual((self.taken(self.old), self.taken(self.new)), (False, True))
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.replace(self.new, self.new, revoked=["client"])
        self.assertFalse(self.taken(self.new))
        revoked = 'pillion_tls_handshake_failures_total{side="client",reason="revoked"}'  # the client may hear of it first
        mesh.wait_until(lambda: self.made[0].metrics()[revoked] == 1, "it is counted")


class RelayedTls(Tls):
    """TCP proxies whose client, or cluster, speaks TLS: half-close becomes close_notify and back."""

    def tcp_listener(self, port):
        return {"name": "tcp", "traffic_direction": "OUTBOUND",
                "address": {"socket_address": {"address": mesh.HOST, "port_value": port}},
                "filter_chains": [{"filters": [{"name": "tcp", "typed_config": mesh.typed(
                    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", stat_prefix="tcp", cluster="app")}]}]}

    def test_tls_ends_before_a_tcp_proxy(self):
        port = mesh.free_port()
        common = {"tls_certificates": [self.authority.issue("server", "DNS:a.example")]}
        self.start([with_tls(self.tcp_listener(port), server_tls(common))], [mesh.cluster("app", [self.app.address])])
        client = mesh.Conversation(self.connect(port))
        client.send(b"to the app" + b"x" * 1000000)
        app = self.app.accept()
        self.assertEqual(app.exactly(1000010), b"to the app" + b"x" * 1000000)
        app.send(b"to the client")
        self.assertEqual(client.exactly(13), b"to the client")
        app.half_close()
        self.assertEqual(client.rest(), b"")  # a close_notify, not a cut
        client.send(b"the last")
        self.assertEqual(app.exactly(8), b"the last")
        client.close()
        self.assertTrue(app.closed())

    def test_a_relay_to_a_cluster_with_tls(self):
        port = mesh.free_port()
        self.authority.issue("app", "DNS:app.example")
        trusted = {"trusted_ca": {"filename": self.authority.ca},
                   "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "app.example"}}]}
        self.start([self.tcp_listener(port)],
                   [mesh.cluster("app", [self.app.address], transport_socket=client_tls({"validation_context": trusted}, sni="app.example"))])
        client = mesh.Conversation(socket.create_connection((mesh.HOST, port), timeout=mesh.WAIT))
        client.send(b"to the app")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.authority.path("app"), self.authority.key("app"))
        asked = []
        context.sni_callback = lambda _, name, __: asked.append(name)
        while True:
            app = mesh.Conversation(context.wrap_socket(self.app.sock.accept()[0], server_side=True))
            if not app.silent(mesh.WAIT) and app.buffer:
                break
            app.close()  # the connection that asked whether the sidecar listens was relayed, too
        self.assertEqual(asked[-1], "app.example")
        self.assertEqual(app.exactly(10), b"to the app")
        app.send(b"y" * 1000000)
        self.assertEqual(client.exactly(1000000), b"y" * 1000000)
        client.half_close()
        self.assertEqual(app.rest(), b"")
        app.send(b"the last")
        app.close()
        self.assertEqual(client.rest_or_reset(), b"the last")

    def test_a_relay_to_a_cluster_whose_certificate_is_not_trusted_is_closed(self):
        port = mesh.free_port()
        other = certificates.Authority("other")
        other.issue("app", "DNS:app.example")
        trusted = {"trusted_ca": {"filename": self.authority.ca}}
        self.start([self.tcp_listener(port)],
                   [mesh.cluster("app", [self.app.address], transport_socket=client_tls({"validation_context": trusted}, sni="app.example"))])
        client = mesh.Conversation(socket.create_connection((mesh.HOST, port), timeout=mesh.WAIT))
        client.send(b"a secret")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(other.path("app"), other.key("app"))
        raw, _ = self.app.sock.accept()
        with self.assertRaises((ssl.SSLError, OSError)):
            context.wrap_socket(raw, server_side=True).recv(100)
        raw.close()
        self.assertEqual(client.rest_or_reset(), b"")


if __name__ == "__main__":
    unittest.main()
