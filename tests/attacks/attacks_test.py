"""Attacks on a real sidecar, one of each kind that specs/xds.md 6.5 lists, and users that look like attackers and are none. What
must hold: the attacker is cut off after so many frames or bytes (a count, not a time), a counter says why, others are served during
and after it, and memory returns to where it was."""
import resource
import shutil
import socket
import subprocess
import threading
import time
import unittest

import mesh
from attack import *  # noqa: F403
from http2_frames import *  # noqa: F403


class Floods(Attack):
    FRAMES = 'http2_connections_ended_total{reason="frame_flood"}'
    RESETS = 'http2_connections_ended_total{reason="reset_flood"}'

    def test_pings(self):
        """CVE-2019-9512."""
        self.check_flood(lambda i: frame(PING, 0, 0, i.to_bytes(8, "big")), FLOOD_FRAMES, self.FRAMES)

    def test_settings(self):
        """CVE-2019-9515."""
        self.check_flood(lambda i: settings((INITIAL_WINDOW_SIZE, 65535)), FLOOD_FRAMES, self.FRAMES)

    def test_headers_of_streams_that_are_over(self):
        """Decoded for the sake of HPACK's table alone."""
        attacker = Peer(self.client())
        self.assertTrue(attacker.serves())  # stream 1
        sent = 0
        with self.assertRaises((OSError, Closed)):
            while sent < FLOOD_FRAMES:
                attacker.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x82" * 16000) * 20)
                sent += 20
                while not attacker.conversation.silent(0.001):
                    attacker.read()
        self.assertLessEqual(sent, FLOOD_FRAMES // 4 + SLACK)
        self.assertEqual(self.counter(self.FRAMES), 1)
        self.others_are_served()
        self.memory_is_back()

    def test_priorities(self):
        """CVE-2019-9513."""
        self.check_flood(lambda i: frame(PRIORITY, 0, 1 + 2 * i, u32(0) + b"\1"), FLOOD_FRAMES, self.FRAMES)

    def test_window_updates(self):
        self.check_flood(lambda i: window_update(0, 1), FLOOD_FRAMES, self.FRAMES)

    def test_empty_data(self):
        """CVE-2019-9518."""
        self.check_flood(lambda i: headers(1, get("/never", method="POST"), end=False) if i == 0 else frame(DATA, 0, 1),
                         FLOOD_FRAMES, self.FRAMES)

    def test_data_of_padding_alone(self):
        """As above, in other words; and it pays for nothing else."""
        for between in (b"", frame(PRIORITY, 0, 7, u32(0) + b"\1")):
            with self.subTest(between):
                self.check_flood(lambda i: headers(1, get("/never", method="POST"), end=False) if i == 0 else
                                 frame(DATA, PADDED, 1, b"\0") + between, FLOOD_FRAMES, self.FRAMES)

    def test_rapid_reset(self):
        """CVE-2023-44487."""
        self.check_flood(lambda i: headers(1 + 2 * i, get("/never")) + frame(RST_STREAM, 0, 1 + 2 * i, u32(CANCEL)),
                         EARLY_RESETS, self.RESETS, batch=50)

    def test_made_you_reset_by_windows_that_overflow(self):
        """CVE-2025-8671. (A WINDOW_UPDATE of 0 on a stream ends the connection at once: http2_server_frames_test.py.)"""
        self.check_flood(lambda i: headers(1 + 2 * i, get("/never")) + window_update(1 + 2 * i, (1 << 31) - 1), EARLY_RESETS,
                         self.RESETS, batch=50)

    def test_made_you_reset_by_malformed_requests(self):
        self.check_flood(lambda i: headers(1 + 2 * i, get("/never", [("connection", "close")])), EARLY_RESETS, self.RESETS, batch=50)

    def test_empty_names(self):
        """CVE-2019-9516: each request is malformed, and its stream is reset."""
        self.check_flood(lambda i: headers(1 + 2 * i, get("/direct", [("", "")] * 20)), EARLY_RESETS, self.RESETS, batch=50)

    def test_settings_of_many_entries(self):
        """CVE-2019-9515, in one frame: it ends the connection at once."""
        before = self.counter("client_protocol_errors_total")
        attacker = Peer(self.client())
        attacker.send(settings(*[(INITIAL_WINDOW_SIZE, 65535 + i) for i in range(2000)]))
        self.assertEqual(attacker.until(lambda f: f.kind == GOAWAY).word(4), ENHANCE_YOUR_CALM)
        self.assertTrue(attacker.ended())
        self.assertEqual(self.counter("client_protocol_errors_total"), before + 1)
        self.others_are_served()
        self.memory_is_back()

    def test_a_header_block_without_end(self):
        """CVE-2024-28182, CVE-2024-27919."""
        series = 'http2_connections_ended_total{reason="header_flood"}'
        self.check_flood(lambda i: frame(HEADERS, 0, 1, block(get("/never"))) if i == 0 else
                         frame(CONTINUATION, 0, 1, literal("x", "y" * 1000)), 0, series, batch=10)

    def test_pings_whose_answers_are_not_read(self):
        before = self.sidecar.metrics()
        attacker = Peer(self.client())
        pings = frame(PING, 0, 0, b"12345678") * 1000
        try:
            for _ in range(3000):  # 50 MiB: more than all buffers on the way
                attacker.send(pings)
            self.fail("3,000,000 PINGs were taken")
        except OSError:
            pass
        after = self.sidecar.metrics()
        ended = [key for key in after if key.startswith("pillion_http2_connections_ended") and after[key] > before[key]]
        self.assertEqual(len(ended), 1)
        self.others_are_served()
        self.memory_is_back()


class Heads(Attack):
    LIMIT = 'client_limits_total{limit="head"}'

    def check_431(self, payload, more=b""):
        before = self.counter(self.LIMIT)
        attacker = Peer(self.client())
        attacker.send(payload)
        self.assertEqual(attacker.status(1), "431")
        self.assertEqual(self.counter(self.LIMIT), before + 1)
        attacker.next_stream = 101
        self.assertTrue(attacker.serves())  # it costs the stream, not the connection
        attacker.conversation.close()
        self.others_are_served()
        self.memory_is_back()

    def test_a_head_that_unpacks_to_megabytes(self):
        """An HPACK bomb: 4000 bytes in the table, then one byte for each copy."""
        one = b"\x40" + literal("bomb", "b" * 4000)[1:]
        self.check_431(headers(1, get("/direct"), flags=0)[:0] +
                       frame(HEADERS, END_HEADERS | END_STREAM, 1, block(get("/direct")) + one + b"\xbe" * 10_000))

    def test_many_cookie_crumbs(self):
        """CVE-2026-47774: crumbs count before they are joined."""
        self.check_431(headers(1, get("/direct", [("cookie", "a=b")] * 200)))

    def test_many_empty_fields(self):
        self.check_431(headers(1, get("/direct", [("a", "")] * 300)))

    def test_bombs_one_after_the_other_empty_the_purse(self):
        one = b"\x40" + literal("bomb", "b" * 4000)[1:]

        def bomb(i):
            return frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * i,
                         block(get("/direct")) + (one if i == 0 else b"") + b"\xbe" * 8_000)
        before = self.counter(Floods.FRAMES)
        sent, _ = self.flood(bomb, 4000, batch=5)
        self.assertLessEqual(sent, 1200)  # 125 are taken; what else was sent lay in buffers
        self.assertEqual(self.counter(Floods.FRAMES), before + 1)
        self.others_are_served()
        self.memory_is_back()

    def test_a_head_of_http1_without_end(self):
        before = self.counter(self.LIMIT)
        attacker = self.client()
        attacker.send("GET / HTTP/1.1\r\n")
        for _ in range(62):  # 60 KiB and a little
            attacker.send("X-Field: %s\r\n" % ("y" * 1000))
        head = attacker.head()
        self.assertEqual((head.status, head.all("connection")), (431, ["close"]))
        attacker.rest_or_reset()
        self.assertEqual(self.counter(self.LIMIT), before + 1)
        self.others_are_served()
        self.memory_is_back()


class Slow(Attack):
    hcm = {"request_headers_timeout": "0.3s", "request_timeout": "0.6s", "stream_idle_timeout": "0.5s"}

    def test_heads(self):
        series = 'client_limits_total{limit="slow_request"}'
        crowd = [self.client() for _ in range(50)]
        for one in crowd:
            one.send("GET / HTTP/1.1\r\nHost: a\r\nX: ")
        self.others_are_served()
        for one in crowd:
            self.assertEqual(one.head().status, 408)
            one.rest_or_reset()
        self.assertEqual(self.counter(series), 50)
        self.memory_is_back()

    def test_heads_over_http2(self):
        """Half a block, in HEADERS and behind it in CONTINUATION; a frame of it now and then is no excuse."""
        series = 'client_limits_total{limit="slow_request"}'
        whole = block([(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a"), ("x", "y" * 50)])
        halves = (frame(HEADERS, END_HEADERS | END_STREAM, 1, whole)[:30],
                  frame(HEADERS, END_STREAM, 1, whole[:10]),
                  frame(HEADERS, END_STREAM, 1, whole[:10]) + frame(CONTINUATION, 0, 1, whole[10:20]))
        crowd = [Peer(self.client()) for _ in halves]
        for one, half in zip(crowd, halves):
            one.until(lambda got: got.kind == SETTINGS and not got.flags & ACK)
            one.send(half)
        self.others_are_served()
        for one in crowd:
            self.assertEqual(one.until(lambda got: got.kind == GOAWAY).word(4), ENHANCE_YOUR_CALM)
        self.assertEqual(self.counter(series), len(crowd))
        self.memory_is_back()

    def test_heads_of_streams_that_are_over(self):
        attacker = Peer(self.client())
        self.assertTrue(attacker.serves())
        attacker.send(frame(HEADERS, END_STREAM, 1, b"\x00\x01x"))
        self.others_are_served()
        self.assertEqual(attacker.until(lambda got: got.kind == GOAWAY).word(4), ENHANCE_YOUR_CALM)
        self.assertEqual(self.counter('client_limits_total{limit="slow_request"}'), 1)
        self.memory_is_back()

    def test_bodies(self):
        attacker = self.client()
        attacker.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx")
        app = self.app.accept()
        app.head()
        self.others_are_served()
        self.assertEqual(attacker.head().status, 408)
        self.assertTrue(app.rest_or_reset() in (b"x", b""))
        self.assertEqual(self.counter('client_limits_total{limit="slow_request"}'), 1)
        self.memory_is_back()

    def test_bodies_over_http2(self):
        attacker = Peer(self.client())
        stream = attacker.ask("/", method="POST", end=False)
        attacker.send(frame(DATA, 0, stream, b"x"))
        app, _ = self.accept_request()
        self.others_are_served()
        self.assertEqual(attacker.status(stream), "408")
        self.assertNotIn(b"0\r\n\r\n", app.rest_or_reset(), "half an upload is no whole one")
        self.assertEqual(self.counter('client_limits_total{limit="slow_request"}'), 1)
        self.assertTrue(attacker.serves())  # it costs the stream, not the connection
        self.memory_is_back()

    def test_readers_of_http1(self):
        attacker = self.get()
        app = self.app.accept()
        app.head()
        self.assertLess(self.answer_much(app), 64 << 20)
        self.others_are_served()
        mesh.wait_until(lambda: self.counter('client_limits_total{limit="slow_read"}') == 1, "the reader is given up")
        app.rest_or_reset()
        attacker.rest_or_reset()
        self.memory_is_back()

    def test_windows_that_stay_closed(self):
        attacker = Peer(self.client(), pairs=[(INITIAL_WINDOW_SIZE, 0)])
        apps = []
        for _ in range(20):
            attacker.ask("/")
            app = self.app.accept()
            app.head()
            apps.append(app)
            self.answer_much(app)
        if not mesh.sanitized():
            # A stream holds a window, a read block and what the codec queues: ARCHITECTURE.md.
            self.assertLess(self.sidecar.resident_bytes() - self.before, 20 * 700_000)
        mesh.wait_until(lambda: self.counter('client_limits_total{limit="slow_read"}') == 20, "the streams are given up")
        self.others_are_served()
        for app in apps:
            app.rest_or_reset()
        self.memory_is_back()



class Windows(Attack):
    """Window tricks in mid-answer. (A window that is never opened: Slow.)"""
    hcm = {"stream_idle_timeout": "2s"}
    def held_open(self, attacker, squeeze):
        """20 large answers whose windows open a little, then squeeze(streams): they cost what a window costs, and are given up."""
        streams, apps = [], []
        for _ in range(20):
            streams.append(attacker.ask("/"))
            app, _ = self.accept_request()
            apps.append(app)
            self.answer_much(app)
        squeeze(streams)
        self.others_are_served()
        if not mesh.sanitized():
            self.assertLess(self.sidecar.resident_bytes() - self.before, 20 * 700_000)
        for app in apps:
            app.rest_or_reset()
        for stream in streams:
            if not any(one.kind == RST_STREAM and one.stream == stream for one in attacker.seen):
                attacker.until(lambda f: f.kind == RST_STREAM and f.stream == stream)
        self.assertTrue(attacker.serves() and self.neighbour.serves())
        self.memory_is_back()
        self.assertEqual(self.counter('client_limits_total{limit="slow_read"}'), 20)

    def test_windows_of_one_byte(self):
        """CVE-2019-9511, CVE-2019-9517: answers in pieces of one byte, until no more of them are asked for."""
        attacker = Peer(self.client(), pairs=[(INITIAL_WINDOW_SIZE, 1)])

        def squeeze(streams):
            for _ in range(20 * len(streams)):
                one = attacker.until(lambda f: f.kind == DATA)
                self.assertEqual(len(one.payload), 1)
                attacker.send(window_update(one.stream, 1))
        self.held_open(attacker, squeeze)

    def test_windows_that_become_negative_in_mid_answer(self):
        attacker = Peer(self.client())
        attacker.send(window_update(0, 1 << 24))

        def squeeze(streams):
            got = 0
            while got < 65535 * len(streams):
                got += len(attacker.until(lambda f: f.kind == DATA).payload)
            attacker.send(settings((INITIAL_WINDOW_SIZE, 0)))
            for stream in streams:
                attacker.send(window_update(stream, 65535))  # 0 is left to it, and no more
        self.held_open(attacker, squeeze)


class Dribble(Attack):
    def test_content_of_one_byte_a_frame(self):
        """CVE-2019-9511 as an upload. It is an upload: it passes, at a frame's cost a byte, and holds nothing."""
        attacker = Peer(self.client())
        stream = attacker.ask("/", method="POST", end=False)
        app, _ = self.accept_request()
        for _ in range(200):
            attacker.send(frame(DATA, 0, stream, b"x") * 100)
            got = 0
            while got < 100:
                size = int(app.until(b"\r\n"), 16)
                self.assertEqual(app.exactly(size + 2), b"x" * size + b"\r\n")
                got += size
        self.others_are_served()
        self.memory_is_back()


class Crowds(Attack):
    def setUp(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        if hard < 264:
            self.skipTest("needs 264 descriptors")
        # For the child; ours may not rise again, so it is done in the child only.
        self.flags = ()
        original = subprocess.Popen
        try:
            subprocess.Popen = lambda *a, **k: original(
                *a, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (264, 264)), **k)
            super().setUp()
        finally:
            subprocess.Popen = original

    def test_connections_have_a_limit(self):
        crowd = [socket.create_connection((mesh.HOST, self.port)) for _ in range(150)]
        self.assertTrue(self.neighbour.serves())
        # 100 = (264 - 64) / 2, and one of them is the neighbour's.
        mesh.wait_until(lambda: self.counter("client_connections_refused_total") == 51, "those over the limit are refused")
        for one in crowd:
            one.close()
        mesh.wait_until(lambda: self.counter("client_connections_active") <= 2, "they are gone")
        self.others_are_served()
        self.memory_is_back()


class Idle(Attack):
    hcm = {"common_http_protocol_options": {"idle_timeout": "15s"}}
    COUNT = 9900  # 20 000 descriptors are what many machines give; a sidecar keeps one of two for the other side
    EACH = 2 << 10  # bytes

    def setUp(self):
        self.needs_descriptors(2 * self.COUNT + 200)
        super().setUp()

    @unittest.skipIf(mesh.sanitized(), "measures what sanitizers change")
    def test_idle_connections_are_cheap_and_end(self):
        crowd = [self.client() for _ in range(self.COUNT)]
        mesh.wait_until(lambda: self.counter("client_connections_active") >= self.COUNT, "all are taken")
        self.assertLess((self.sidecar.resident_bytes() - self.before) / self.COUNT, self.EACH)
        for one in crowd:
            self.assertEqual(one.rest_or_reset(), b"")
        self.assertGreaterEqual(self.counter('client_limits_total{limit="idle"}'), self.COUNT)
        mesh.wait_until(lambda: self.counter("client_connections_active") <= 1, "they are gone")
        fresh = self.get(path="/direct")
        self.assertEqual(fresh.head().status, 200)
        self.memory_is_back()


class LargestHeads(Attack):
    """A head of 1 MiB where the listener takes as much as can be configured."""
    hcm = {"max_request_headers_kb": 8192, "common_http_protocol_options": {"max_headers_count": 5000}}

    def check(self, fields, pieces):
        text = ("GET / HTTP/1.1\r\nHost: a\r\n" + "".join("%s: %s\r\n" % one for one in fields) + "\r\n").encode()
        client = self.client()
        for at in range(0, len(text), pieces):
            client.send(text[at:at + pieces])
        app, head = self.accept_request()
        self.assertEqual(head.fields[1:], fields)
        app.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        app.close()
        self.assertEqual(client.head().status, 200)
        client.close()
        self.others_are_served()
        self.memory_is_back()

    def test_one_field_of_a_mebibyte(self):
        for pieces in (1 << 21, 1000, 4097):
            with self.subTest(pieces=pieces):
                self.check([("X-Large", "x" * (1 << 20))], pieces)

    def test_a_thousand_fields(self):
        for pieces in (1 << 21, 1000, 4097):
            with self.subTest(pieces=pieces):
                self.check([("X-%d" % i, "x" * 1024) for i in range(1024)], pieces)


class Lives(Attack):
    hcm = {"common_http_protocol_options": {"max_requests_per_connection": 3, "max_connection_duration": "1s",
                                            "max_stream_duration": "0.4s"}}

    def test_http1_requests_per_connection(self):
        client = self.client()
        for last in (False, False, True):
            self.get(client, path="/direct")
            head = client.head()
            client.exactly(2)
            self.assertEqual(head.all("connection"), ["close"] if last else [])
        self.assertTrue(client.closed())

    def test_http2_requests_per_connection(self):
        peer = Peer(self.client())
        for _ in range(3):
            self.assertTrue(peer.serves())
        peer.until(lambda f: f.kind == GOAWAY)

    def test_age_of_connections(self):
        client = self.get(path="/direct")
        self.assertEqual(client.head().status, 200)
        client.exactly(2)
        self.assertTrue(client.closed())
        peer = Peer(self.client())
        peer.until(lambda f: f.kind == GOAWAY and f.word() == (1 << 31) - 1)
        self.assertGreaterEqual(self.counter('client_limits_total{limit="age"}'), 2)

    def test_age_of_streams(self):
        client = self.get()
        app = self.app.accept()
        app.head()
        self.assertEqual(client.head().status, 408)

    def setUp(self):
        super().setUp()
        self.neighbour.conversation.close()  # it would age


class KeepAlive(Attack):
    hcm = {"http2_protocol_options": {"connection_keepalive": {"interval": "0.1s", "timeout": "0.3s"}}}

    def test_a_client_that_answers_stays(self):
        self.clients[0].close()
        peer = Peer(self.client())
        for _ in range(5):
            peer.until(lambda f: f.kind == PING and not f.flags & ACK)
        self.assertTrue(peer.serves())
        self.assertEqual(self.counter('http2_connections_ended_total{reason="ping"}'), 0)

    def test_a_client_that_reads_slowly_stays(self):
        """The PING waits behind what it has not read; what it sends shows that it lives."""
        self.clients[0].close()
        peer = Peer(self.client(), pairs=[(INITIAL_WINDOW_SIZE, 1 << 30)])
        peer.send(window_update(0, 1 << 30))
        peer.ask("/big")
        app, _ = self.accept_request()
        app.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        app.sock.settimeout(0.2)
        with self.assertRaises(OSError):
            while True:
                app.sock.sendall(b"x" * 65536)
        end = time.monotonic() + 1.5  # five times what a silent client has
        while time.monotonic() < end:
            peer.conversation.exactly(2000)
            peer.send(window_update(0, 1))
            time.sleep(0.02)
        self.assertEqual(self.counter('http2_connections_ended_total{reason="ping"}'), 0)

    def test_a_client_that_does_not_is_left(self):
        self.clients[0].close()
        peer = Peer(self.client())
        self.assertNotEqual(peer.conversation.exactly(9), b"")  # reads no further
        mesh.wait_until(lambda: self.counter('http2_connections_ended_total{reason="ping"}') >= 1, "it is left")


class LegalAboveTheLimit(Attack):
    hcm = {"http2_protocol_options": {"max_concurrent_streams": 100}}

    def test_streams_opened_before_the_limit_could_be_known_are_refused_one_by_one(self):
        peer = Peer(self.client(), start=False)
        peer.send(PREFACE + settings() + b"".join(headers(1 + 2 * i, get("/direct" if i == 0 else "/never")) for i in range(800)))
        refused = 0
        while refused < 700:
            one = peer.until(lambda f: f.kind in (RST_STREAM, GOAWAY))
            self.assertEqual((one.kind, one.word()), (RST_STREAM, REFUSED_STREAM))
            refused += 1
        self.unharmed()
        self.assertEqual(self.counter('client_limits_total{limit="streams"}'), 700)
        self.memory_is_back()

    def test_streams_above_the_limit_that_is_known_end_the_connection(self):
        peer = Peer(self.client())
        self.assertTrue(peer.serves())  # it has acknowledged our SETTINGS
        peer.send(b"".join(headers(101 + 2 * i, get("/never")) for i in range(101)))
        peer.until(lambda f: f.kind == GOAWAY)
        self.assertTrue(peer.ended())
        self.assertEqual(self.counter('http2_connections_ended_total{reason="streams"}'), 1)
        self.assertEqual(self.counter('client_limits_total{limit="streams"}'), 0)
        self.others_are_served()
        self.memory_is_back()

    def unharmed(self):
        Legal.unharmed(self)


class Refusals(Attack):
    """What one request is refused for has a series by its reason."""
    hcm = {"path_with_escaped_slashes_action": "REJECT_REQUEST"}
    HOLDS = ("bridge", mesh.typed("envoy.extensions.filters.http.grpc_http1_bridge.v3.Config", upgrade_protobuf_to_grpc=True))

    def make_sidecar(self):
        return mesh.Sidecar([mesh.listener("outbound", self.port, "app", routes=ROUTES, hcm=self.hcm, filters=[self.HOLDS])],
                            [mesh.cluster("app", [self.app.address])], admin=True)

    def refused(self, reason, status, request, side="client"):
        series = 'pillion_request_errors_total{side="%s",reason="%s"}' % (side, reason)
        self.assertNotIn(series, self.sidecar.metrics())
        client = self.client()
        client.send(request)
        self.assertEqual(client.head().status, status)
        mesh.wait_until(lambda: self.sidecar.metrics().get(series) == 1, series)

    def test_each_is_counted_by_its_reason(self):
        host = " HTTP/1.1\r\nHost: shop\r\n"
        self.refused("target_too_long", 414, "GET /" + "a" * 20000 + host + "\r\n")
        self.refused("head_too_large", 431, "GET /" + host + "X: " + "a" * 70000 + "\r\n\r\n")
        self.refused("path_refused", 400, "GET /a%2fb" + host + "\r\n")
        self.refused("malformed", 400, "GET /" + host + "X : a\r\n\r\n")
        self.refused("not_implemented", 501, "POST /" + host + "Transfer-Encoding: gzip\r\n\r\n")
        self.refused("expectation", 417, "POST /" + host + "Expect: more\r\nContent-Length: 1\r\n\r\n")
        self.refused("unsupported_version", 505, "GET / HTTP/3.0\r\nHost: shop\r\n\r\n")
        self.refused("body_too_large", 413, "POST /" + host + "Content-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n"
                     % ((1 << 20) + 1) + "x" * ((1 << 20) + 1))
        self.refused("connect_method_refused", 405, "CONNECT shop:1 HTTP/1.1\r\nHost: shop:1\r\n\r\n")


class Legal(Attack):
    def unharmed(self):
        for key, value in self.sidecar.metrics().items():
            if key.startswith("pillion_http2_connections_ended"):
                self.assertEqual(value, 0, key)

    def test_a_client_that_cancels_each_call_after_its_answer_began(self):
        peer = Peer(self.client())
        for _ in range(1500):
            stream = peer.ask()
            peer.until(lambda f: f.kind == HEADERS and f.stream == stream)
            peer.send(frame(RST_STREAM, 0, stream, u32(CANCEL)))
        self.assertTrue(peer.serves())
        self.unharmed()

    def test_a_client_that_loses_half_of_its_hedges(self):
        peer = Peer(self.client())
        for _ in range(1000):
            lost = peer.ask("/never")
            peer.send(frame(RST_STREAM, 0, lost, u32(CANCEL)))
            won = peer.ask()
            peer.until(lambda f: f.kind == HEADERS and f.stream == won)
        self.assertTrue(peer.serves())
        self.unharmed()

    def test_a_client_that_updates_its_windows_for_each_frame(self):
        peer = Peer(self.client())
        stream = peer.ask("/")
        app = self.app.accept()
        app.head()
        size = 8 << 20
        app.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        app.sock.settimeout(None)
        sender = threading.Thread(target=lambda: app.sock.sendall(b"x" * size))
        sender.start()
        got = 0
        while got < size:
            one = peer.until(lambda f: f.kind == DATA)
            got += len(one.payload)
            for part in (0, stream):
                half = len(one.payload) // 2
                if half:
                    peer.send(window_update(part, half) + window_update(part, len(one.payload) - half))
        sender.join()
        self.unharmed()

    @unittest.skipIf(shutil.which("h2load") is None, "needs h2load")
    def test_h2load(self):
        done = subprocess.run(["h2load", "-n", "20000", "-c", "4", "-m", "100", "http://%s:%d/direct" % (mesh.HOST, self.port)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100)
        self.assertIn("20000 succeeded", done.stdout)
        self.unharmed()


class Races(Attack):
    """A reset and a GOAWAY close together, from either side (CVE-2023-35945)."""

    def test_of_a_client(self):
        goaway = frame(GOAWAY, 0, 0, u32(0) + u32(NO_ERROR))
        for path in ("/direct", "/"):
            for end in (False, True):
                request = headers(1, get(path, method="POST"), end=end)
                reset = frame(RST_STREAM, 0, 1, u32(CANCEL))
                for order in (reset + goaway, goaway + reset, reset + goaway + reset, goaway + reset + headers(3, get("/direct"))):
                    attacker = Peer(self.client())
                    attacker.send(request + order)
                    attacker.conversation.half_close()
                    self.assertTrue(attacker.ended())
        self.others_are_served()
        self.memory_is_back()


class Upstreams(mesh.MeshTest):
    """An HTTP/2 app that means harm, and 100 requests on its connection."""
    COUNT = 100

    def setUp(self):
        super().setUp()
        self.port = mesh.free_port()
        self.made = [mesh.Sidecar([mesh.listener("outbound", self.port, "app", routes=ROUTES)],
                                  [mesh.cluster("app", [self.app.address], http2=True)], admin=True)]
        self.sidecar = self.made[0]
        first = self.get()
        self.server = Peer(self.app.accept(), server=True)
        self.streams = [self.server.request()[0]]
        self.before = self.sidecar.resident_bytes()
        self.waiting = [first] + [self.get() for _ in range(self.COUNT - 1)]
        while len(self.streams) < self.COUNT:
            self.streams.append(self.server.request()[0])

    def all_fail(self):
        for client in self.waiting:
            self.assertIn(client.head().status, (502, 503))
        fresh = self.get(path="/direct")
        self.assertEqual(fresh.head().status, 200)
        Attack.memory_is_back(self)

    def resets(self, code=CANCEL):
        return b"".join(frame(RST_STREAM, 0, stream, u32(code)) for stream in self.streams)

    def test_all_streams_are_reset_at_once(self):
        """CVE-2021-32778."""
        self.server.send(self.resets())
        self.all_fail()
        self.assertEqual(self.sidecar.metrics()["pillion_http2_resets_seen_total"], self.COUNT)
        later = self.get()
        self.server.send(headers(self.server.request()[0], [(":status", "204")]))  # the connection stays
        self.assertEqual(later.head().status, 204)

    def test_a_goaway_right_behind_the_resets(self):
        """CVE-2023-35945."""
        self.server.send(self.resets() + frame(GOAWAY, 0, 0, u32(self.streams[-1]) + u32(NO_ERROR)))
        self.all_fail()
        self.assertTrue(self.server.ended())

    def test_resets_right_behind_a_goaway(self):
        self.server.send(frame(GOAWAY, 0, 0, u32(self.streams[-1]) + u32(NO_ERROR)) + self.resets())
        self.all_fail()
        self.assertTrue(self.server.ended())

    def test_resets_and_the_end_of_the_connection(self):
        self.server.send(self.resets(INTERNAL_ERROR) + frame(GOAWAY, 0, 0, u32(0) + u32(INTERNAL_ERROR)))
        self.server.conversation.close()
        self.all_fail()


if __name__ == "__main__":
    unittest.main()
