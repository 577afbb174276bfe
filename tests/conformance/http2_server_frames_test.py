"""RFC 9113 frame by frame, with the sidecar as the server: each rule that has an error, and what must not be one. A connection error
ends that connection and nothing else; a stream error that stream and nothing else."""
import unittest

import mesh
from http2_frames import *  # noqa: F403

ROUTES = [{"match": {"prefix": "/direct"}, "direct_response": {"status": 200, "body": {"inline_string": "hi"}}},
          {"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "0s"}}]


def connection(*codes):
    return {("connection", code) for code in codes}


def stream(number, *codes):
    return {("stream", number, code) for code in codes}


FINE = {("fine",)}
OPEN = headers(1, get("/direct", method="POST"), end=False)  # a stream whose request has not ended
DONE = headers(1, get("/direct"))


def big(kind, number):
    return frame(kind, 0, number, b"\0" * 16385)


# (name, RFC 9113 section, bytes after the preface and SETTINGS, what may come of it)
FRAMES = [
    ("a frame above SETTINGS_MAX_FRAME_SIZE that carries state", "4.2", big(HEADERS, 1), connection(FRAME_SIZE_ERROR)),
    ("a DATA frame above SETTINGS_MAX_FRAME_SIZE", "4.2", OPEN + big(DATA, 1),
     connection(FRAME_SIZE_ERROR) | stream(1, FRAME_SIZE_ERROR)),
    ("a frame of unknown type", "4.1", frame(0xbb, 0xff, 0, b"what") + frame(0xbc, 0, 1, b""), FINE),
    ("unknown flags", "4.1", frame(PING, 0xfe, 0, b"12345678"), FINE),
    ("the reserved bit of a stream id", "4.1", frame(PRIORITY, 0, 1 << 31 | 1, u32(0) + b"\1"), FINE),
    ("DATA on stream 0", "6.1", frame(DATA, 0, 0, b"x"), connection(PROTOCOL_ERROR)),
    ("DATA with more padding than payload", "6.1", OPEN + frame(DATA, PADDED, 1, b"\5abc"), connection(PROTOCOL_ERROR)),
    ("DATA that is padding only", "6.1", OPEN + frame(DATA, PADDED | END_STREAM, 1, b"\3\0\0\0"), FINE),
    ("DATA, padded and too short for its length", "6.1", OPEN + frame(DATA, PADDED, 1, b""),
     connection(PROTOCOL_ERROR, FRAME_SIZE_ERROR)),
    ("HEADERS on stream 0", "6.2", headers(0, get()), connection(PROTOCOL_ERROR)),
    ("HEADERS with more padding than payload", "6.2", frame(HEADERS, PADDED | END_HEADERS, 1, b"\x09abc"),
     connection(PROTOCOL_ERROR)),
    ("HEADERS, padded", "6.2", frame(HEADERS, PADDED | END_HEADERS | END_STREAM, 1, b"\2" + block(get("/direct")) + b"\0\0"), FINE),
    ("HEADERS with a priority, too short", "6.2", frame(HEADERS, PRIORITIZED | END_HEADERS, 1, b"\0\0"),
     connection(PROTOCOL_ERROR, FRAME_SIZE_ERROR)),
    ("HEADERS with a priority", "5.3.2: ignored",
     frame(HEADERS, PRIORITIZED | END_HEADERS | END_STREAM, 1, u32(3) + b"\x10" + block(get("/direct"))), FINE),
    # Ignoring it would do; RFC 7540 section 5.3.1 made it an error, and nghttp2 holds to that.
    ("HEADERS that depends on itself", "5.3: priorities are ignored",
     frame(HEADERS, PRIORITIZED | END_HEADERS | END_STREAM, 1, u32(1) + b"\x10" + block(get("/direct"))),
     FINE | connection(PROTOCOL_ERROR)),
    ("PRIORITY on stream 0", "6.3", frame(PRIORITY, 0, 0, u32(1) + b"\1"), connection(PROTOCOL_ERROR)),
    ("PRIORITY of the wrong size", "6.3", OPEN + frame(PRIORITY, 0, 1, b"\0\0\0\0"),
     stream(1, FRAME_SIZE_ERROR) | connection(FRAME_SIZE_ERROR)),
    ("PRIORITY of an idle stream", "5.1", frame(PRIORITY, 0, 5, u32(0) + b"\1"), FINE),
    ("PRIORITY that depends on itself", "5.3: priorities are ignored", OPEN + frame(PRIORITY, 0, 1, u32(1) + b"\1"), FINE),
    ("RST_STREAM on stream 0", "6.4", frame(RST_STREAM, 0, 0, u32(8)), connection(PROTOCOL_ERROR)),
    ("RST_STREAM of an idle stream", "6.4", frame(RST_STREAM, 0, 1, u32(8)), connection(PROTOCOL_ERROR)),
    ("RST_STREAM of the wrong size", "6.4", OPEN + frame(RST_STREAM, 0, 1, b"\0\0\0"), connection(FRAME_SIZE_ERROR)),
    ("RST_STREAM of a closed stream", "5.1", DONE + frame(RST_STREAM, 0, 1, u32(8)) + frame(RST_STREAM, 0, 1, u32(8)), FINE),
    ("SETTINGS on a stream", "6.5", frame(SETTINGS, 0, 1), connection(PROTOCOL_ERROR)),
    ("SETTINGS of the wrong size", "6.5", frame(SETTINGS, 0, 0, b"\0\1\0\0\0"), connection(FRAME_SIZE_ERROR)),
    ("an acknowledgement of SETTINGS with a payload", "6.5", frame(SETTINGS, ACK, 0, setting(1, 1)), connection(FRAME_SIZE_ERROR)),
    ("an acknowledgement of SETTINGS that nobody sent", "6.5.3", frame(SETTINGS, ACK, 0) * 3, FINE | connection(PROTOCOL_ERROR)),
    ("ENABLE_PUSH of 2", "6.5.2", settings((ENABLE_PUSH, 2)), connection(PROTOCOL_ERROR)),
    ("INITIAL_WINDOW_SIZE of 2^31", "6.5.2", settings((INITIAL_WINDOW_SIZE, 1 << 31)), connection(FLOW_CONTROL_ERROR)),
    ("INITIAL_WINDOW_SIZE of 2^31 - 1", "6.5.2", settings((INITIAL_WINDOW_SIZE, (1 << 31) - 1)), FINE),
    ("MAX_FRAME_SIZE of 16383", "6.5.2", settings((MAX_FRAME_SIZE, 16383)), connection(PROTOCOL_ERROR)),
    ("MAX_FRAME_SIZE of 2^24", "6.5.2", settings((MAX_FRAME_SIZE, 1 << 24)), connection(PROTOCOL_ERROR)),
    ("a setting nobody knows", "6.5.2", settings((0x1234, 5)), FINE),
    ("one setting twice", "6.5.3: in their order", settings((INITIAL_WINDOW_SIZE, 0), (INITIAL_WINDOW_SIZE, 65535)), FINE),
    ("PUSH_PROMISE of a client", "8.4", frame(PUSH_PROMISE, END_HEADERS, 1, u32(2) + block(get())), connection(PROTOCOL_ERROR)),
    ("PING on a stream", "6.7", frame(PING, 0, 1, b"12345678"), connection(PROTOCOL_ERROR)),
    ("PING of the wrong size", "6.7", frame(PING, 0, 0, b"1234567"), connection(FRAME_SIZE_ERROR)),
    ("an acknowledgement of a PING that nobody sent", "6.7", frame(PING, ACK, 0, b"12345678"), FINE),
    ("GOAWAY on a stream", "6.8", frame(GOAWAY, 0, 1, u32(0) + u32(0)), connection(PROTOCOL_ERROR)),
    ("GOAWAY that is too short", "6.8", frame(GOAWAY, 0, 0, u32(0)), connection(FRAME_SIZE_ERROR)),
    ("WINDOW_UPDATE of the wrong size", "6.9", frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"), connection(FRAME_SIZE_ERROR)),
    ("WINDOW_UPDATE of 0 on the connection", "6.9", window_update(0, 0), connection(PROTOCOL_ERROR)),
    ("WINDOW_UPDATE of 0 on a stream", "6.9", OPEN + window_update(1, 0), stream(1, PROTOCOL_ERROR) | connection(PROTOCOL_ERROR)),
    ("WINDOW_UPDATE above 2^31-1 on the connection", "6.9.1", window_update(0, (1 << 31) - 1), connection(FLOW_CONTROL_ERROR)),
    ("WINDOW_UPDATE above 2^31-1 on a stream", "6.9.1", OPEN + window_update(1, (1 << 31) - 1),
     stream(1, FLOW_CONTROL_ERROR) | connection(FLOW_CONTROL_ERROR)),
    ("WINDOW_UPDATE of an idle stream", "5.1", window_update(7, 1), connection(PROTOCOL_ERROR)),
    ("WINDOW_UPDATE of a closed stream", "5.1", DONE + frame(RST_STREAM, 0, 1, u32(8)) + window_update(1, 1), FINE),
    ("SETTINGS that take a stream's window above 2^31-1", "6.9.2",
     headers(1, get("/never"), end=False) + window_update(1, (1 << 31) - 1 - 65535) + settings((INITIAL_WINDOW_SIZE, 65536)),
     connection(FLOW_CONTROL_ERROR) | stream(1, FLOW_CONTROL_ERROR)),
    ("CONTINUATION without HEADERS", "6.10", frame(CONTINUATION, END_HEADERS, 1, block(get())), connection(PROTOCOL_ERROR)),
    ("CONTINUATION on stream 0", "6.10", frame(CONTINUATION, END_HEADERS, 0, b""), connection(PROTOCOL_ERROR)),
    ("CONTINUATION after END_HEADERS", "6.10", OPEN + frame(CONTINUATION, END_HEADERS, 1, b""), connection(PROTOCOL_ERROR)),
    ("another frame in the middle of a header block", "6.10",
     frame(HEADERS, END_STREAM, 1, block(get())) + frame(PING, 0, 0, b"12345678"), connection(PROTOCOL_ERROR)),
    ("an unknown frame in the middle of a header block", "5.5",
     frame(HEADERS, END_STREAM, 1, block(get())) + frame(0xbb, 0, 0, b""), connection(PROTOCOL_ERROR)),
    ("CONTINUATION of another stream", "6.10",
     frame(HEADERS, END_STREAM, 1, block(get())[:9]) + frame(CONTINUATION, END_HEADERS, 3, block(get())[9:]),
     connection(PROTOCOL_ERROR)),
    ("a header block in three frames", "6.10", frame(HEADERS, END_STREAM, 1, block(get("/direct"))[:9]) +
     frame(CONTINUATION, 0, 1, block(get("/direct"))[9:12]) + frame(CONTINUATION, END_HEADERS, 1, block(get("/direct"))[12:]), FINE),
    ("an even stream id", "5.1.1", headers(2, get()), connection(PROTOCOL_ERROR)),
    # A stream below another is closed; what comes on a closed stream may be on its way since before a reset, and is ignored.
    ("a stream id that goes down", "5.1.1", headers(5, get("/direct")) + headers(3, get("/direct")),
     FINE | connection(PROTOCOL_ERROR, STREAM_CLOSED)),
    ("DATA of an idle stream", "5.1", frame(DATA, 0, 1, b"x"), connection(PROTOCOL_ERROR)),
    ("DATA behind END_STREAM", "5.1", headers(1, get("/never")) + frame(DATA, 0, 1, b"x"),
     stream(1, STREAM_CLOSED) | connection(STREAM_CLOSED)),
    ("HEADERS behind END_STREAM", "5.1", headers(1, get("/never")) + headers(1, [("x", "y")]),
     stream(1, STREAM_CLOSED) | connection(STREAM_CLOSED)),
    ("an index of 0", "RFC 7541 section 6.1", frame(HEADERS, END_HEADERS, 1, b"\x80"), connection(COMPRESSION_ERROR)),
    ("an index that is not there", "RFC 7541 section 2.3.3", frame(HEADERS, END_HEADERS, 1, b"\xff\x20"), connection(COMPRESSION_ERROR)),
    ("a table size above the limit", "RFC 7541 section 6.3", frame(HEADERS, END_HEADERS, 1, integer(1 << 20, 5, 0x20)),
     connection(COMPRESSION_ERROR)),
    ("a table size in the middle of a block", "RFC 7541 section 4.2",
     frame(HEADERS, END_HEADERS, 1, block(get()) + integer(10, 5, 0x20)), connection(COMPRESSION_ERROR)),
    ("a block that breaks off", "RFC 7541 section 5.2", frame(HEADERS, END_HEADERS, 1, b"\0\x05ab"), connection(COMPRESSION_ERROR)),
    ("a Huffman code of EOS", "RFC 7541 section 5.2", frame(HEADERS, END_HEADERS, 1, b"\0\x84\xff\xff\xff\xff\0"),
     connection(COMPRESSION_ERROR)),
    ("Huffman padding of more than seven bits", "RFC 7541 section 5.2", frame(HEADERS, END_HEADERS, 1, b"\0\x82\x1f\xff\0"),
     connection(COMPRESSION_ERROR)),
    ("an integer without end", "RFC 7541 section 5.1", frame(HEADERS, END_HEADERS, 1, b"\x7f" + b"\xff" * 12),
     connection(COMPRESSION_ERROR)),
    ("more streams than allowed", "5.1.2", b"".join(headers(1 + 2 * i, get("/never")) for i in range(5)),
     {("stream", 9, REFUSED_STREAM), ("stream", 9, PROTOCOL_ERROR)}),
]


def malformed(name, fields, section="8.1.1", end=True, after=b""):
    return (name, section, headers(1, fields, end) + after, stream(1, PROTOCOL_ERROR))


def without(name):
    return [field for field in get("/direct") if field[0] != name]


FIELDS = [
    malformed("no :method", without(":method"), "8.3.1"),
    malformed("no :scheme", without(":scheme"), "8.3.1"),
    malformed("no :path", without(":path"), "8.3.1"),
    malformed("an empty :path", get(""), "8.3.1"),
    malformed("a :path without a slash", get("direct"), "8.3.1"),
    malformed("a :path with a fragment", get("/direct#x"), "8.3.1"),
    malformed("a :path with a space", get("/direct x"), "8.3.1"),
    malformed("* of a GET", get("*"), "8.3.1"),
    malformed("a method that is no token", get("/direct", method="GE T"), "8.3.1"),
    malformed("two :path", get("/direct") + [(":path", "/direct")], "8.3.1"),
    malformed("two :method", [(":method", "GET")] + get("/direct"), "8.3.1"),
    malformed("two :authority", get("/direct") + [(":authority", "a")], "8.3.1"),
    malformed("a pseudo-field behind a field", without(":path") + [("x", "y"), (":path", "/direct")], "8.3"),
    malformed("a pseudo-field nobody knows", get("/direct") + [(":x", "y")], "8.3"),
    malformed("a pseudo-field of responses", get("/direct") + [(":status", "200")], "8.3"),
    malformed(":protocol without CONNECT", get("/direct") + [(":protocol", "websocket")], "RFC 8441 section 4"),
    malformed("a name in upper case", get("/direct", [("X-Upper", "y")]), "8.2.1"),
    malformed("an empty name", get("/direct", [("", "y")]), "8.2.1"),
    malformed("a name with a space", get("/direct", [("x y", "z")]), "8.2.1"),
    malformed("a name with a colon", get("/direct", [("x:y", "z")]), "8.2.1"),
    malformed("a name with a control byte", get("/direct", [("x\x01", "z")]), "8.2.1"),
    malformed("a name above ASCII", get("/direct", [("x\xe4", "z")]), "8.2.1"),
    malformed("NUL in a value", get("/direct", [("x", "a\0b")]), "8.2.1"),
    malformed("CR in a value", get("/direct", [("x", "a\rb")]), "8.2.1"),
    malformed("LF in a value", get("/direct", [("x", "a\nX: b")]), "8.2.1"),
    malformed("connection", get("/direct", [("connection", "close")]), "8.2.2"),
    malformed("keep-alive", get("/direct", [("keep-alive", "timeout=5")]), "8.2.2"),
    malformed("proxy-connection", get("/direct", [("proxy-connection", "close")]), "8.2.2"),
    malformed("transfer-encoding", get("/direct", [("transfer-encoding", "chunked")]), "8.2.2"),
    malformed("upgrade", get("/direct", [("upgrade", "h2c")]), "8.2.2"),
    malformed("te that is not trailers", get("/direct", [("te", "gzip")]), "8.2.2"),
    malformed("host that is not :authority", get("/direct", [("host", "b")]), "8.3.1"),
    malformed("user information in :authority", get("/direct", authority="u@a"), "8.3.1"),
    malformed("a list in :authority", get("/direct", authority="a, b"), "8.3.1"),
    malformed("a path in :authority", get("/direct", authority="a/b"), "8.3.1"),
    malformed("CONNECT with :path", [(":method", "CONNECT"), (":authority", "a:1"), (":path", "/")], "8.5"),
    malformed("CONNECT with content", [(":method", "CONNECT"), (":authority", "a:1"), ("content-length", "3")], "9.3.6"),
    malformed("CONNECT without a port", [(":method", "CONNECT"), (":authority", "a")], "8.5"),
    malformed("two content-length that differ", get("/direct", [("content-length", "1"), ("content-length", "2")]), "8.1.1"),
    malformed("a content-length that is no number", get("/direct", [("content-length", "+1")]), "8.1.1"),
    malformed("a content-length and no content", get("/direct", [("content-length", "1")]), "8.1.1"),
    malformed("more content than content-length", get("/direct", [("content-length", "1")], "POST"), "8.1.1", False,
              frame(DATA, END_STREAM, 1, b"xy")),
    malformed("less content than content-length", get("/direct", [("content-length", "3")], "POST"), "8.1.1", False,
              frame(DATA, END_STREAM, 1, b"xy")),
    malformed("trailers that do not end the stream", get("/never", method="POST"), "8.1", False,
              headers(1, [("x", "y")], end=False)),
    malformed("a pseudo-field in trailers", get("/never", method="POST"), "8.1", False, headers(1, [(":path", "/")])),
    malformed("content-length in trailers", get("/never", method="POST"), "RFC 9110 section 6.5.1", False,
              headers(1, [("content-length", "1")])),
    malformed("an upper-case name in trailers", get("/never", method="POST"), "8.2.1", False, headers(1, [("X", "1")])),
]

TAKEN = [
    ("te: trailers", get("/direct", [("te", "trailers")])),
    ("host that is :authority", get("/direct", [("host", "a")])),
    ("host and no :authority", without(":authority") + [("host", "a")]),
    ("cookie crumbs", get("/direct", [("cookie", "a=1"), ("cookie", "b=2")])),
    ("bytes above ASCII in a value", get("/direct", [("x", "\xe4\xff")])),
    ("expect", get("/direct", [("expect", "100-continue")])),
]


class Frames(mesh.MeshTest):
    def setUp(self):
        super().setUp()
        self.start(out={"routes": ROUTES, "hcm": {"http2_protocol_options": {"max_concurrent_streams": 4}}})
        self.neighbour = self.peer()

    def peer(self, **more):
        return Peer(self.client(), **more)

    def check(self, name, section, data, expected):
        with self.subTest(case=name, section=section):
            peer = self.peer()
            peer.send(data)
            verdict = peer.verdict()
            self.assertIn(verdict, expected)
            if verdict[0] == "connection":
                self.assertTrue(peer.ended())
            else:
                peer.next_stream = 101
                if verdict == ("stream", 9, REFUSED_STREAM):
                    peer.send(frame(RST_STREAM, 0, 1, u32(8)))
                self.assertTrue(peer.serves())
            peer.conversation.close()
            self.assertTrue(self.neighbour.serves(), "another connection was hurt")

    def test_frames(self):
        for case in FRAMES:
            self.check(*case)

    def test_malformed_requests_end_their_stream_only(self):
        for case in FIELDS:
            self.check(*case)

    def test_what_looks_odd_and_is_legal(self):
        for name, fields in TAKEN:
            with self.subTest(case=name):
                peer = self.peer()
                peer.send(headers(1, fields))
                self.assertIn(peer.status(1), ("200", "404", "503"))
                peer.conversation.close()

    def test_the_preface_may_come_in_any_pieces(self):
        data = PREFACE + settings() + headers(1, get("/direct"))
        for at in range(1, len(data)):
            with self.subTest(cut=at):
                peer = self.peer(start=False)
                peer.send(data[:at])
                peer.conversation.sock.setsockopt(mesh.socket.IPPROTO_TCP, mesh.socket.TCP_NODELAY, 1)
                peer.send(data[at:])
                self.assertEqual(peer.status(1), "200")
                peer.conversation.close()
        peer = self.peer(start=False)
        for at in range(len(data)):
            peer.send(data[at:at + 1])
        self.assertEqual(peer.status(1), "200")

    def test_settings_may_come_long_after_the_preface(self):
        peer = self.peer(start=False)
        peer.send(PREFACE)
        self.assertEqual(peer.conversation.exactly(9)[3], SETTINGS)  # ours do not wait for theirs (section 3.4)
        peer.conversation.buffer = b""
        peer.send(settings() + headers(1, get("/direct")))
        self.assertEqual(peer.status(1), "200")

    def test_the_first_frame_must_be_settings(self):
        peer = self.peer(start=False)
        peer.send(PREFACE + headers(1, get("/direct")))
        self.assertIn(peer.verdict(), connection(PROTOCOL_ERROR))

    def test_our_settings(self):
        peer = self.peer()
        first = peer.until(lambda f: f.kind == SETTINGS and not f.flags & ACK)
        ours = {int.from_bytes(first.payload[at:at + 2], "big"): int.from_bytes(first.payload[at + 2:at + 6], "big")
                for at in range(0, len(first.payload), 6)}
        self.assertEqual(ours[MAX_CONCURRENT_STREAMS], 4)
        self.assertEqual(ours[9], 1)  # NO_RFC7540_PRIORITIES
        self.assertEqual(ours[MAX_HEADER_LIST_SIZE], 60 * 1024)
        self.assertNotIn(ENABLE_PUSH, ours)  # a server must not (section 6.5.2)


class SettingsInMidAnswer(mesh.MeshTest):
    """What the client says while an answer is under way holds for the rest of it."""
    CONTENT = bytes(range(256)) * 800

    def begin(self, *pairs):
        """A client whose answer is under way, with content that waits for its window, and the stream."""
        self.start()
        peer = Peer(self.client(), pairs=pairs)
        peer.send(window_update(0, 1 << 24))
        stream = peer.ask("/")
        app, _ = self.accept_request()
        app.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(self.CONTENT) + self.CONTENT)
        self.got = b""
        self.assertEqual(peer.status(stream), "200")
        return peer, stream

    def content(self, peer, stream, length):
        """Reads so many bytes more; returns the largest frame."""
        frames = []
        while sum(frames) < length:
            one = peer.until(lambda f: f.kind == DATA and f.stream == stream)
            frames.append(len(one.payload))
            self.got += one.payload
        self.assertEqual(sum(frames), length)
        return max(frames)

    def nothing_comes(self, peer):
        """A PING comes back and no content before it."""
        seen = len(peer.seen)
        peer.send(frame(PING, 0, 0, b"whatelse"))
        peer.until(lambda f: f.kind == PING and f.flags & ACK and f.payload == b"whatelse")
        self.assertEqual([f for f in peer.seen[seen:] if f.kind == DATA], [])

    def rest(self, peer, stream):
        self.content(peer, stream, len(self.CONTENT) - len(self.got))
        if not peer.seen[-1].flags & END_STREAM:
            peer.until(lambda f: f.stream == stream and f.flags & END_STREAM)
        self.assertEqual(mesh.digest(self.got), mesh.digest(self.CONTENT))

    def test_the_window_grows(self):
        peer, stream = self.begin((INITIAL_WINDOW_SIZE, 10))
        self.content(peer, stream, 10)
        self.nothing_comes(peer)
        peer.send(settings((INITIAL_WINDOW_SIZE, 50_000)))
        self.content(peer, stream, 49_990)
        self.nothing_comes(peer)
        peer.send(settings((INITIAL_WINDOW_SIZE, 1 << 20)))
        self.rest(peer, stream)

    def test_the_window_shrinks_below_zero(self):
        peer, stream = self.begin((INITIAL_WINDOW_SIZE, 1000))
        self.content(peer, stream, 1000)
        peer.send(settings((INITIAL_WINDOW_SIZE, 0)))  # -1000 now (section 6.9.2)
        peer.send(window_update(stream, 1000))
        self.nothing_comes(peer)
        peer.send(window_update(stream, 1))
        self.content(peer, stream, 1)
        self.nothing_comes(peer)
        peer.send(settings((INITIAL_WINDOW_SIZE, 1 << 20)))
        self.rest(peer, stream)

    def test_frames_are_never_larger_than_the_client_takes(self):
        peer, stream = self.begin((INITIAL_WINDOW_SIZE, 60_000), (MAX_FRAME_SIZE, 1 << 20))
        self.content(peer, stream, 60_000)
        peer.send(settings((MAX_FRAME_SIZE, 16384)))
        peer.until(lambda f: f.kind == SETTINGS and f.flags & ACK)
        peer.send(window_update(stream, 60_000))
        self.assertLessEqual(self.content(peer, stream, 60_000), 16384)
        peer.send(settings((MAX_FRAME_SIZE, 1 << 20), (INITIAL_WINDOW_SIZE, 1 << 20)))
        self.rest(peer, stream)

    def test_the_header_table_goes_to_nothing_and_comes_back(self):
        """Also between the head of an answer and its end: what is said of the table later is said in the next head."""
        peer, stream = self.begin((INITIAL_WINDOW_SIZE, 1000))
        for size in (0, 4096, 100, 1 << 20, 0):
            peer.send(settings((HEADER_TABLE_SIZE, size)))
            peer.until(lambda f: f.kind == SETTINGS and f.flags & ACK)
            peer.decoder.max_allowed_table_size = size
            other = peer.ask("/other")
            app_of_other, _ = self.accept_request()
            app_of_other.send("HTTP/1.1 200 OK\r\nX-Repeated: one\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            app_of_other.close()
            head = dict(peer.fields(peer.until(lambda f: f.kind == HEADERS and f.stream == other)))
            self.assertEqual((head[":status"], head["x-repeated"]), ("200", "one"))
        self.got += b"".join(f.payload for f in peer.seen if f.kind == DATA and f.stream == stream)
        peer.send(settings((INITIAL_WINDOW_SIZE, 1 << 20)))
        self.rest(peer, stream)


if __name__ == "__main__":
    unittest.main()
