"""Peers that mean harm, or only have bad timing: each case here once broke something."""

import json
import os
import resource
import select
import socket
import threading
import unittest
import unittest.mock

import h2.events
import h2.settings

import mesh
from bad_input_test import Http2Client
from mesh import OK

EMPTY = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def frame(kind, flags, stream, payload=b""):
    """An HTTP/2 frame (RFC 9113 section 4.1)."""
    return (len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload)


DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 7, 8


class Http2App:
    """A scripted HTTP/2 app: answers frames with what the test says."""

    def __init__(self, conversation):
        self.conversation = conversation
        conversation.exactly(24)  # the preface
        conversation.send(frame(SETTINGS, 0, 0))

    def next_frame(self):
        head = self.conversation.exactly(9)
        payload = self.conversation.exactly(int.from_bytes(head[:3], "big"))
        return head[3], head[4], int.from_bytes(head[5:9], "big"), payload

    def request(self):
        """The stream of the next request."""
        while True:
            kind, _, stream, _ = self.next_frame()
            if kind == HEADERS:
                return stream


class Settling(mesh.MeshTest):
    """The peer's SETTINGS say how many streams it takes; a burst must not be refused for not having waited."""

    def test_a_burst_waits_for_the_settings_and_keeps_to_them(self):
        self.start(http2_app=True)
        clients = [self.get() for _ in range(5)]
        first = self.app.accept()
        first.exactly(24)
        app = Http2App.__new__(Http2App)
        app.conversation = first
        self.assertEqual(app.request(), 1)
        self.assertTrue(first.silent(0.2), "a second stream came before the settings")
        first.send(frame(SETTINGS, 0, 0, b"\x00\x03" + (2).to_bytes(4, "big")))  # MAX_CONCURRENT_STREAMS
        self.assertEqual(app.request(), 3)
        others = Http2App(self.app.accept())  # its settings allow what HTTP/2 allows: the other three
        streams = [others.request() for _ in range(3)]
        self.assertEqual(streams, [1, 3, 5])
        ok = frame(HEADERS, 5, 1, b"\x88")  # :status 200, END_STREAM
        for conversation, stream in [(first, 1), (first, 3)] + [(others.conversation, s) for s in streams]:
            conversation.send(ok[:5] + stream.to_bytes(4, "big") + ok[9:])
        for client in clients:
            self.assertEqual(client.head().status, 200)

    def test_a_peer_that_accepts_and_says_nothing_is_given_up_within_the_connect_time_out(self):
        self.start(http2_app=True, out_cluster={"connect_timeout": "0.3s"})
        clients = [self.get() for _ in range(3)]
        self.app.accept()
        statuses = sorted(client.head().status for client in clients)
        self.assertEqual(statuses, [502, 503, 503])  # one was sent and may have run; the others waited


class Resets(mesh.MeshTest):
    """Also where nothing is read or written: while the app keeps one waiting that has closed its half, and while the app does not
    take an upload."""

    def is_freed(self, client):
        client.reset()
        with unittest.mock.patch.object(mesh, "WAIT", 5.0):
            mesh.wait_until(lambda: self.made[0].descriptors() <= self.before, "the request is given up")

    def setUp(self):
        super().setUp()
        self.start()
        client = self.get(fields="Connection: close\r\n")  # when it is over, so is the connection that asked who listens
        app, _ = self.accept_request()
        app.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        self.assertTrue(client.rest().startswith(b"HTTP/1.1 200 "))
        self.assertEqual(app.rest(), b"")
        self.before = self.made[0].descriptors()

    def test_one_that_waits(self):
        client = self.get()
        self.accept_request()
        self.is_freed(client)

    def test_one_that_waits_and_has_closed_its_half(self):
        client = self.get()
        self.accept_request()
        client.half_close()
        self.is_freed(client)

    def test_one_that_uploads_to_an_app_that_does_not_read(self):
        client = self.ask("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 1000000000\r\n\r\n")
        self.accept_request()
        client.sock.settimeout(0.2)
        with self.assertRaises(OSError):
            while True:
                client.sock.send(b"x" * 65536)
        self.is_freed(client)


class EmptyPosts(mesh.MeshTest):
    def test_a_post_without_content_from_http2_says_so_to_an_http1_app(self):
        self.start()
        for method in ("POST", "PUT", "PATCH", "GET", "DELETE"):
            with self.subTest(method):
                client = Http2Client(self.port)
                client.request("/", method=method)
                app, head = self.accept_request()
                self.assertEqual(head.all("content-length"), ["0"] if method.startswith("P") else [])
                app.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                self.assertEqual(client.response_status(), "200")
                client.close()
                app.close()

    def test_a_post_of_an_http1_client_without_a_length_stays_without(self):
        self.start()
        client = self.ask("POST / HTTP/1.1\r\nHost: shop\r\n\r\n")
        app, head = self.accept_request()
        self.assertEqual(head.all("content-length") + head.all("transfer-encoding"), [])
        app.send(EMPTY)
        self.assertEqual(client.head().status, 200)


class EmptyPostsAtTwo(mesh.AtTwo, EmptyPosts):
    pass


class Retries(mesh.MeshTest):
    def test_an_app_that_resets_while_its_request_is_still_written_is_not_asked_again(self):
        """The write eats the error that the reset left, and the read then looks like a clean end of stream."""
        self.start()
        for i in range(700):
            client = self.client()
            client.send("POST /first HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n")
            app, _ = self.accept_request()
            app.send(EMPTY)
            client.head()
            client.send("POST /second HTTP/1.1\r\nHost: shop\r\nContent-Length: 100000\r\n\r\n")

            def upload():
                try:
                    for _ in range(150):
                        client.sock.send(b"x")
                except OSError:
                    pass

            uploader = threading.Thread(target=upload)
            uploader.start()
            self.assertNotEqual(app.sock.recv(20), b"")  # it has begun
            app.close()
            uploader.join()
            ready, _, _ = select.select([self.app.sock, client.sock], [], [], mesh.WAIT)
            self.assertNotIn(self.app.sock, ready, "the POST came a second time, in round %d" % i)
            client.close()


class Endings(mesh.MeshTest):
    def test_an_answer_that_breaks_off_does_not_look_complete_to_an_http10_client(self):
        self.start()
        client = self.ask("GET / HTTP/1.0\r\nHost: shop\r\n\r\n")
        app, _ = self.accept_request()
        app.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        client.head()
        self.assertEqual(client.exactly(5), b"hello")
        app.close()
        with self.assertRaises(ConnectionResetError):
            client.rest()

    def test_a_late_head_is_answered_as_itself_and_not_as_the_request_before_it(self):
        self.start(out={"hcm": {"request_headers_timeout": "0.1s"}})
        client = self.ask("HEAD /first HTTP/1.1\r\nHost: shop\r\n\r\n")
        app, _ = self.accept_request()
        app.send(EMPTY)
        client.head()
        client.send("\r\nG")
        head = client.head()
        self.assertEqual(head.status, 408)
        self.assertEqual(len(client.rest()), int(head.get("content-length")))  # a HEAD would get none

    @unittest.skipIf(mesh.sanitized(), "measures what sanitizers change")
    def test_informational_answers_do_not_pile_up_before_a_client_that_does_not_read(self):
        self.start()
        client = self.get()
        app, _ = self.accept_request()
        before = self.made[0].resident_bytes()
        early = "HTTP/1.1 103 Early Hints\r\nLink: <%s>\r\n\r\n" % ("x" * 1000)
        batch = early * 64
        for _ in range(1000):  # 64 MiB
            app.send(batch)
        self.assertLess(self.made[0].resident_bytes() - before, 24 * 1024 * 1024)
        app.send(OK)
        while client.head().status == 103:
            pass
        self.assertEqual(client.exactly(2), b"hi")


class Logging(mesh.MeshTest):
    def start_with_log(self, **options):
        self.log = os.path.join(os.environ.get("TEST_TMPDIR", "/tmp"), "access-%d.log" % id(self))
        hcm = {"access_log": [{"name": "envoy.access_loggers.file", "typed_config": mesh.typed(
            "envoy.extensions.access_loggers.file.v3.FileAccessLog", path=self.log)}], **options.pop("hcm", {})}
        self.start(out={"hcm": hcm, **options.pop("out", {})}, **options)

    def lines(self):
        try:
            with open(self.log) as file:
                return [json.loads(line) for line in file]
        except FileNotFoundError:
            return []


class Http2Clients(Logging):
    def test_a_client_that_cancels_without_an_error_code_frees_its_exchange(self):
        self.start_with_log()
        client = Http2Client(self.port)
        stream = client.request("/")
        app, _ = self.accept_request()
        client.h2.reset_stream(stream, 0)  # NO_ERROR
        client.flush()
        self.assertTrue(app.closed())  # the app's request is given up, not held until a time-out
        mesh.wait_until(lambda: self.lines(), "the request ends")
        self.assertEqual(self.lines()[0]["response_flags"], "DC")
        client.close()

    def test_what_a_slow_client_has_not_taken_yet_survives_the_last_goaway(self):
        self.start(out={"hcm": {"drain_timeout": "0.1s"}})
        client = Http2Client(self.port, {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
        client.request("/")
        app, _ = self.accept_request()
        app.send(OK)
        self.assertEqual(client.response_status(), "200")
        for sidecar in self.made:
            sidecar.terminate()
        data = b""
        goaways = 0
        while goaways < 2:  # the notice, and the last one
            more = client.sock.recv(65536)
            self.assertNotEqual(more, b"", "the connection ended before the answer was taken")
            data += more
            goaways = 0
            rest = data
            while len(rest) >= 9:
                goaways += rest[3] == GOAWAY
                rest = rest[9 + int.from_bytes(rest[:3], "big"):]
        client.sock.sendall(frame(WINDOW_UPDATE, 0, 1, (100).to_bytes(4, "big")))
        data = b""
        while b"hi" not in data:
            more = client.sock.recv(65536)
            self.assertNotEqual(more, b"", "the connection ended before the answer was taken")
            data += more
        client.close()


class Logged(Logging):
    def test_what_the_drain_cuts_off_is_in_the_log(self):
        self.start_with_log()
        client = self.get(path="/cut-off")
        self.accept_request()
        self.made[0].terminate()
        mesh.wait_until(lambda: not mesh.listens(self.port), "the listener closes")
        self.made[0].terminate()
        self.assertEqual(self.made[0].wait(), 0)
        self.assertEqual([line["path"] for line in self.lines()], ["/cut-off"])
        client.close()

    def test_an_attempt_that_the_routes_timeout_ends_is_in_the_log(self):
        self.start_with_log(out={"route": {"timeout": "0.1s"}})
        client = self.get()
        self.accept_request()
        self.assertEqual(client.head().status, 504)
        mesh.wait_until(lambda: self.lines(), "the request is logged")
        line = self.lines()[0]
        self.assertEqual((line["response_flags"], line["attempts"]), ("UT", 1))
        self.assertNotEqual(line["upstream_host"], "")


    def test_the_bytes_of_an_answer_made_here_are_counted(self):
        self.start_with_log(addresses=[(mesh.HOST, mesh.free_port())])
        client = self.get()
        head = client.head()
        self.assertEqual(head.status, 503)
        mesh.wait_until(lambda: self.lines(), "the request is logged")
        self.assertEqual(self.lines()[0]["bytes_sent"], int(head.get("content-length")))


class Upgrades(mesh.MeshTest):
    def asks(self, *fields):
        return self.ask("GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\n%s\r\n" %
                        "".join("Upgrade: %s\r\n" % one for one in fields))

    def test_h2c_goes_no_further_wherever_it_stands(self):
        self.start()
        for fields, passed in ((("h2c",), []), (("websocket, h2c",), ["websocket"]), (("H2C, chat",), ["chat"]),
                               (("websocket", "h2c"), ["websocket"])):
            with self.subTest(fields=fields):
                client = self.asks(*fields)
                app, head = self.accept_request()
                self.assertEqual(head.all("upgrade"), passed)
                app.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                self.assertEqual(client.head().status, 200)
                app.close()

    def test_the_client_is_told_the_protocol_that_the_app_chose(self):
        self.start()
        client = self.asks("chat/2, chat/1")
        app, head = self.accept_request()
        self.assertEqual(head.all("upgrade"), ["chat/2, chat/1"])
        app.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat/1\r\n\r\nhello")
        head = client.head()
        self.assertEqual((head.status, head.all("upgrade")), (101, ["chat/1"]))
        self.assertEqual(client.exactly(5), b"hello")


class UpgradesAtTwo(mesh.AtTwo, Upgrades):
    pass


class Memory(mesh.MeshTest):
    @unittest.skipIf(mesh.sanitized(), "measures what sanitizers change")
    def test_idle_connections_do_not_keep_the_memory_of_their_last_head(self):
        self.start()
        app = None

        def one(size):
            nonlocal app
            client = self.get(fields="X-Large: %s\r\n" % ("x" * size))
            app, _ = self.accept_request(app)
            app.send(EMPTY)
            client.head()

        for _ in range(50):
            one(50_000)
        before = self.made[0].resident_bytes()
        for _ in range(400):
            one(50_000)
        self.assertLess((self.made[0].resident_bytes() - before) / 400, 20_000)


class Http2Apps(mesh.MeshTest):
    def test_a_complete_answer_is_delivered_whatever_reset_follows_it(self):
        self.start(http2_app=True)
        client = self.ask("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 1000\r\n\r\nabc")
        app = Http2App(self.app.accept())
        stream = app.request()
        # :status 200 by the static table; an answer before the request's end, then "I want no more of it".
        app.conversation.send(frame(HEADERS, 4, stream, b"\x88") + frame(DATA, 1, stream, b"hi") +
                              frame(RST_STREAM, 0, stream, (8).to_bytes(4, "big")))
        self.assertEqual(client.head().status, 200)
        self.assertIn(b"hi", client.rest_or_reset())


    def runs_once(self, *behind_the_request):
        """An app that answers a POST, or begins to, and then says that it did not take it."""
        self.start(http2_app=True)
        client = self.ask("POST /pay HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\nhi")
        app = Http2App(self.app.accept())
        stream = app.request()
        for bytes_ in behind_the_request:
            app.conversation.send(bytes_(stream))
            self.assertTrue(self.quiet(app), "the POST came again")
        answer = client.head()
        self.assertIn((client.head() if answer.status == 103 else answer).status, (502, 503))
        self.assertTrue(self.quiet(app), "the POST came again")
        self.assertFalse(select.select([self.app.sock], [], [], 0.2)[0], "the POST came again, on another connection")

    @staticmethod
    def quiet(app):
        """No request comes for a while."""
        while select.select([app.conversation.sock], [], [], 0.2)[0]:
            try:
                if app.next_frame()[0] == HEADERS:
                    return False
            except (AssertionError, OSError):
                return True  # the connection ended
        return True

    ANSWER = staticmethod(lambda stream: frame(HEADERS, 4, stream, b"\x88") + frame(DATA, 0, stream, b"receipt"))
    REFUSE = staticmethod(lambda stream: frame(RST_STREAM, 0, stream, (7).to_bytes(4, "big")))

    def test_one_that_has_answered_cannot_refuse(self):
        self.runs_once(lambda stream: self.ANSWER(stream) + self.REFUSE(stream))

    def test_one_that_has_hinted_cannot_refuse(self):
        self.runs_once(lambda stream: frame(HEADERS, 4, stream, b"\x08\x03103"), self.REFUSE)

    def test_one_that_has_answered_cannot_leave_it_out_of_its_goaway(self):
        self.runs_once(lambda stream: self.ANSWER(stream) + frame(GOAWAY, 0, 0, bytes(8)))


class ResetCodes(mesh.MeshTest):
    """What an HTTP/2 app says when it gives a stream up is told to an HTTP/2 client, in the app's words where they are true."""

    # What the app says -> what a client hears before the answer's head, and behind it.
    TOLD = {1: (1, 1), 2: (2, 2), 5: (5, 5), 8: (8, 8), 11: (11, 11), 13: (13, 13),
            0: (None, 2), 7: (None, 2), 99: (None, 2)}

    def setUp(self):
        super().setUp()
        self.start(http2_app=True)
        self.app_side = None

    def give_up(self, code, answered=None):
        """`answered`: waits until the client has the head of an answer."""
        if self.app_side is None:
            self.app_side = Http2App(self.app.accept())
        stream = self.app_side.request()
        if answered:
            self.app_side.conversation.send(frame(HEADERS, 4, stream, b"\x88"))
            answered()
        self.app_side.conversation.send(frame(RST_STREAM, 0, stream, code.to_bytes(4, "big")))

    def heard(self, client, stream):
        """The code; None: an answer that says that there is none."""
        while True:
            event = client.next_event(lambda e: getattr(e, "stream_id", None) == stream)
            if isinstance(event, h2.events.StreamReset):
                return int(event.error_code)
            if isinstance(event, h2.events.ResponseReceived) and dict(event.headers)[":status"] != "200":
                self.assertIn(dict(event.headers)[":status"], ("502", "503"))
                return None

    def test_to_an_http2_client(self):
        client = Http2Client(self.port)
        self.addCleanup(client.close)
        for answered in (False, True):
            for code, told in self.TOLD.items():
                if code == 7 and not answered:
                    continue  # tried again: test_a_refused_stream_is_tried_again
                with self.subTest(code=code, answered=answered):
                    stream = client.request("/", [])
                    head = lambda e: isinstance(e, h2.events.ResponseReceived) and e.stream_id == stream
                    self.give_up(code, (lambda: client.next_event(head)) if answered else None)
                    self.assertEqual(self.heard(client, stream), told[answered])

    def test_a_refused_stream_is_tried_again(self):
        client = Http2Client(self.port)
        self.addCleanup(client.close)
        stream = client.request("/", [])
        for _ in range(3):
            self.give_up(7)
        self.assertIsNone(self.heard(client, stream))

    def test_to_an_http1_client(self):
        client = self.get()
        self.give_up(11)
        self.assertEqual(client.head().status, 502)
        client = self.get()
        self.give_up(11, lambda: self.assertEqual(client.head().status, 200))
        with self.assertRaises(AssertionError):  # no last chunk
            client.chunks()

    def test_a_client_that_gives_up_cancels(self):
        client = Http2Client(self.port)
        self.addCleanup(client.close)
        stream = client.request("/", [])
        self.app_side = Http2App(self.app.accept())
        there = self.app_side.request()
        client.h2.reset_stream(stream, error_code=11)
        client.flush()
        while True:
            kind, _, where, payload = self.app_side.next_frame()
            if kind == RST_STREAM:
                break
        self.assertEqual((where, int.from_bytes(payload, "big")), (there, 8))


class ResetCodesAtTwo(mesh.AtTwo, ResetCodes):
    pass


class ResetsAcrossVersions(mesh.MeshTest):
    """HTTP/1 has no codes: what its end means is told in HTTP/2's, and what HTTP/2's codes mean by its end."""

    POST = "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"

    def reset_of(self, app, stream):
        while True:
            kind, _, where, payload = app.next_frame()
            if kind == RST_STREAM and where == stream:
                return int.from_bytes(payload, "big")

    # What an HTTP/1 client does. The HTTP/2 app is told CANCEL: it is the request that is given up, and none of its own doing.
    CLIENT = [
        ("resets while it waits", "GET / HTTP/1.1\r\nHost: shop\r\n\r\n", lambda client: client.reset()),
        ("closes while it waits", "GET / HTTP/1.1\r\nHost: shop\r\n\r\n", lambda client: client.close()),
        ("resets in its upload", POST, lambda client: client.reset()),
        ("closes in its upload", POST, lambda client: client.close()),
        ("sends a bad chunk", POST, lambda client: client.send("zz\r\n")),
        ("is silent in its upload", POST, lambda client: None)]

    def test_from_an_http1_client_to_an_http2_app(self):
        self.start(http2_app=True, out={"hcm": {"stream_idle_timeout": "1s"}})
        app = None
        for answered in (False, True):
            for name, request, leave in self.CLIENT:
                with self.subTest(name, answered=answered):
                    client = self.ask(request)
                    app = app or Http2App(self.app.accept())
                    stream = app.request()
                    if answered:
                        app.conversation.send(frame(HEADERS, 4, stream, b"\x88"))
                        self.assertEqual(client.head().status, 200)
                    leave(client)
                    self.assertEqual(self.reset_of(app, stream), 8)

    HALF = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
    CHUNKS = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"

    # What an HTTP/1 app does -> what the HTTP/2 client hears; None: 502 or 504.
    APP = [
        ("resets before its answer", "", lambda app: app.reset(), None),
        ("closes before its answer", "", lambda app: app.close(), None),
        ("closes in its head", "HTTP/1.1 200 OK\r\nConte", lambda app: app.close(), None),
        ("answers nonsense", "", lambda app: app.send("nonsense\r\n\r\n"), None),
        ("is silent", "", lambda app: None, None),
        ("resets in its answer", HALF, lambda app: app.reset(), 2),
        ("closes in its answer", HALF, lambda app: app.close(), 2),
        ("closes between chunks", CHUNKS, lambda app: app.close(), 2),
        ("sends a bad chunk", CHUNKS, lambda app: app.send("zz\r\n"), 2),
        ("is silent in its answer", HALF, lambda app: None, 8)]

    def test_from_an_http1_app_to_an_http2_client(self):
        self.start(out={"hcm": {"stream_idle_timeout": "1s"}})
        client = Http2Client(self.port)
        self.addCleanup(client.close)
        for name, begins, leave, code in self.APP:
            with self.subTest(name):
                stream = client.request("/")
                app, _ = self.accept_request()
                app.send(begins)
                head = lambda e: isinstance(e, h2.events.ResponseReceived) and e.stream_id == stream
                if code is not None:
                    client.next_event(head)
                leave(app)
                if code is None:
                    self.assertIn(dict(client.next_event(head).headers)[":status"], ("502", "504"))
                    client.next_event(lambda e: isinstance(e, h2.events.StreamEnded) and e.stream_id == stream)
                else:
                    ended = (h2.events.StreamReset, h2.events.StreamEnded)
                    event = client.next_event(lambda e: isinstance(e, ended) and e.stream_id == stream)
                    self.assertIsInstance(event, h2.events.StreamReset)
                    self.assertEqual(int(event.error_code), code)

    def test_from_an_http2_client_to_an_http1_app(self):
        """Whatever the code, its connection ends: nothing else would tell the app, which has to stop."""
        self.start()
        client = Http2Client(self.port)
        self.addCleanup(client.close)
        for answered in (False, True):
            for code in (0, 1, 2, 5, 7, 8, 11, 13, 99):
                with self.subTest(code=code, answered=answered):
                    stream = client.request("/", method="POST", end=False)
                    app, _ = self.accept_request()
                    if answered:
                        app.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
                        client.next_event(lambda e: isinstance(e, h2.events.DataReceived) and e.stream_id == stream)
                    client.h2.reset_stream(stream, error_code=code)
                    client.flush()
                    self.assertNotIn(b"0\r\n\r\n", app.rest_or_reset(), "half an upload is no whole one")


class ResetsAcrossVersionsAtTwo(mesh.AtTwo, ResetsAcrossVersions):
    pass


class Peers(mesh.MeshTest):
    sidecars = 2

    def test_as_many_fields_pass_as_at_one_sidecar(self):
        self.start()
        client = self.get(fields="".join(f"f{i}: 1\r\n" for i in range(99)))  # and Host
        app, head = self.accept_request()
        self.assertGreaterEqual(len(head.fields), 100)
        app.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + "".join(f"g{i}: 1\r\n" for i in range(99)) + "\r\n")
        answer = client.head()
        self.assertEqual(answer.status, 200)
        self.assertEqual(len([name for name, _ in answer.fields if name.startswith("g")]), 99)

    def test_a_peer_cannot_make_chunked_content_of_an_http10_request(self):
        """An HTTP/1.0 app does not know chunked coding: it would take the chunks for its next requests."""
        self.start()
        client = Http2Client(self.made[1].ports[0])
        stream = client.request("/", [("pillion-h1", "1.0;l")], end=False, method="POST")
        client.h2.send_data(stream, b"GET /smuggled HTTP/1.0\r\n\r\n", end_stream=True)
        client.flush()
        _, head = self.accept_request()
        self.assertFalse(head.first.endswith("HTTP/1.0") and head.all("transfer-encoding"), head.text)
        client.close()

    def test_a_peer_cannot_leave_the_authority_of_an_absolute_target_empty(self):
        self.start()
        client = Http2Client(self.made[1].ports[0])
        client.request("/other.example/", [("pillion-h1", "1.1;l;abs;nohost")])
        _, head = self.accept_request()
        self.assertEqual(head.first, "GET /other.example/ HTTP/1.1")
        self.assertEqual(head.all("host"), ["shop"])
        client.close()


class Descriptors(mesh.MeshTest):
    @unittest.skipIf(mesh.sanitized(), "measures what sanitizers change")
    def test_a_sidecar_without_descriptors_sheds_clients_and_does_not_spin(self):
        self.start()
        process = self.made[0].process
        held = self.made[0].descriptors()
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (held + 8, held + 8))
        crowd = [mesh.Conversation(socket.create_connection((mesh.HOST, self.port))) for _ in range(40)]
        self.clients += crowd
        # Those for whom there is no room are told at once; nobody waits in vain.
        shed = 0
        for one in crowd[-20:]:
            shed += one.closed()
        self.assertEqual(shed, 20)
        for one in crowd:
            one.close()
        client = self.get()
        app, _ = self.accept_request()
        app.send(OK)
        self.assertEqual(client.head().status, 200)

    def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowered = min(soft, 256)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowered, hard))  # for the children
        try:
            self.start()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertEqual(resource.prlimit(self.made[0].process.pid, resource.RLIMIT_NOFILE), (hard, hard))


if __name__ == "__main__":
    unittest.main()
