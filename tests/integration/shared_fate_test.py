"""No shared fate: on the one HTTP/2 connection between two sidecars, whatever one client or its app does changes nothing for another
whose answer is under way all the while. The connection is the same one afterwards."""

import unittest

import mesh

BIG = 80 << 10  # more than nghttp2 takes by default in one head, or one field
PEERED = 'pillion_upstream_connections_total{protocol="http2"}'


class SharedFate(mesh.MeshTest):
    def setUp(self):
        super().setUp()
        # The first sidecar takes larger heads than the second.
        between = mesh.free_port()
        routes = [{"match": {"prefix": "/direct"}, "direct_response": {"status": 200, "body": {"inline_string": "y" * 4000}}},
                  {"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "0s"}}]
        far = mesh.Sidecar([mesh.listener("inbound", between, "app", direction="INBOUND", peer=True, routes=routes)],
                           [mesh.cluster("app", [self.app.address])])
        self.made = [far]
        self.port = mesh.free_port()
        self.near = mesh.Sidecar([mesh.listener("outbound", self.port, "next", hcm={"max_request_headers_kb": 200})],
                                 [mesh.cluster("next", [(mesh.HOST, between)], sidecar=True)], admin=True)
        self.made = [self.near, far]
        # The neighbour: half of its answer is here.
        self.neighbour = self.get(path="/neighbour")
        self.its_app, _ = self.accept_request()
        self.its_app.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        self.assertEqual(self.neighbour.head().status, 200)
        self.assertEqual(self.neighbour.exactly(5), b"first")
        self.addCleanup(self.unharmed)

    def unharmed(self):
        self.its_app.send("after")
        self.assertEqual(self.neighbour.exactly(5), b"after")
        self.serves()
        self.assertEqual(self.near.metrics()[PEERED], 1)

    def test_a_head_too_large_for_the_first_sidecar(self):
        self.assertEqual(self.get(fields="X: %s\r\n" % ("x" * (300 << 10))).head().status, 431)

    def test_a_field_too_large_for_the_second_sidecar(self):
        self.assertEqual(self.get(fields="X: %s\r\n" % ("x" * BIG)).head().status, 431)

    def test_a_head_too_large_for_the_second_sidecar(self):
        fields = "".join("X-%d: %s\r\n" % (i, "x" * 1000) for i in range(BIG // 1000))
        self.assertEqual(self.get(fields=fields).head().status, 431)

    def test_a_response_head_that_is_too_large(self):
        client = self.get()
        app, _ = self.accept_request()
        app.send("HTTP/1.1 200 OK\r\nX: %s\r\nContent-Length: 0\r\n\r\n" % ("x" * BIG))
        self.assertEqual(client.head().status, 502)

    def test_response_trailers_that_are_too_large(self):
        client = self.get(fields="TE: trailers\r\n")
        app, _ = self.accept_request()
        app.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        self.assertEqual(client.head().status, 200)
        app.send("0\r\nX: %s\r\n\r\n" % ("x" * BIG))
        # What is left is to break the message off.
        self.assertEqual(client.rest_or_reset(), b"1\r\nx\r\n")

    def test_request_trailers_that_are_too_large(self):
        client = self.ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: %s\r\n\r\n" % ("x" * (300 << 10)))
        self.assertIn(client.head().status, (400, 431))

    def test_a_client_that_goes_away_in_its_upload(self):
        client = self.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nhalf")
        app, _ = self.accept_request()
        self.assertEqual(app.exactly(4), b"half")
        client.reset()
        self.assertTrue(app.closed())

    def test_a_client_that_does_not_read(self):
        client = self.get()
        app, _ = self.accept_request()
        app.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        app.sock.settimeout(0.2)
        with self.assertRaises(OSError):
            for _ in range(10000):
                app.sock.sendall(b"x" * 65536)
        for _ in range(100):
            self.serves()
        client.reset()

    def serves(self):
        """The second sidecar answers."""
        fresh = self.get(path="/direct")
        self.assertEqual(fresh.head().status, 200)
        self.assertEqual(fresh.exactly(4000), b"y" * 4000)

    def test_an_app_that_does_not_read(self):
        client = self.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
        self.accept_request()
        client.sock.settimeout(0.2)
        with self.assertRaises(OSError):
            for _ in range(10000):
                client.sock.sendall(b"x" * 65536)
        for _ in range(100):
            self.serves()
        client.reset()

    def test_an_app_that_breaks_off(self):
        client = self.get()
        app, _ = self.accept_request()
        app.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        self.assertEqual(client.head().status, 200)
        app.reset()
        self.assertEqual(client.rest_or_reset(), b"half")

    def test_an_app_that_answers_nonsense(self):
        client = self.get()
        app, _ = self.accept_request()
        app.send("nonsense\r\n\r\n")
        self.assertEqual(client.head().status, 502)


if __name__ == "__main__":
    unittest.main()
