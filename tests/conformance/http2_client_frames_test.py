"""RFC 9113 frame by frame, with the sidecar as the client of a scripted server. Two HTTP/1.1 clients share the connection: what the
server does to the first one's stream must not reach the second, unless it breaks the connection; and neither is ever shown anything
but a whole HTTP/1.1 answer."""
import unittest

import mesh
from http2_frames import *  # noqa: F403

OK = [(":status", "200")]


def answer(number, fields=OK, end=True):
    return headers(number, fields, end)


def malformed(name, fields, section="8.1.1", end=True, after=b""):
    return name, section, answer(1, fields, end) + after, "stream"


# (name, section, what the server sends on stream 1, "stream" or "connection")
CASES = [
    malformed("no :status", [("x", "y")], "8.3.2"),
    malformed("a :status of two digits", [(":status", "20")], "8.3.2"),
    malformed("a :status of letters", [(":status", "abc")], "8.3.2"),
    malformed("two :status", OK + OK, "8.3.2"),
    malformed(":status behind a field", [("x", "y")] + OK, "8.3"),
    malformed("a pseudo-field of requests", OK + [(":path", "/")], "8.3"),
    malformed("a pseudo-field nobody knows", OK + [(":x", "/")], "8.3"),
    malformed("a name in upper case", OK + [("X-Upper", "y")], "8.2.1"),
    malformed("LF in a value", OK + [("x", "a\nSet-Cookie: b")], "8.2.1"),
    malformed("CR in a value", OK + [("x", "a\r\n\r\nHTTP/1.1 200 OK")], "8.2.1"),
    malformed("NUL in a value", OK + [("x", "a\0b")], "8.2.1"),
    malformed("connection", OK + [("connection", "close")], "8.2.2"),
    malformed("transfer-encoding", OK + [("transfer-encoding", "chunked")], "8.2.2"),
    malformed("upgrade", OK + [("upgrade", "h2c")], "8.2.2"),
    malformed("101", [(":status", "101")], "8.6"),
    malformed("1xx that ends the stream", [(":status", "103")], "8.1"),
    malformed("a content-length that is no number", OK + [("content-length", "1x")], "8.1.1"),
    malformed("a content-length and no content", OK + [("content-length", "5")], "8.1.1"),
    # A malformed message, which nghttp2 takes for a broken connection.
    ("DATA before HEADERS", "8.1.1", frame(DATA, END_STREAM, 1, b"x"), "stream or connection"),
    ("a reset with CANCEL", "8.1", frame(RST_STREAM, 0, 1, u32(CANCEL)), "stream"),
    ("a reset with INTERNAL_ERROR", "8.1", frame(RST_STREAM, 0, 1, u32(INTERNAL_ERROR)), "stream"),
    ("a reset with NO_ERROR and no answer", "8.1", frame(RST_STREAM, 0, 1, u32(NO_ERROR)), "stream"),
    ("a reset with ENHANCE_YOUR_CALM", "7", frame(RST_STREAM, 0, 1, u32(ENHANCE_YOUR_CALM)), "stream"),
    ("a reset with HTTP_1_1_REQUIRED", "7", frame(RST_STREAM, 0, 1, u32(HTTP_1_1_REQUIRED)), "stream"),
    ("a reset with a code nobody knows", "7", frame(RST_STREAM, 0, 1, u32(0xdeadbeef)), "stream"),
    ("WINDOW_UPDATE of 0 on a stream", "6.9", window_update(1, 0), "stream or connection"),
    ("WINDOW_UPDATE above 2^31-1 on a stream", "6.9.1", window_update(1, (1 << 31) - 1), "stream"),
    ("HEADERS of an even stream", "5.1.1", answer(2), "connection"),
    ("HEADERS of an idle stream", "5.1", answer(99), "connection"),
    ("HEADERS on stream 0", "6.2", answer(0), "connection"),
    ("DATA on stream 0", "6.1", frame(DATA, 0, 0, b"x"), "connection"),
    ("DATA of an idle stream", "5.1", frame(DATA, 0, 99, b"x"), "connection"),
    ("RST_STREAM of an idle stream", "6.4", frame(RST_STREAM, 0, 99, u32(8)), "connection"),
    ("a push although it is off", "8.4", frame(PUSH_PROMISE, END_HEADERS, 1, u32(2) + block(get())), "connection"),
    ("ENABLE_PUSH of 1 by a server", "6.5.2", settings((ENABLE_PUSH, 1)), "connection"),
    ("INITIAL_WINDOW_SIZE of 2^31", "6.5.2", settings((INITIAL_WINDOW_SIZE, 1 << 31)), "connection"),
    ("MAX_FRAME_SIZE of 1", "6.5.2", settings((MAX_FRAME_SIZE, 1)), "connection"),
    ("SETTINGS of the wrong size", "6.5", frame(SETTINGS, 0, 0, b"\0"), "connection"),
    ("PING of the wrong size", "6.7", frame(PING, 0, 0, b"\0"), "connection"),
    ("WINDOW_UPDATE of 0 on the connection", "6.9", window_update(0, 0), "connection"),
    ("CONTINUATION without HEADERS", "6.10", frame(CONTINUATION, END_HEADERS, 1, block(OK)), "connection"),
    ("another frame in the middle of a header block", "6.10",
     frame(HEADERS, END_STREAM, 1, block(OK)) + frame(PING, 0, 0, b"12345678"), "connection"),
    ("an index that is not there", "RFC 7541 section 2.3.3", frame(HEADERS, END_HEADERS, 1, b"\xff\x20"), "connection"),
    ("a frame above our MAX_FRAME_SIZE", "4.2", frame(HEADERS, END_HEADERS, 1, b"\0" * 16385), "connection"),
    ("DATA with more padding than payload", "6.1", answer(1, end=False) + frame(DATA, PADDED, 1, b"\5a"), "connection"),
]

# What is legal: the first client gets its 200.
TAKEN = [
    ("an unknown frame", frame(0xbb, 0, 1, b"x") + answer(1)),
    ("PRIORITY", frame(PRIORITY, 0, 1, u32(0) + b"\1") + answer(1)),
    ("PING", frame(PING, 0, 0, b"12345678") + answer(1)),
    ("SETTINGS in mid-flight", settings((INITIAL_WINDOW_SIZE, 0), (MAX_FRAME_SIZE, 1 << 20), (HEADER_TABLE_SIZE, 0)) + answer(1)),
    ("103, then the answer", headers(1, [(":status", "103"), ("link", "</x>")], end=False) + answer(1)),
    ("padding", frame(HEADERS, PADDED | END_HEADERS, 1, b"\3" + block(OK) + b"\0\0\0") +
     frame(DATA, PADDED | END_STREAM, 1, b"\2hi\0\0")),
    ("empty DATA frames", answer(1, end=False) + frame(DATA, 0, 1) * 5 + frame(DATA, END_STREAM, 1)),
    ("trailers", answer(1, end=False) + headers(1, [("x-sum", "1")])),
    ("a reset with NO_ERROR behind the answer", answer(1) + frame(RST_STREAM, 0, 1, u32(0))),
    ("an answer in three frames", frame(HEADERS, END_STREAM, 1, block(OK)[:3]) + frame(CONTINUATION, 0, 1, block(OK)[3:5]) +
     frame(CONTINUATION, END_HEADERS, 1, block(OK)[5:])),
    ("an answer larger than ours may be, in fields of its own", answer(1, OK + [("x%d" % i, "y" * 300) for i in range(50)])),
]


class Frames(mesh.MeshTest):
    def setUp(self):
        super().setUp()
        self.start(http2_app=True)

    def two_requests(self):
        """The server, and two clients whose requests are its streams 1 and 3."""
        clients = [self.get(), None]
        server = Peer(self.app.accept(), server=True)
        self.assertEqual(server.request()[0], 1)
        clients[1] = self.get()
        self.assertEqual(server.request()[0], 3)
        return server, clients

    def leave(self, server, clients):
        for one in clients:
            one.close()
        server.conversation.close()
        self.clients.clear()
        self.app.connections.clear()

    def check_first(self, client):
        head = client.head()
        self.assertEqual(head.status, 502)
        client.exactly(int(head.get("content-length")))

    def test_answers_with_too_many_fields_however_many_there_are(self):
        """Whoever asks for them, others share the connection."""
        server, clients = self.two_requests()
        head = OK + [("x%d" % i, "y") for i in range(150)]
        for number in range(5, 805, 2):
            client = self.get()
            self.assertEqual(server.request()[0], number)
            server.send(answer(number, head))
            self.check_first(client)
            client.close()
        for number, client in zip((1, 3), clients):
            server.send(answer(number, OK + [("content-length", "0")]))
            self.assertEqual(client.head().status, 200)

    def test_what_breaks_a_stream_or_the_connection(self):
        for name, section, data, scope in CASES:
            with self.subTest(case=name, section=section):
                server, clients = self.two_requests()
                server.send(data)
                if scope == "connection":
                    self.assertEqual([client.head().status for client in clients], [502, 502])
                    self.assertTrue(server.ended())
                    goaways = [f for f in server.seen if f.kind == GOAWAY]
                    self.assertTrue(goaways and goaways[-1].word(4) != NO_ERROR, "no GOAWAY says why")
                else:
                    self.check_first(clients[0])
                    if scope == "stream":
                        server.send(answer(3, OK + [("content-length", "0")]))
                        self.assertEqual(clients[1].head().status, 200)
                self.leave(server, clients)

    def test_what_looks_odd_and_is_legal(self):
        for name, data in TAKEN:
            with self.subTest(case=name):
                server, clients = self.two_requests()
                server.send(data)
                head = clients[0].head()
                while head.status == 103:
                    head = clients[0].head()
                self.assertEqual(head.status, 200)
                server.send(answer(3, OK + [("content-length", "0")]))
                self.assertEqual(clients[1].head().status, 200)
                self.leave(server, clients)

    def test_refused_streams_are_asked_again(self):
        server, clients = self.two_requests()
        server.send(frame(RST_STREAM, 0, 1, u32(REFUSED_STREAM)))
        again = server.request()[0]
        server.send(answer(again, OK + [("content-length", "0")]) + answer(3, OK + [("content-length", "0")]))
        self.assertEqual([client.head().status for client in clients], [200, 200])

    def test_streams_above_a_goaway_are_asked_again_on_another_connection(self):
        server, clients = self.two_requests()
        server.send(frame(GOAWAY, 0, 0, u32(1) + u32(NO_ERROR)))
        other = Peer(self.app.accept(), server=True)
        stream = other.request()[0]
        other.send(answer(stream, OK + [("content-length", "0")]))
        self.assertEqual(clients[1].head().status, 200)
        server.send(answer(1, OK + [("content-length", "0")]))  # and what is below it ends here
        self.assertEqual(clients[0].head().status, 200)
        self.assertTrue(server.ended())

    def test_a_graceful_goaway_takes_two_steps(self):
        server, clients = self.two_requests()
        server.send(frame(GOAWAY, 0, 0, u32((1 << 31) - 1) + u32(NO_ERROR)))
        third = self.get()  # goes elsewhere
        other = Peer(self.app.accept(), server=True)
        stream = other.request()[0]
        other.send(answer(stream, OK + [("content-length", "0")]))
        self.assertEqual(third.head().status, 200)
        server.send(frame(GOAWAY, 0, 0, u32(3) + u32(NO_ERROR)))
        server.send(answer(1, OK + [("content-length", "0")]) + answer(3, OK + [("content-length", "0")]))
        self.assertEqual([client.head().status for client in clients], [200, 200])

    def test_a_goaway_with_an_error_ends_what_it_does_not_cover(self):
        server, clients = self.two_requests()
        server.send(frame(GOAWAY, 0, 0, u32(3) + u32(INTERNAL_ERROR)))
        server.conversation.close()
        self.assertEqual([client.head().status for client in clients], [502, 502])

    def test_our_preface_and_settings(self):
        server, _ = self.two_requests()
        first = server.seen[0]
        self.assertEqual((first.kind, first.flags), (SETTINGS, 0))
        ours = {int.from_bytes(first.payload[at:at + 2], "big"): int.from_bytes(first.payload[at + 2:at + 6], "big")
                for at in range(0, len(first.payload), 6)}
        self.assertEqual(ours[ENABLE_PUSH], 0)
        self.assertEqual(ours[9], 1)
        self.assertNotIn(MAX_CONCURRENT_STREAMS, ours)


class BeforeSettings(mesh.MeshTest):
    """What is asked of a connection whose SETTINGS are not here yet, and come with bad news."""
    UPGRADE = ("GET /ws HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")

    def begin(self, most=0):
        options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        self.start(http2_app=True, app_cluster={"connect_timeout": "1s", "typed_extension_protocol_options": {options: mesh.typed(
            options, explicit_http_config={"http2_protocol_options": {}},
            common_http_protocol_options={"max_requests_per_connection": most})}})

    def server(self):
        return Peer(self.app.accept(), server=True, start=False)

    def granted(self, client, server):
        stream, fields = server.request()
        self.assertEqual(dict(fields)[":protocol"], "websocket")
        server.send(headers(stream, OK, end=False))
        self.assertEqual(client.head().status, 101)

    def test_an_upgrade_goes_on_when_its_connection_takes_no_others(self):
        self.begin(most=1)
        client, server = self.ask(self.UPGRADE), self.server()
        server.send(settings((ENABLE_CONNECT_PROTOCOL, 1)))
        self.granted(client, server)

    def test_an_upgrade_whose_connection_goes_away_goes_by_another(self):
        self.begin()
        client, first = self.ask(self.UPGRADE), self.server()
        first.send(settings((ENABLE_CONNECT_PROTOCOL, 1)) + frame(GOAWAY, 0, 0, u32(0) + u32(0)))
        second = self.server()
        second.send(settings((ENABLE_CONNECT_PROTOCOL, 1)))
        self.granted(client, second)

    def test_an_upgrade_for_which_there_is_no_room_goes_by_another(self):
        self.begin()
        client, first = self.ask(self.UPGRADE), self.server()
        first.send(settings((ENABLE_CONNECT_PROTOCOL, 1), (MAX_CONCURRENT_STREAMS, 0)))
        second = self.server()
        second.send(settings((ENABLE_CONNECT_PROTOCOL, 1)))
        self.granted(client, second)

    def check_silent(self, most):
        self.begin(most)
        client, _ = self.get(), self.app.accept()
        self.assertEqual(client.head().status, 502)

    def test_a_peer_that_never_says_any_is_given_up(self):
        self.check_silent(0)

    def test_also_by_a_connection_that_takes_no_others(self):
        self.check_silent(1)


class KeepAlive(mesh.MeshTest):
    """A cluster's `connection_keepalive`."""

    def begin(self):
        options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        keep_alive = {"connection_keepalive": {"interval": "0.05s", "timeout": "0.3s"}}
        self.start(http2_app=True, admin=True, out_cluster={"typed_extension_protocol_options": {
            options: mesh.typed(options, explicit_http_config={"http2_protocol_options": keep_alive})}})
        client = self.get()
        server = Peer(self.app.accept(), server=True)
        server.request()
        return client, server

    def given_up(self):
        return self.made[0].metrics()['pillion_http2_connections_ended_total{reason="ping"}']

    def test_a_server_that_answers_pings_is_kept(self):
        client, server = self.begin()
        payloads = [server.until(lambda one: one.kind == PING and not one.flags & ACK).payload for _ in range(10)]
        self.assertEqual(len(set(payloads)), 10)
        server.send(answer(1, OK + [("content-length", "0")]))
        self.assertEqual(client.head().status, 200)
        self.assertEqual(self.given_up(), 0)

    def test_one_that_does_not_is_given_up(self):
        client, server = self.begin()
        self.assertEqual(client.head().status, 502)  # nothing is read, and so no PING is answered
        self.assertTrue(server.ended())
        self.assertEqual(self.given_up(), 1)
        again = self.get()
        other = Peer(self.app.accept(), server=True)
        other.send(answer(other.request()[0], OK + [("content-length", "0")]))
        self.assertEqual(again.head().status, 200)


class Settings(mesh.MeshTest):
    """Settings that change while streams are open."""

    def begin(self, length, *pairs):
        """A client that uploads `length` bytes and the server's stream; the window is the pairs'."""
        self.start(http2_app=True)
        client = self.client()
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length)
        server = Peer(self.app.accept(), server=True, pairs=pairs)
        stream = server.request()[0]
        server.send(window_update(0, 1 << 24))
        return client, server, stream

    def content(self, server, stream, length):
        """Reads so many bytes of content; returns the largest frame."""
        largest = 0
        while length > 0:
            one = server.until(lambda f: f.kind == DATA and f.stream == stream)
            length -= len(one.payload)
            largest = max(largest, len(one.payload))
        self.assertEqual(length, 0)
        return largest

    def finish(self, client, server, stream):
        server.send(answer(stream, OK + [("content-length", "0")]))
        self.assertEqual(client.head().status, 200)

    def nothing_comes(self, server):
        """A PING comes back and no content before it."""
        server.send(frame(PING, 0, 0, b"whatelse"))
        seen = len(server.seen)
        server.until(lambda f: f.kind == PING and f.flags & ACK and f.payload == b"whatelse")
        self.assertEqual([f for f in server.seen[seen:] if f.kind == DATA], [])
        self.assertTrue(server.conversation.silent())

    def test_the_window_grows(self):
        client, server, stream = self.begin(1000, (INITIAL_WINDOW_SIZE, 10))
        client.send(b"x" * 1000)
        self.content(server, stream, 10)
        self.nothing_comes(server)
        server.send(settings((INITIAL_WINDOW_SIZE, 500)))
        self.content(server, stream, 490)
        self.nothing_comes(server)
        server.send(settings((INITIAL_WINDOW_SIZE, 65535)))
        self.content(server, stream, 500)
        self.finish(client, server, stream)

    def test_the_window_shrinks_below_zero(self):
        client, server, stream = self.begin(1000, (INITIAL_WINDOW_SIZE, 100))
        client.send(b"x" * 1000)
        self.content(server, stream, 100)
        server.send(settings((INITIAL_WINDOW_SIZE, 0)))  # -100 now (section 6.9.2)
        server.send(window_update(stream, 100))  # 0
        self.nothing_comes(server)
        server.send(window_update(stream, 1))
        self.content(server, stream, 1)
        self.nothing_comes(server)
        server.send(window_update(stream, 899))
        self.content(server, stream, 899)
        self.finish(client, server, stream)

    def test_a_window_of_one_byte_at_a_time(self):
        client, server, stream = self.begin(50, (INITIAL_WINDOW_SIZE, 0))
        client.send(b"x" * 50)
        for _ in range(50):
            self.nothing_comes(server)
            server.send(window_update(stream, 1))
            self.content(server, stream, 1)
        self.finish(client, server, stream)

    def test_frames_are_never_larger_than_the_peer_takes(self):
        client, server, stream = self.begin(200_000, (INITIAL_WINDOW_SIZE, 1 << 20))
        client.send(b"x" * 100_000)
        self.assertLessEqual(self.content(server, stream, 100_000), 16384)
        server.send(settings((MAX_FRAME_SIZE, 1 << 20)))
        client.send(b"x" * 100_000)
        self.content(server, stream, 100_000)
        self.finish(client, server, stream)

    def test_the_header_table_goes_to_nothing_and_comes_back(self):
        self.start(http2_app=True)
        client = self.get(fields="X-Repeated: one\r\n")
        server = Peer(self.app.accept(), server=True)
        for size in (4096, 0, 4096, 1 << 20, 100, 0):
            stream, fields = server.request()
            self.assertEqual(dict(fields)["x-repeated"], "one")
            server.decoder.header_table_size = min(size, server.decoder.max_allowed_table_size)
            server.decoder.max_allowed_table_size = max(size, 4096)
            server.send(settings((HEADER_TABLE_SIZE, size)))
            server.until(lambda f: f.kind == SETTINGS and f.flags & ACK)
            server.decoder.max_allowed_table_size = size
            self.finish(client, server, stream)
            self.get(client, fields="X-Repeated: one\r\n")
        server.request()

    def test_no_streams_for_a_while(self):
        self.start(http2_app=True)
        first = self.get()
        server = Peer(self.app.accept(), server=True)
        stream = server.request()[0]
        server.send(settings((MAX_CONCURRENT_STREAMS, 0)))
        server.until(lambda f: f.kind == SETTINGS and f.flags & ACK)
        self.finish(first, server, stream)
        second = self.get()
        other = Peer(self.app.accept(), server=True)  # a peer that takes none for now is not waited for
        self.finish(second, other, other.request()[0])
        server.send(settings((MAX_CONCURRENT_STREAMS, 100)))
        server.until(lambda f: f.kind == SETTINGS and f.flags & ACK)
        third = self.get()
        self.assertEqual(third.sock.fileno() > 0, True)
        self.clients.remove(third)
        third.close()

    def test_fields_that_differ_on_each_request_stay_out_of_the_table(self):
        self.start(http2_app=True)
        trace = "traceparent: 00-%032x-%016x-01\r\nX-Request-Id: %d\r\nUser-Agent: the same\r\n"
        client = self.get(fields=trace % (1, 1, 1))
        server = Peer(self.app.accept(), server=True)
        for i in range(2, 5):
            self.finish(client, server, server.request()[0])
            self.get(client, fields=trace % (i, i, i))
        server.request()
        table = [name for name, _ in server.decoder.header_table.dynamic_entries]
        self.assertIn(b"user-agent", table)
        self.assertNotIn(b"traceparent", table)
        self.assertNotIn(b"x-request-id", table)


class TrailersOnly(mesh.MeshTest):
    """A gRPC answer that is a head alone stays one frame: some clients read a status behind an empty message otherwise."""

    def answer_of(self, client, stream):
        """The fields of the one frame that the answer is."""
        one = client.until(lambda f: f.stream == stream)
        self.assertEqual((one.kind, one.flags & END_STREAM), (HEADERS, END_STREAM))
        return client.fields(one)

    def call(self, client):
        return client.ask("/shop.Cart/Add", [("content-type", "application/grpc"), ("te", "trailers")], "POST")

    def test_of_an_app(self):
        self.start(http2_app=True)
        client = Peer(self.client())
        stream = self.call(client)
        server = Peer(self.app.accept(), server=True)
        fields = [("content-type", "application/grpc"), ("grpc-status", "5"), ("grpc-message", "no cart"), ("x-own", "1")]
        server.send(answer(server.request()[0], OK + fields))
        self.assertEqual(self.answer_of(client, stream), OK + fields)

    def test_of_ours(self):
        self.app.close()
        self.start(http2_app=True)
        client = Peer(self.client())
        fields = dict(self.answer_of(client, self.call(client)))
        self.assertEqual((fields[":status"], fields["grpc-status"]), ("200", "14"))
        self.app = mesh.App()

    def test_another_answer_keeps_its_trailers(self):
        self.start(http2_app=True)
        client = Peer(self.client())
        stream = self.call(client)
        server = Peer(self.app.accept(), server=True)
        there = server.request()[0]
        server.send(answer(there, OK + [("content-type", "application/grpc")], end=False) + answer(there, [("grpc-status", "0")]))
        head = client.until(lambda f: f.stream == stream)
        self.assertEqual((head.kind, head.flags & END_STREAM, dict(client.fields(head))[":status"]), (HEADERS, 0, "200"))
        last = client.until(lambda f: f.stream == stream and f.kind != DATA)
        self.assertEqual((last.kind, last.flags & END_STREAM, client.fields(last)), (HEADERS, END_STREAM, [("grpc-status", "0")]))


class TrailersOnlyAtTwo(mesh.AtTwo, TrailersOnly):
    pass


if __name__ == "__main__":
    unittest.main()
