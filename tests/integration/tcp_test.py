"""Connections that are relayed as they are, and how a listener finds out which those are: by port, by the TLS server
name (passed through, not ended here), by their first bytes, by who speaks first."""

import json
import os
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest

import mesh
from mesh import INSPECTORS, tcp_chain

class Echo:
    """Says `greeting` to each connection, then gives back what it gets, to the end."""

    def __init__(self, name, greeting=b"", context=None):
        self.name, self.greeting, self.context = name, greeting, context
        self.sock = socket.create_server((mesh.HOST, 0))
        self.address = self.sock.getsockname()
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.sock.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection:
                connection.sendall(self.greeting)
                while data := connection.recv(65536):
                    connection.sendall(self.name + data)
        except OSError:
            pass

    def close(self):
        self.sock.close()


def self_signed(directory, name):
    key, cert = os.path.join(directory, name + ".key"), os.path.join(directory, name + ".pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-subj", "/CN=" + name, "-days", "2"],
                   check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


class Tcp(unittest.TestCase):
    def start(self, chains, filters=(), servers=(), **more):
        self.port = mesh.free_port()
        listener = {"name": "l", "traffic_direction": "OUTBOUND",
                    "address": {"socket_address": {"address": mesh.HOST, "port_value": self.port}},
                    "filter_chains": chains, "listener_filters": [INSPECTORS[f] for f in filters], **more}
        sidecar = mesh.Sidecar([listener], [mesh.cluster(s.name.decode().strip(), [s.address]) for s in servers])
        self.addCleanup(sidecar.stop)
        for server in servers:
            self.addCleanup(server.close)
        return sidecar

    def connect(self):
        sock = socket.create_connection((mesh.HOST, self.port), timeout=mesh.WAIT)
        self.addCleanup(sock.close)
        return mesh.Conversation(sock)

    def test_a_large_transfer_and_a_half_close(self):
        server = Echo(b"e")
        self.start([tcp_chain("e")], servers=[server])
        client = self.connect()
        sent = b"0123456789" * (1 << 17)
        threading.Thread(target=lambda: (client.send(sent), client.half_close()), daemon=True).start()
        self.assertEqual(client.rest().replace(b"e", b""), sent)

    def test_one_port_for_http_tls_by_name_and_anything_else(self):
        with tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR")) as directory:
            one = Echo(b"one ", context=self_signed(directory, "one.example"))
            two = Echo(b"two ", context=self_signed(directory, "two.example"))
        other = Echo(b"other ")
        app = mesh.App()
        self.addCleanup(app.close)
        http = mesh.listener("h", 1, "app")["filter_chains"][0]
        http["filter_chain_match"] = {"application_protocols": ["http/1.0", "http/1.1", "h2c"],
                                      "transport_protocol": "raw_buffer"}
        port = mesh.free_port()
        listener = {"name": "l", "traffic_direction": "OUTBOUND",
                    "address": {"socket_address": {"address": mesh.HOST, "port_value": port}},
                    "listener_filters": [INSPECTORS["tls_inspector"], INSPECTORS["http_inspector"]],
                    "filter_chains": [http, tcp_chain("one", {"server_names": ["one.example"]}),
                                      tcp_chain("two", {"server_names": ["*.example"]})],
                    "default_filter_chain": {"filters": tcp_chain("other")["filters"]}}
        clusters = [mesh.cluster("app", [app.address])] + [
            mesh.cluster(s.name.decode().strip(), [s.address]) for s in (one, two, other)]
        sidecar = mesh.Sidecar([listener], clusters)
        self.addCleanup(sidecar.stop)
        self.port = port
        for name, expected in (("one.example", b"one hi"), ("TWO.example", b"two hi"), ("a.b.example", b"two hi")):
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(socket.create_connection((mesh.HOST, port)), server_hostname=name) as tls:
                tls.sendall(b"hi")
                self.assertEqual(tls.recv(100), expected)
                subject = tls.getpeercert(binary_form=True)
                self.assertIn(b"one.example" if name == "one.example" else b"two.example", subject)
        client = self.connect()
        client.send(b"*1\r\n$4\r\nPING\r\n")
        self.assertEqual(client.exactly(20), b"other *1\r\n$4\r\nPING\r\n"[:20])
        client = self.connect()
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        served = app.accept()
        served.until(b"\r\n\r\n")
        served.send(mesh.OK)
        self.assertEqual(client.head().status, 200)

    def test_a_chain_by_the_alpn_of_the_client_hello(self):
        """What the client offers decides before anybody has answered it; the bytes are passed on as they came."""
        with tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR")) as directory:
            servers = [Echo(name, context=self_signed(directory, "a.example")) for name in (b"two ", b"one ", b"any ")]
        for server, protocols in zip(servers, (["h2"], ["http/1.1", "http/1.0"], ["h2", "http/1.1", "x"])):
            server.context.set_alpn_protocols(protocols)
        self.start([tcp_chain("two", {"application_protocols": ["h2"], "transport_protocol": "tls"}),
                    tcp_chain("one", {"application_protocols": ["http/1.1", "http/1.0"], "transport_protocol": "tls"}),
                    tcp_chain("any", {"transport_protocol": "tls"})], ["tls_inspector"], servers)
        for offered, expected, chosen in ((["h2"], b"two hi", "h2"), (["http/1.1"], b"one hi", "http/1.1"),
                                          (["http/1.0", "x"], b"one hi", "http/1.0"), (["x", "h2"], b"two hi", "h2"),
                                          (["x"], b"any hi", "x"), ([], b"any hi", None)):
            with self.subTest(offered):
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                if offered:
                    context.set_alpn_protocols(offered)
                with context.wrap_socket(socket.create_connection((mesh.HOST, self.port)), server_hostname="a.example") as tls:
                    tls.sendall(b"hi")
                    self.assertEqual((tls.recv(100), tls.selected_alpn_protocol()), (expected, chosen))

    def test_a_server_that_speaks_first_beside_http(self):
        server = Echo(b"smtp ", greeting=b"220 ready\r\n")
        http = mesh.listener("h", 1, "smtp")["filter_chains"][0]
        http["filter_chain_match"] = {"application_protocols": ["http/1.1"]}
        self.start([http, tcp_chain("smtp")], ["tls_inspector", "http_inspector"], [server])
        for _ in range(4):
            client = self.connect()
            self.assertEqual(client.exactly(11), b"220 ready\r\n")
            client.send(b"QUIT\r\n")
            self.assertEqual(client.exactly(11), b"smtp QUIT\r\n")

    def test_what_cannot_be_matched_is_refused_by_name(self):
        cases = [
            ({"server_names": ["a"]}, [], "filter_chain_match.server_names: expected a TlsInspector"),
            ({"transport_protocol": "tls"}, [], "transport_protocol: expected a TlsInspector"),
            ({"transport_protocol": "x"}, [], 'transport_protocol: expected "tls" or "raw_buffer"'),
            ({"application_protocols": ["h2"]}, [], "application_protocols: expected a TlsInspector or HttpInspector"),
            ({"server_names": ["a.*.b"]}, ["tls_inspector"], "server_names[0]: expected a name, or *. and a suffix"),
            ({"prefix_ranges": [{"address_prefix": "x"}]}, [], "address_prefix: expected an IPv4 or IPv6 address"),
            ({"prefix_ranges": [{"address_prefix": "1.2.3.4", "prefix_len": 33}]}, [], "prefix_len: expected"),
            ({"address_suffix": "x"}, [], "address_suffix"),
            ({"destination_port": 0}, [], "destination_port: expected"),
        ]
        for match, filters, expected in cases:
            with self.subTest(expected):
                errors = self.refused({"filter_chains": [tcp_chain("up", match)],
                                       "listener_filters": [INSPECTORS[f] for f in filters]})
                self.assertIn(expected, errors)
        twice = self.refused({"filter_chains": [tcp_chain("up", {"destination_port": 1})] * 2})
        self.assertIn("filter_chains[1].filter_chain_match: expected no two chains for the same connections", twice)
        self.assertIn("expected a known cluster; there is no gone", self.refused({"filter_chains": [tcp_chain("gone")]}))
        self.assertIn("filter_chains: expected at least one", self.refused({}))

    def refused(self, listener):
        config = {"node": {"id": "a", "cluster": "b"}, "static_resources": {
            "listeners": [{"address": {"socket_address": {"address": mesh.HOST, "port_value": 1}}, **listener}],
            "clusters": [mesh.cluster("up", [(mesh.HOST, 1)])]}}
        path = os.path.join(tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR")), "bootstrap.json")
        with open(path, "w") as file:
            json.dump(config, file)
        done = subprocess.run([mesh.SIDECAR, "-c", path, "--mode", "validate"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stderr


if __name__ == "__main__":
    unittest.main()
