"""What clients and apps do wrong: a proper answer, a closed connection, and a sidecar that lives on."""

import socket
import unittest

import h2.config
import h2.connection
import h2.events
import h2.settings

import mesh
from mesh import OK


class BadRequests(mesh.MeshTest):
    def refused(self, request, status):
        """`request` is answered with `status` and a closed connection."""
        client = self.ask(request)
        head = client.head()
        self.assertEqual(head.status, status, request[:60])
        self.assertEqual(head.all("connection"), ["close"], request[:60])
        self.assertEqual(len(client.rest()), int(head.get("content-length")), request[:60])

    def test_malformed_requests_get_an_answer_and_a_closed_connection(self):
        self.start()
        host = "Host: shop\r\n"
        for request, status in (
                ("GET / HTTP/1.1\r\n\r\n", 400),
                ("GET /\r\n\r\n", 400),
                ("GET / HTTP/1.1 \r\n" + host + "\r\n", 400),
                ("GET  / HTTP/1.1\r\n" + host + "\r\n", 400),
                ("GE\x01T / HTTP/1.1\r\n" + host + "\r\n", 400),
                ("GET /\x00 HTTP/1.1\r\n" + host + "\r\n", 400),
                ("GET shop HTTP/1.1\r\n" + host + "\r\n", 400),
                ("GET ftp://shop/ HTTP/1.1\r\n" + host + "\r\n", 400),
                ("GET * HTTP/1.1\r\n" + host + "\r\n", 400),
                ("GET / HTTP/1.1\n" + host + "\r\n", 400),
                ("GET / HTTP/1.1\r\n" + host + host + "\r\n", 400),
                ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
                ("GET / HTTP/1.1\r\n" + host + "X-A : 1\r\n\r\n", 400),
                ("GET / HTTP/1.1\r\n" + host + "X-A: 1\r\n folded\r\n\r\n", 400),
                ("GET / HTTP/1.1\r\n" + host + ": 1\r\n\r\n", 400),
                ("GET / HTTP/1.1\r\n" + host + "X-A: \x00\r\n\r\n", 400),
                ("POST / HTTP/1.1\r\n" + host + "Content-Length: x\r\n\r\n", 400),
                ("POST / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 400),
                ("POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
                ("POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
                ("POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", 501),
                ("POST / HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n", 400),
                ("GET / HTTP/2.0\r\n" + host + "\r\n", 505),
                ("GET / HTTP/3.1\r\n" + host + "\r\n", 505),
                ("GET / http/1.1\r\n" + host + "\r\n", 400),
                ("GET / HTTP/11\r\n" + host + "\r\n", 400),
                ("GET /" + "a" * 20000 + " HTTP/1.1\r\n" + host + "\r\n", 414),
                ("GET / HTTP/1.1\r\n" + host + "X-A: " + "v" * 70000 + "\r\n\r\n", 431),
                ("GET / HTTP/1.1\r\n" + host + "X-A: 1\r\n" * 101 + "\r\n", 431),
                ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\x00", 505),
        ):
            with self.subTest(request=request[:60]):
                self.refused(request, status)
        self.assertTrue(self.app.no_connection(0.01))
        client = self.get()  # and the sidecar lives
        app, _ = self.accept_request()
        app.send(OK)
        self.assertEqual(client.head().status, 200)

    def test_a_connection_field_of_too_many_options_is_refused(self):
        """Each would be looked for among all fields."""
        self.start(out={"explain": True})
        client = self.get(fields="x-pillion-explain: 1\r\nConnection: " + ",".join(["z"] * 101) + "\r\n")
        head = client.head()
        self.assertEqual(head.status, 400)
        self.assertIn("too many options", head.get("x-pillion-explain"))
        self.assertTrue(self.app.no_connection(0.01))
        self.get(fields="Connection: " + ",".join(["z"] * 100) + "\r\n")
        self.accept_request()

    def test_a_body_that_turns_bad_is_answered_and_the_app_sees_no_whole_request(self):
        self.start()
        client = self.ask("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        app, _ = self.accept_request()
        self.assertEqual(app.until(b"a\r\n"), b"1\r\na\r\n")
        client.send("zz\r\n")
        self.assertEqual(client.head().status, 400)
        client.rest()
        self.assertTrue(app.closed())  # and no last chunk

    def test_an_http2_client_without_a_window_that_asks_for_nothing_known_harms_nobody(self):
        self.start(out={"routes": [{"match": {"prefix": "/known"}, "route": {"cluster": self.target()}}]})
        client = Http2Client(self.port, {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
        client.request("/unknown")
        self.assertEqual(client.response_status(), "404")
        other = self.get(path="/known")
        app, _ = self.accept_request()
        app.send(OK)
        self.assertEqual(other.head().status, 200)
        client.close()

    def target(self):
        return "app" if self.sidecars == 1 else "next"

    def test_http2_requests_that_are_malformed_reset_their_stream_only(self):
        self.start()
        client = Http2Client(self.port)
        good = client.request("/good")
        app, _ = self.accept_request()
        for fields in ([("connection", "close")], [("X-Upper", "1")], [("transfer-encoding", "chunked")]):
            bad = client.request("/bad", fields)
            self.assertIsInstance(client.event_of(bad), h2.events.StreamReset, fields)
        app.send(OK)
        self.assertEqual(client.response_status(good), "200")
        client.close()


class BadRequestsAtTwo(mesh.AtTwo, BadRequests):
    pass


class Http2Client:
    """A strict client of python3-h2 that may send what it would not receive."""

    def __init__(self, port, settings=None):
        self.sock = socket.create_connection((mesh.HOST, port), timeout=mesh.WAIT)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False,
            normalize_outbound_headers=False))
        if settings:
            self.h2.local_settings.update(settings)
            self.h2.local_settings.acknowledge()
        self.h2.initiate_connection()
        self.events = []
        self.flush()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def request(self, path, fields=(), end=True, method="GET"):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [(":method", method), (":scheme", "http"), (":authority", "shop"),
                                      (":path", path)] + list(fields), end_stream=end)
        self.flush()
        return stream

    def next_event(self, wanted):
        while True:
            for event in self.events:
                if wanted(event):
                    self.events.remove(event)
                    return event
            data = self.sock.recv(65536)
            if not data:
                raise AssertionError("the connection ended; left: %r" % self.events)
            self.events += self.h2.receive_data(data)
            self.flush()

    def event_of(self, stream):
        return self.next_event(lambda event: getattr(event, "stream_id", None) == stream)

    def response_status(self, stream=1):
        event = self.next_event(lambda e: isinstance(e, h2.events.ResponseReceived) and e.stream_id == stream)
        return dict(event.headers)[":status"]

    def close(self):
        self.sock.close()


class BadUpstreams(mesh.MeshTest):
    def explained(self, response_or_action, route=None):
        """(answer, explanation) for a request whose app does what it is told."""
        client = self.get(fields="x-pillion-explain: 1\r\n")
        app, _ = self.accept_request()
        if callable(response_or_action):
            response_or_action(app)
        else:
            app.send(response_or_action)
        head = client.head()
        return head

    def test_an_app_that_is_down_is_503(self):
        self.start(addresses=[(mesh.HOST, mesh.free_port())], out={"explain": True})
        client = self.get(fields="x-pillion-explain: 1\r\n")
        head = client.head()
        self.assertEqual(head.status, 503)
        self.assertEqual(client.exactly(int(head.get("content-length"))), b"upstream connect failed\n")
        self.get(client)
        self.assertEqual(client.head().status, 503)  # on the same connection

    def test_an_app_that_resets_is_502(self):
        self.start(out={"explain": True})
        head = self.explained(lambda app: app.reset())
        self.assertEqual(head.status, 502)
        self.assertEqual(len(head.all("x-pillion-explain")), 1)

    def test_an_app_that_closes_in_its_head_is_502(self):
        self.start()

        def part_of_a_head(app):
            app.send("HTTP/1.1 200 OK\r\nContent-")
            app.close()

        self.assertEqual(self.explained(part_of_a_head).status, 502)

    def test_an_app_that_answers_rubbish_is_502(self):
        self.start()
        for rubbish in ("rubbish\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 200 OK\nA: b\n\n",
                        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n",
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
                        "\x15\x03\x01\x00\x02\x02\x28"):
            with self.subTest(rubbish=rubbish):
                def send_and_close(app, bytes_sent=rubbish):
                    app.send(bytes_sent)
                    app.half_close()

                self.assertEqual(self.explained(send_and_close).status, 502)

    def test_an_app_whose_connection_field_has_too_many_options_is_502(self):
        self.start()
        answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: %s\r\n\r\nhi"
        self.assertEqual(self.explained(answer % ",".join(["z"] * 101)).status, 502)
        self.assertEqual(self.explained(answer % ",".join(["z"] * 100)).status, 200)

    def test_an_app_whose_chunks_turn_bad_breaks_the_answer_off(self):
        self.start()
        client = self.get()
        app, _ = self.accept_request()
        app.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        client.head()
        self.assertEqual(client.until(b"a\r\n"), b"1\r\na\r\n")
        app.send("zz\r\n")
        self.assertTrue(client.closed())

    def test_bytes_that_nobody_asked_for_are_given_to_nobody(self):
        self.start()
        client = self.get()
        app, _ = self.accept_request()
        app.send(OK + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
        client.head()
        self.assertEqual(client.exactly(2), b"hi")
        self.get(client)
        app, _ = self.accept_request()  # another connection
        app.send(OK)
        self.assertEqual(client.head().all("content-length"), ["2"])

    def test_the_reason_is_told_only_where_the_listener_allows_it(self):
        self.start(out={"explain": False}, inbound={"explain": False})
        head = self.explained(lambda app: app.reset())
        self.assertEqual(head.status, 502)
        self.assertEqual(head.all("x-pillion-explain"), [])

    def test_an_answer_is_explained_too(self):
        self.start(out={"explain": True})
        head = self.explained(OK)
        self.assertEqual(head.status, 200)
        self.assertIn("cluster=", head.get("x-pillion-explain"))
        self.assertIn("attempts=1", head.get("x-pillion-explain"))


class OurAnswers(mesh.MeshTest):
    def test_a_refused_version_or_method_says_what_is_taken(self):
        self.start(out={"hcm": {"http_protocol_options": {"accept_http_10": False}}})
        client = self.ask("GET / HTTP/1.0\r\n\r\n")
        head = client.head()
        self.assertEqual((head.status, head.all("upgrade"), head.all("connection")), (426, ["HTTP/1.1"], ["Upgrade"]))
        client.rest()
        head = self.ask("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n").head()
        self.assertEqual(head.status, 405)
        self.assertIn("\r\nallow: \r\n", head.text)

    def test_a_canonical_path_never_names_another_host(self):
        self.start(out={"hcm": {"normalize_path": True, "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT"}})
        for path in ("/%2fother.example/x", "/%5cother.example/x", "/a/..%2f%2fother.example/x"):
            head = self.get(path=path).head()
            self.assertEqual((head.status, head.get("location")), (307, "/other.example/x"), path)
        self.assertEqual(self.get(path="/a%2fb?c=%2f").head().get("location"), "/a/b?c=%2f")


class BadUpstreamsAtTwo(mesh.AtTwo, BadUpstreams):
    pass


class Loops(mesh.MeshTest):
    """A configuration that goes in a circle: the request is answered, instead of going round until nothing is left."""

    def test_an_endpoint_that_is_the_listener_itself(self):
        port, relay_port = mesh.free_port(), mesh.free_port()
        relay = {"name": "relay", "address": {"socket_address": {"address": mesh.HOST, "port_value": relay_port}},
                 "filter_chains": [mesh.tcp_chain("relayed")]}
        sidecar = mesh.Sidecar([mesh.listener("in", port, "self"), relay],
                               [mesh.cluster("self", [(mesh.HOST, port)]), mesh.cluster("relayed", [(mesh.HOST, relay_port)])])
        self.made = [sidecar]
        self.port = port
        before = sidecar.descriptors()
        for _ in range(3):
            head = self.get(path="/loop").head()
            self.assertEqual(head.status, 508)
        http2 = Http2Client(port)
        stream = http2.request("/loop", [])
        response = http2.next_event(lambda e: isinstance(e, h2.events.ResponseReceived) and e.stream_id == stream)
        self.assertEqual(dict(response.headers)[":status"], "508")
        http2.close()
        with self.assertRaises((ConnectionResetError, BrokenPipeError)):  # at whichever step it is noticed
            with socket.create_connection((mesh.HOST, relay_port), timeout=mesh.WAIT) as client:
                client.sendall(b"x")
                client.recv(1)
        self.assertLess(sidecar.descriptors() - before, 20)

    def test_whatever_the_own_address_looks_like(self):
        """An IPv4 client of a dual-stack listener; one whose proxy says that it went to another address."""
        def on_all(listener):
            listener["address"]["socket_address"]["address"] = "::"
            return listener
        proxied = {"listener_filters": [mesh.INSPECTORS["proxy_protocol"]]}
        says = "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n"
        ports = [mesh.free_port() for _ in range(4)]
        relays = [on_all({"name": "relay", "address": {"socket_address": {"port_value": ports[2]}},
                          "filter_chains": [mesh.tcp_chain("c2")]}),
                  {"name": "proxied relay", "address": {"socket_address": {"address": mesh.HOST, "port_value": ports[3]}},
                   "filter_chains": [mesh.tcp_chain("c3")], **proxied}]
        sidecar = mesh.Sidecar(
            [on_all(mesh.listener("in", ports[0], "c0")), mesh.listener("proxied", ports[1], "c1", **proxied)] + relays,
            [mesh.cluster("c%d" % i, [(mesh.HOST, port)]) for i, port in enumerate(ports)])
        self.made = [sidecar]
        before = sidecar.descriptors()
        for port, said in zip(ports[:2], ("", says)):
            self.port = port
            self.assertEqual(self.ask(said + "GET / HTTP/1.1\r\nHost: a\r\n\r\n").head().status, 508)
        for port, said in zip(ports[2:], ("", says)):
            with self.assertRaises((ConnectionResetError, BrokenPipeError)):
                with socket.create_connection((mesh.HOST, port), timeout=mesh.WAIT) as client:
                    client.sendall(said.encode() + b"x")
                    client.recv(1)
        self.assertLess(sidecar.descriptors() - before, 20)


if __name__ == "__main__":
    unittest.main()
