"""Attacks on a TLS listener. The attacker is cut off and counted, others are served during and after it."""
import socket
import ssl
import subprocess
import time
import unittest

import certificates
import mesh
from attack import Attack

_SERVER = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
HANDSHAKE_SECONDS = 15  # kTlsHandshakeTimeout


def client_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="a.example")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class TlsAttacks(mesh.MeshTest):
    memory_is_back = Attack.memory_is_back

    def setUp(self):
        super().setUp()
        self.authority = certificates.Authority()
        self.port = mesh.free_port()
        routes = [{"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "hi"}}}]
        listener = mesh.listener("in", self.port, "app", direction="INBOUND", routes=routes)
        common = {"tls_certificates": [self.authority.issue("server", "DNS:a.example")]}
        listener["filter_chains"][0]["transport_socket"] = {
            "name": "envoy.transport_sockets.tls", "typed_config": mesh.typed(_SERVER, common_tls_context=common)}
        self.sidecar = mesh.Sidecar([listener], [mesh.cluster("app", [self.app.address])], admin=True)
        self.made = [self.sidecar]
        self.served()
        self.before = self.sidecar.resident_bytes()
        self.addCleanup(self.served)

    def served(self):
        context = ssl.create_default_context(cafile=self.authority.ca)
        raw = socket.create_connection((mesh.HOST, self.port), timeout=mesh.WAIT)
        with context.wrap_socket(raw, server_hostname="a.example") as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = b""
            while data := client.recv(65536):
                answer += data
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"hi"), answer)

    def failures(self, reason):
        return self.sidecar.metrics()['pillion_tls_handshake_failures_total{side="client",reason="%s"}' % reason]

    def test_handshakes_that_are_never_finished(self):
        hello = client_hello()
        attackers = [self.ask(hello) for _ in range(100)]
        self.served()
        for attacker in attackers:
            self.assertNotEqual(attacker.rest_or_reset(), b"")  # the server's flight, then the end
        self.assertEqual(self.failures("timeout"), 100)
        self.memory_is_back()

    def test_a_hello_that_comes_byte_by_byte(self):
        attacker = self.client()
        began = time.monotonic()
        with self.assertRaises(OSError):
            for byte in client_hello():
                attacker.send(bytes([byte]))
                time.sleep(0.2)  # all of it would take more than a minute
        self.assertLess(time.monotonic() - began, 2 * HANDSHAKE_SECONDS + mesh.WAIT)
        self.assertEqual(self.failures("timeout"), 1)
        self.memory_is_back()

    def test_garbage(self):
        for garbage in (b"\x16\x03\x01\xff\xff" + b"\xff" * 70000, b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff" + b"x" * 65536,
                        b"\x17\x03\x03\x00\x10" + b"x" * 16, b"\x15\x03\x03\x00\x02\x02\x28", b"\x16\x03\x03\x00\x00" * 10000):
            attacker = self.client()
            try:
                attacker.send(garbage)
            except OSError:
                pass
            attacker.rest_or_reset()
        self.assertEqual(self.failures("protocol") + self.failures("alert"), 5)
        self.memory_is_back()

    def s_client(self, version, said):
        return subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % (mesh.HOST, self.port), version, "-servername", "a.example",
                               "-CAfile", self.authority.ca], input=said, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=mesh.WAIT)

    def test_renegotiation_is_refused(self):
        done = self.s_client("-tls1_2", b"R\n")
        self.assertIn(b"RENEGOTIATING", done.stdout)
        self.assertIn(b"no renegotiation", done.stdout)

    def test_key_updates_cost_no_memory(self):
        """OpenSSL does not limit them, and one costs both ends the same. At most one answer waits."""
        client = subprocess.Popen(["openssl", "s_client", "-connect", "%s:%d" % (mesh.HOST, self.port), "-tls1_3", "-servername", "a.example",
                                   "-CAfile", self.authority.ca], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, bufsize=0)
        for _ in range(300):
            client.stdin.write(b"K\n")  # s_client looks at what one read gives it
            time.sleep(0.005)
        self.served()
        client.stdin.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        said = client.stdout.read()  # to the end of the connection
        client.communicate(timeout=mesh.WAIT)
        self.assertGreater(said.count(b"KEYUPDATE"), 200)
        self.assertIn(b"HTTP/1.1 200 OK", said)
        self.memory_is_back()


if __name__ == "__main__":
    unittest.main()
