"""PROXY protocol towards the upstream: nginx is told who the client is, by relays and by HTTP, in plain text and before TLS."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

import certificates
import mesh

SOCKETS = "envoy.extensions.transport_sockets."
TELLS = "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port $connection_requests"


def transport(name, **config):
    return {"transport_socket": {"name": name, "typed_config": mesh.typed(SOCKETS + name, **config)}}


RAW = transport("raw_buffer.v3.RawBuffer")


def introducing(version, inner=RAW):
    return transport("proxy_protocol.v3.ProxyProtocolUpstreamTransport", config={"version": version}, **inner)


class Nginx:
    """Demands a PROXY header on each connection, and answers with what it says; the second port speaks TLS behind it."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        os.chmod(self.folder, 0o755)
        self.authority = certificates.Authority()
        self.authority.issue("app", "DNS:app.test")
        self.port, self.tls_port = mesh.free_port(), mesh.free_port()
        paths = "".join("%s_temp_path %s/%s;" % (kind, self.folder, kind)
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config = """daemon off; master_process off; pid %(f)s/pid; error_log %(f)s/errors; events {}
http { access_log off; %(paths)s
  server { listen %(host)s:%(port)d proxy_protocol; location / { return 200 "%(tells)s"; } }
  server { listen %(host)s:%(tls)d ssl proxy_protocol; ssl_certificate %(cert)s; ssl_certificate_key %(key)s;
           location / { return 200 "%(tells)s"; } } }""" % {
            "f": self.folder, "paths": paths, "host": mesh.HOST, "port": self.port, "tls": self.tls_port, "tells": TELLS,
            "cert": self.authority.path("app"), "key": self.authority.key("app")}
        path = os.path.join(self.folder, "nginx.conf")
        with open(path, "w") as file:
            file.write(config)
        nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin")
        self.process = subprocess.Popen([nginx, "-e", self.folder + "/errors", "-c", path],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        mesh.wait_until(lambda: mesh.listens(self.port) and mesh.listens(self.tls_port), "nginx listens")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=mesh.WAIT)
        shutil.rmtree(self.folder, ignore_errors=True)


def ask(conversation):
    """What nginx says of the connection, on one that stays open."""
    conversation.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    head = conversation.head()
    return conversation.exactly(int(head.get("content-length"))).decode().split()


class ToNginx(unittest.TestCase):
    def setUp(self):
        self.nginx = Nginx()
        self.addCleanup(self.nginx.stop)

    def start(self, listener, **cluster):
        port = cluster.pop("port", self.nginx.port)
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
        tls = transport("tls.v3.UpstreamTlsContext", sni="app.test", common_tls_context={"validation_context": {
            **self.nginx.authority.trusted()}})
        for make in (self.relay, self.http):
            with self.subTest(listener=make.__name__):
                self.start(make(), port=self.nginx.tls_port, **introducing("V2", tls))
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
