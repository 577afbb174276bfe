"""Each time-out, from its start event to what the client sees."""

import socket
import time
import unittest

import mesh
from mesh import OK

SHORT = "0.2s"


class Full:
    """A listening address that accepts nobody: its backlog is full, so a connection is neither made nor refused."""

    def __init__(self):
        self.sock = socket.socket()
        self.sock.bind((mesh.HOST, 0))
        self.sock.listen(0)
        self.address = self.sock.getsockname()
        self.waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(self.address)
            self.waiting.append(one)

    def close(self):
        for one in self.waiting + [self.sock]:
            one.close()


class Timeouts(mesh.MeshTest):
    def within(self, seconds, since):
        self.assertLess(time.monotonic() - since, seconds)

    def test_connect_timeout(self):
        full = Full()
        self.addCleanup(full.close)
        self.start(addresses=[full.address], app_cluster={"connect_timeout": SHORT}, out={"explain": True})
        begin = time.monotonic()
        client = self.get(fields="x-pillion-explain: 1\r\n")
        head = client.head()
        self.assertEqual(head.status, 503)
        self.assertEqual(client.exactly(int(head.get("content-length"))), b"upstream connect timed out\n")
        self.assertGreater(time.monotonic() - begin, 0.19)

    def test_route_timeout_is_504(self):
        self.start(out={"route": {"timeout": SHORT}})
        client = self.get()
        app, _ = self.accept_request()
        head = client.head()
        self.assertEqual(head.first, "HTTP/1.1 504 Gateway Timeout")
        client.exactly(int(head.get("content-length")))
        self.assertTrue(app.closed())  # the app learns that nobody waits
        self.get(client)  # and the client's connection goes on
        app, _ = self.accept_request()
        app.send(OK)
        self.assertEqual(client.head().status, 200)

    def test_route_timeout_does_not_count_a_slow_upload(self):
        self.start(out={"route": {"timeout": SHORT}})
        client = self.ask("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\na")
        app, _ = self.accept_request()
        time.sleep(0.3)  # the upload itself is what is slow
        client.send("b")
        self.assertEqual(app.exactly(2), b"ab")
        app.send(OK)
        self.assertEqual(client.head().status, 200)

    def test_route_timeout_breaks_off_an_answer_that_has_begun(self):
        self.start(out={"route": {"timeout": SHORT}})
        client = self.get()
        app, _ = self.accept_request()
        app.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        self.assertEqual(client.head().status, 200)
        self.assertEqual(client.exactly(5), b"hello")
        self.assertTrue(client.closed())

    def test_per_try_timeout_is_504(self):
        self.start(out={"route": {"retry_policy": {"retry_on": "reset", "num_retries": 0,
                                                   "per_try_timeout": SHORT}}})
        client = self.get()
        self.accept_request()
        self.assertEqual(client.head().status, 504)

    def test_stream_idle_timeout_waiting_for_the_app_is_504(self):
        self.start(out={"hcm": {"stream_idle_timeout": SHORT}})
        client = self.get()
        self.accept_request()
        self.assertEqual(client.head().status, 504)

    def test_stream_idle_timeout_waiting_for_the_client_is_408(self):
        self.start(out={"hcm": {"stream_idle_timeout": SHORT}})
        client = self.ask("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\na")
        app, _ = self.accept_request()
        self.assertEqual(client.head().status, 408)
        client.rest()
        self.assertEqual(app.rest_or_reset(), b"a")

    def test_stream_idle_timeout_is_put_off_by_every_byte(self):
        self.start(out={"hcm": {"stream_idle_timeout": "0.3s"}})
        client = self.get()
        app, _ = self.accept_request()
        app.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for byte in "abcdef":
            time.sleep(0.1)
            app.send(byte)
        self.assertEqual(client.head().status, 200)
        self.assertEqual(client.exactly(6), b"abcdef")

    def test_idle_client_connections_are_closed(self):
        self.start(out={"hcm": {"common_http_protocol_options": {"idle_timeout": SHORT}}})
        client = self.get()
        app, _ = self.accept_request()
        app.send(OK)
        client.head()
        self.assertEqual(client.rest(), b"hi")

    def test_a_client_that_never_asks_is_closed(self):
        self.start(out={"hcm": {"codec_type": "HTTP1", "common_http_protocol_options": {"idle_timeout": SHORT}}})
        self.assertEqual(self.client().rest(), b"")

    def test_a_slow_head_is_408(self):
        self.start(out={"hcm": {"request_headers_timeout": SHORT}})
        client = self.ask("GET / HTTP/1.1\r\nHost: sh")
        begin = time.monotonic()
        self.assertEqual(client.head().status, 408)
        client.rest()
        self.within(5, begin)

    def test_a_slow_request_is_408(self):
        self.start(out={"hcm": {"request_timeout": SHORT}})
        client = self.ask("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\na")
        self.accept_request()
        self.assertEqual(client.head().status, 408)
        client.rest()

    def test_request_timeout_counts_a_slow_head_too(self):
        self.start(out={"hcm": {"request_timeout": SHORT}})
        client = self.ask("GET / HTTP/1.1\r\nHost: sh")
        self.assertEqual(client.head().status, 408)
        client.rest()

    def test_idle_upstream_connections_are_closed(self):
        options = {"common_http_protocol_options": {"idle_timeout": SHORT},
                   "explicit_http_config": {"http_protocol_options": {}}}
        name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        self.start(app_cluster={"typed_extension_protocol_options": {name: mesh.typed(name, **options)}})
        client = self.get()
        app, _ = self.accept_request()
        app.send(OK)
        client.head()
        client.exactly(2)
        self.assertEqual(app.rest(), b"")


class TimeoutsAtTwo(mesh.AtTwo, Timeouts):
    pass


class UpgradeTimeouts(mesh.MeshTest):
    def test_a_slow_request_is_ended_whatever_it_asks_for(self):
        self.start(out={"hcm": {"request_timeout": "0.3s"}})
        client = self.ask("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 9\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nslow")
        self.assertEqual(client.head().status, 408)


if __name__ == "__main__":
    unittest.main()
