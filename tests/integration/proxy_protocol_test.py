"""PROXY protocol towards the upstream: nginx is told who the client is, by relays and by HTTP, in plain text and before TLS."""

import socket
import unittest

import certificates
import mesh
import nginx

SOCKETS = "envoy.extensions.transport_sockets."
TELLS = "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port $connection_requests"


def transport(name, **config):
    return {"transport_socket": {"name": name, "typed_config": mesh.typed(SOCKETS + name, **config)}}


RAW = transport("raw_buffer.v3.RawBuffer")


def introducing(version, inner=RAW):
    return transport("proxy_protocol.v3.ProxyProtocolUpstreamTransport", config={"version": version}, **inner)


def ask(conversation):
    """What nginx says of the connection, on one that stays open."""
    conversation.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    head = conversation.head()
    return conversation.exactly(int(head.get("content-length"))).decode().split()


class ToNginx(unittest.TestCase):
    """It demands a PROXY header on each connection, and answers with what it says; its second port speaks TLS behind it."""

    def setUp(self):
        self.authority = certificates.Authority()
        self.authority.issue("app", "DNS:app.test")
        self.plain, self.tls = mesh.free_port(), mesh.free_port()
        server = """server { listen %s:%d %s proxy_protocol; location / { return 200 "%s"; } }"""
        made = nginx.Nginx(self.tls, "ssl_certificate %s; ssl_certificate_key %s;" % (
            self.authority.path("app"), self.authority.key("app")) + server % (mesh.HOST, self.plain, "", TELLS) +
            server % (mesh.HOST, self.tls, "ssl", TELLS))
        self.addCleanup(made.stop)

    def start(self, listener, **cluster):
        port = cluster.pop("port", self.plain)
        self.port = listener["address"]["socket_address"]["port_value"]
        sidecar = mesh.Sidecar([listener], [mesh.cluster("nginx", [(mesh.HOST, port)], **cluster)])
        self.addCleanup(sidecar.stop)

    def connect(self):
        sock = socket.create_connection((mesh.HOST, self.port), timeout=mesh.WAIT)
        self.addCleanup(sock.close)
        return mesh.Conversation(sock)

    def ends_of(self, client):
        """As nginx should name them."""
        return [str(part) for part in client.sock.getsockname() + client.sock.getpeername()]

    def relay(self, filters=()):
        return {"name": "l", "traffic_direction": "OUTBOUND",
                "address": {"socket_address": {"address": mesh.HOST, "port_value": mesh.free_port()}},
                "listener_filters": [mesh.INSPECTORS[f] for f in filters],
                "filter_chains": [mesh.tcp_chain("nginx")]}

    def http(self):
        return mesh.listener("http", mesh.free_port(), "nginx")

    def test_relays_and_http_in_both_versions_tell_the_client(self):
        for version in ("V1", "V2"):
            for make in (self.relay, self.http):
                with self.subTest(version=version, listener=make.__name__):
                    self.start(make(), **introducing(version))
                    client = self.connect()
                    for number in ("1", "2"):
                        self.assertEqual(ask(client), self.ends_of(client) + [number])

    def test_the_header_goes_before_tls(self):
        inner = transport("tls.v3.UpstreamTlsContext", sni="app.test", common_tls_context={"validation_context": {
            **self.authority.trusted()}})
        for make in (self.relay, self.http):
            with self.subTest(listener=make.__name__):
                self.start(make(), port=self.tls, **introducing("V2", inner))
                client = self.connect()
                for number in ("1", "2"):
                    self.assertEqual(ask(client), self.ends_of(client) + [number])

    def test_a_connection_serves_one_client_only(self):
        """Over HTTP the upstream's connections are kept; each was made for somebody."""
        self.start(self.http(), **introducing("V1"))
        clients = [self.connect() for _ in range(3)]
        for number in ("1", "2", "3"):
            for client in clients:
                self.assertEqual(ask(client), self.ends_of(client) + [number])

    def test_a_client_that_leaves_gives_its_place_at_the_app_back(self):
        app = mesh.App()
        self.addCleanup(app.close)
        listener = self.http()
        self.port = listener["address"]["socket_address"]["port_value"]
        sidecar = mesh.Sidecar([listener], [mesh.cluster("nginx", [app.address], **introducing("V1"))])
        self.addCleanup(sidecar.stop)
        client = self.connect()
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        taken = app.accept()
        self.assertTrue(taken.until(b"\r\n").startswith(b"PROXY TCP4 "))
        taken.head()
        taken.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(client.head().status, 200)
        client.close()
        self.assertEqual(taken.rest(), b"")

    def test_what_a_proxy_before_us_told_is_told_on(self):
        for make in (self.relay, self.http):
            with self.subTest(listener=make.__name__):
                listener = make()
                listener["listener_filters"] = [mesh.INSPECTORS["proxy_protocol"]]
                self.start(listener, **introducing("V2"))
                client = self.connect()
                client.send("PROXY TCP4 192.0.2.1 198.51.100.7 4444 443\r\n")
                self.assertEqual(ask(client), ["192.0.2.1", "4444", "198.51.100.7", "443", "1"])


if __name__ == "__main__":
    unittest.main()
