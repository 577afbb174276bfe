"""Tunnels: WebSocket and the like over HTTP/2 (RFC 8441) as client, as server and between sidecars; CONNECT by policy;
what policy refuses."""

import base64
import hashlib
import socket
import time
import unittest

import h2.events

import mesh
from adversary_test import Http2App, frame, HEADERS, SETTINGS, DATA
from bad_input_test import Http2Client
from mesh import OK

KEY = base64.b64encode(b"0123456789abcdef").decode()
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


class Client(Http2Client):
    def __init__(self, port):
        super().__init__(port)
        self.next_event(lambda event: isinstance(event, h2.events.RemoteSettingsChanged))

    def takes_extended_connect(self):
        return self.h2.remote_settings.enable_connect_protocol == 1

    def open(self, protocol="websocket", path="/chat", fields=(), method="CONNECT", end=False):
        stream = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":authority", "shop")]
        if protocol:
            pseudo[1:1] = [(":protocol", protocol), (":scheme", "http"), (":path", path)]
        self.h2.send_headers(stream, pseudo + list(fields), end_stream=end)
        self.flush()
        return stream

    def response(self, stream):
        event = self.next_event(lambda e: isinstance(e, h2.events.ResponseReceived) and e.stream_id == stream)
        return dict(event.headers)

    def data(self, stream, count):
        got = b""
        while len(got) < count:
            event = self.next_event(lambda e: isinstance(e, h2.events.DataReceived) and e.stream_id == stream)
            got += event.data
        return got

    def ended(self, stream):
        return self.next_event(lambda e: isinstance(e, h2.events.StreamEnded) and e.stream_id == stream)

    def send(self, stream, data, end=False):
        self.h2.send_data(stream, data, end_stream=end)
        self.flush()


class ExtendedConnect(mesh.MeshTest):
    """A client that speaks HTTP/2 to its sidecar; the app speaks HTTP/1.1."""

    def begin(self, **more):
        self.start(**more)
        client = Client(self.port)
        self.addCleanup(client.close)
        self.assertTrue(client.takes_extended_connect())
        return client

    def test_it_becomes_an_upgrade_and_the_bytes_go_both_ways(self):
        client = self.begin()
        stream = client.open(fields=[("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat")])
        app, head = self.accept_request()
        self.assertEqual(head.first, "GET /chat HTTP/1.1")
        self.assertEqual(head.all("upgrade"), ["websocket"])
        self.assertEqual([v.lower() for v in head.all("connection")], ["upgrade"])
        self.assertEqual(head.all("host"), ["shop"])
        self.assertEqual(head.all("sec-websocket-protocol"), ["chat"])
        self.assertEqual(head.all("content-length") + head.all("transfer-encoding"), [])
        key = head.get("sec-websocket-key")
        self.assertEqual(len(base64.b64decode(key)), 16)
        app.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: chat\r\n\r\nhello" % accept_of(key))
        response = client.response(stream)
        self.assertEqual(response[":status"], "200")
        self.assertEqual(response["sec-websocket-protocol"], "chat")
        for name in ("connection", "upgrade", "sec-websocket-accept", "transfer-encoding"):
            self.assertNotIn(name, response)
        self.assertEqual(client.data(stream, 5), b"hello")
        client.send(stream, b"hi there")
        self.assertEqual(app.exactly(8), b"hi there")
        client.send(stream, b"bye", end=True)
        self.assertEqual(app.rest(), b"bye")
        app.send(b"good bye")
        app.close()
        self.assertEqual(client.data(stream, 8), b"good bye")
        client.ended(stream)

    def test_bytes_before_the_answer_wait_for_it(self):
        client = self.begin()
        stream = client.open()
        client.send(stream, b"early")
        app, _ = self.accept_request()
        self.assertTrue(app.silent(0.2), "bytes of a tunnel that the app has not granted")
        app.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        self.assertEqual(app.exactly(5), b"early")
        self.assertEqual(client.response(stream)[":status"], "200")

    def test_a_refusal_is_an_answer_and_the_connection_goes_on(self):
        client = self.begin()
        stream = client.open()
        app, _ = self.accept_request()
        app.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        self.assertEqual(client.response(stream)[":status"], "403")
        self.assertEqual(client.data(stream, 2), b"no")
        client.ended(stream)
        other = client.request("/")
        self.accept_request(app)
        app.send(OK)
        self.assertEqual(client.response_status(other), "200")

    def test_an_app_that_does_not_switch_grants_nothing(self):
        client = self.begin()
        stream = client.open()
        app, _ = self.accept_request()
        app.send(OK)
        self.assertEqual(client.response(stream)[":status"], "502")

    def test_a_client_that_resets_ends_the_app(self):
        client = self.begin()
        stream = client.open()
        app, _ = self.accept_request()
        app.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        client.response(stream)
        client.h2.reset_stream(stream)
        client.flush()
        app.rest_or_reset()

    def test_malformed_protocols_reset_their_stream_alone(self):
        client = self.begin()
        for protocol in ("web socket", "a,b", "a/", "/1"):
            stream = client.open(protocol)
            client.next_event(lambda e: isinstance(e, h2.events.StreamReset) and e.stream_id == stream)
        stream = client.request("/")
        app, _ = self.accept_request()
        app.send(OK)
        self.assertEqual(client.response_status(stream), "200")

    def test_what_is_not_allowed_is_403(self):
        client = self.begin(out={"pass_upgrades": False, "hcm": {"upgrade_configs": [{"upgrade_type": "websocket"}]}})
        self.assertEqual(client.response(client.open("chat"))[":status"], "403")
        stream = client.open("WebSocket")
        app, _ = self.accept_request()
        app.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(client.response(stream)[":status"], "404")

    def test_h2c_is_never_carried(self):
        client = self.begin()
        self.assertEqual(client.response(client.open("h2c"))[":status"], "403")


class ExtendedConnectAtTwo(mesh.AtTwo, ExtendedConnect):
    """Both legs before the app are HTTP/2."""

    def test_an_app_that_does_not_switch_grants_nothing(self):
        super().test_an_app_that_does_not_switch_grants_nothing()


class BetweenSidecars(mesh.AtTwo, mesh.MeshTest):
    """HTTP/1.1 -> HTTP/2 -> HTTP/1.1."""

    UPGRADE = ("GET /chat HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               "Sec-WebSocket-Key: %s\r\n\r\n" % KEY)

    def test_an_upgrade_travels_on_the_shared_connection(self):
        self.start()
        app_of = {}
        first = self.get()
        app, _ = self.accept_request()
        app.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        app.close()
        self.assertEqual(first.head().status, 200)
        before = self.made[1].descriptors()
        clients = [self.ask(self.UPGRADE) for _ in range(10)]
        for _ in clients:
            app = self.app.accept()
            head = app.head()
            self.assertEqual(head.get("sec-websocket-key"), KEY)
            app.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                     "Sec-WebSocket-Accept: %s\r\n\r\n" % accept_of(KEY))
            app_of[app] = head
        for client in clients:
            head = client.head()
            self.assertEqual(head.status, 101)
            self.assertEqual(head.get("sec-websocket-accept"), accept_of(KEY))
        # The far sidecar has ten connections to the app and no more from its neighbour.
        self.assertLessEqual(self.made[1].descriptors() - before, 10)

    def check_time_out_after_the_app_has_ended(self, **hcm):
        self.start(out={"hcm": hcm})
        client = self.ask(self.UPGRADE)
        app, _ = self.accept_request()
        app.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Accept: %s\r\n\r\nhello" % accept_of(KEY))
        self.assertEqual(client.head().status, 101)
        self.assertEqual(client.exactly(5), b"hello")
        app.half_close()
        self.assertTrue(app.closed())
        with self.assertRaises(OSError):  # the client is not left talking to nobody
            for _ in range(200):
                client.send("still there?")
                time.sleep(0.01)

    def test_silence_ends_a_tunnel_also_after_the_app_has(self):
        self.check_time_out_after_the_app_has_ended(stream_idle_timeout="0.3s")

    def test_the_longest_life_ends_a_tunnel_also_after_the_app_has(self):
        self.check_time_out_after_the_app_has_ended(common_http_protocol_options={"max_stream_duration": "0.3s"})

    def test_an_app_that_ignores_the_upgrade_answers_as_ever(self):
        self.start()
        client = self.ask(self.UPGRADE)
        app, _ = self.accept_request()
        app.send("HTTP/1.1 200 Fine\r\nX-Own: 1\r\nContent-Length: 2\r\n\r\nhi")
        head = client.head()
        self.assertEqual(head.first, "HTTP/1.1 200 Fine")
        self.assertEqual(head.get("x-own"), "1")
        self.assertEqual(client.exactly(2), b"hi")
        self.get(client)
        self.accept_request(app)
        app.send(OK)
        self.assertEqual(client.head().status, 200)

    def test_a_post_that_asks_for_an_upgrade_keeps_its_body(self):
        self.start()
        client = self.ask("POST /x HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: chat\r\n"
                          "Content-Length: 4\r\n\r\nbody")
        app, head = self.accept_request()
        self.assertEqual(head.all("upgrade"), ["chat"])
        self.assertEqual(app.exactly(4), b"body")
        app.send(OK)
        self.assertEqual(client.head().status, 200)


class OpenTunnels(mesh.MeshTest):
    """Both ends are there and neither has ended."""

    UPGRADE = BetweenSidecars.UPGRADE

    def opened(self):
        client = self.ask(self.UPGRADE)
        app, _ = self.accept_request()
        app.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Accept: %s\r\n\r\n" % accept_of(KEY))
        self.assertEqual(client.head().status, 101)
        return client, app

    def test_silence_ends_a_tunnel(self):
        self.start(out={"hcm": {"stream_idle_timeout": "1s"}})
        client, app = self.opened()
        client.send("ping")
        self.assertEqual(app.exactly(4), b"ping")
        app.send("pong")
        self.assertEqual(client.exactly(4), b"pong")
        self.assertTrue(client.closed())
        self.assertTrue(app.closed())

    def test_a_tunnel_that_is_not_silent_goes_on(self):
        """Whoever speaks: bytes of one side are enough."""
        self.start(out={"hcm": {"stream_idle_timeout": "2s"}})
        for speaks in (0, 1):
            ends = self.opened()
            for _ in range(25):
                ends[speaks].send("x")
                self.assertEqual(ends[1 - speaks].exactly(1), b"x")
                time.sleep(0.1)


class OpenTunnelsAtTwo(mesh.AtTwo, OpenTunnels):
    pass


class Counted(mesh.MeshTest):
    def series(self, name, labels=""):
        where = 'listener="outbound",route="all/0",cluster="app"'
        return self.made[0].metrics().get("pillion_%s{%s%s}" % (name, where, labels), 0)

    def check(self, route, request, code, grant):
        """From the first byte to the last: who is under way, the code, and the bytes within the tunnel."""
        self.port = mesh.free_port()
        self.made = [mesh.Sidecar([mesh.listener("outbound", self.port, "app", **route)],
                                  [mesh.cluster("app", [self.app.address])], admin=True)]
        client = self.ask(request)
        app = self.app.accept()
        grant(app)
        self.assertEqual(client.head().status, code)
        client.send(b"x" * 500)
        self.assertEqual(app.exactly(500), b"x" * 500)
        app.send(b"y" * 1000)
        self.assertEqual(client.exactly(1000), b"y" * 1000)
        self.assertEqual((self.series("requests_active"), self.series("requests_total", ',code="%d"' % code)), (1, 0))
        client.half_close()
        self.assertEqual(app.rest(), b"")
        app.close()
        self.assertEqual(client.rest(), b"")
        mesh.wait_until(lambda: self.series("requests_active") == 0, "it is over")
        self.assertEqual([self.series("requests_total", ',code="%d"' % code), self.series("request_bytes_total"),
                          self.series("response_bytes_total")], [1, 500, 1000])

    def test_an_upgrade(self):
        def grant(app):
            app.head()
            app.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        self.check({}, BetweenSidecars.UPGRADE, 101, grant)

    def test_a_connect(self):
        action = {"cluster": "app", "timeout": "0s", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}
        self.check({"routes": [{"match": {"connect_matcher": {}}, "route": action}]},
                   "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n", 200, lambda app: None)


class UpgradePolicy(mesh.MeshTest):
    """`upgrade_configs` of the route count before those of the listener, and these before the filter that passes all."""

    # (the listener says, the route says, others pass, what holds)
    CASES = [(None, None, False, False), (True, None, False, True), (False, None, False, False), (None, True, False, True),
             (None, False, False, False), (True, False, False, False), (False, True, False, True), (True, True, False, True),
             (False, False, False, False), (None, None, True, True), (False, None, True, False), (None, False, True, False),
             (False, True, True, True), (True, False, True, False)]

    def check(self, ask, kinds):
        """`ask(kind, allowed)`: one request for that upgrade is answered, and by the app if it is allowed."""
        for manager, route, others, allowed in self.CASES:
            with self.subTest(manager=manager, route=route, others=others):
                def configs(enabled):
                    return {} if enabled is None else {"upgrade_configs": [{"upgrade_type": "WebSocket", "enabled": enabled}]}
                mesh.stop_all(self, self.made)
                self.start(out={"pass_upgrades": others, "hcm": configs(manager), "route": configs(route)})
                for kind in kinds:
                    ask(kind, all({"websocket": allowed, "chat": others}[one] for one in kind.split(", ")))
        self.assertTrue(self.app.no_connection())

    def app_answers(self):
        app, _ = self.accept_request()
        app.send("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        app.close()

    def over_http1(self, kind, allowed):
        client = self.ask("GET /chat HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n" % kind)
        if allowed:
            self.app_answers()
        self.assertEqual(client.head().status, 404 if allowed else 403)
        client.close()

    def over_http2(self, kind, allowed):
        client = Client(self.port)
        stream = client.open(kind)
        if allowed:
            self.app_answers()
        self.assertEqual(client.response(stream)[":status"], "404" if allowed else "403")
        client.close()

    def test_of_http1_clients(self):
        self.check(self.over_http1, ["websocket", "chat", "websocket, chat"])

    def test_of_http2_clients(self):
        self.check(self.over_http2, ["websocket", "chat"])


class ToHttp2Apps(mesh.MeshTest):
    """The client speaks HTTP/1.1, the app HTTP/2."""

    UPGRADE = BetweenSidecars.UPGRADE

    def test_an_app_that_takes_it_gets_an_extended_connect(self):
        self.start(http2_app=True)
        client = self.ask(self.UPGRADE)
        conversation = self.app.accept()
        conversation.exactly(24)
        app = Http2App.__new__(Http2App)
        app.conversation = conversation
        kind, _, _, _ = app.next_frame()
        self.assertEqual(kind, SETTINGS)
        self.assertEqual(app.next_frame()[0], 8)
        self.assertTrue(conversation.silent(0.2), "it must wait for the settings")
        conversation.send(frame(SETTINGS, 0, 0, b"\x00\x08" + (1).to_bytes(4, "big")))
        stream = app.request()
        conversation.send(frame(HEADERS, 4, stream, b"\x88"))  # :status 200
        head = client.head()
        self.assertEqual(head.status, 101)
        self.assertEqual(head.all("upgrade"), ["websocket"])
        self.assertEqual(head.get("sec-websocket-accept"), accept_of(KEY), "the app has no key to accept")
        client.send(b"ping")
        while True:
            kind, _, _, payload = app.next_frame()
            if kind == DATA:
                break
        self.assertEqual(payload, b"ping")
        conversation.send(frame(DATA, 1, stream, b"pong"))
        self.assertEqual(client.rest(), b"pong")

    def test_an_app_that_does_not_take_it_is_not_asked(self):
        self.start(http2_app=True)
        client = self.ask(self.UPGRADE)
        Http2App(self.app.accept())
        self.assertEqual(client.head().status, 502)


class Connect(mesh.MeshTest):
    def policy(self, cluster, ends):
        """Routes that allow CONNECT to that cluster; `ends`: what goes on are the bytes within."""
        config = {"upgrade_type": "CONNECT"}
        if ends:
            config["connect_config"] = {}
        action = {"cluster": cluster, "timeout": "0s", "upgrade_configs": [config]}
        return {"routes": [{"match": {"connect_matcher": {}}, "route": action},
                           {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}}]}

    def begin(self, ends=True, **more):
        """CONNECT is allowed wherever it comes by; `ends`: at the last sidecar."""
        if self.sidecars == 1:
            self.start(out=self.policy("app", ends), **more)
        else:
            self.start(out=self.policy("next", False), inbound=self.policy("app", ends), **more)

    def test_without_policy_there_is_none(self):
        self.start()
        client = self.ask("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n")
        self.assertEqual(client.head().status, 405)

    def test_a_route_that_does_not_allow_it_refuses_it(self):
        routes = self.policy("app" if self.sidecars == 1 else "next", True)
        del routes["routes"][0]["route"]["upgrade_configs"]
        self.start(out=routes)
        client = self.ask("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n")
        self.assertEqual(client.head().status, 403)

    def test_it_ends_here_and_the_server_may_speak_first(self):
        self.begin()
        client = self.ask("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\nearly")
        server = self.app.accept()
        server.send(b"server first")
        head = client.head()
        self.assertEqual(head.status, 200)
        self.assertEqual(head.all("content-length") + head.all("transfer-encoding"), [])
        self.assertEqual(server.exactly(5), b"early")
        self.assertEqual(client.exactly(12), b"server first")
        client.send(b"done")
        client.half_close()
        self.assertEqual(server.rest(), b"done")
        server.send(b"too")
        server.close()
        self.assertEqual(client.rest(), b"too")

    def test_an_http2_client_may_too(self):
        self.begin()
        client = Client(self.port)
        self.addCleanup(client.close)
        stream = client.open(protocol=None, fields=())
        event = client.next_event(lambda e: getattr(e, "stream_id", 0) == stream)
        self.assertIsInstance(event, h2.events.StreamReset, "CONNECT needs a port")
        stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(stream, [(":method", "CONNECT"), (":authority", "db:5432")])
        client.flush()
        server = self.app.accept()
        self.assertEqual(client.response(stream)[":status"], "200")
        client.send(stream, b"select", end=True)
        self.assertEqual(server.rest(), b"select")
        server.send(b"rows")
        server.close()
        self.assertEqual(client.data(stream, 4), b"rows")
        client.ended(stream)

    def test_what_a_client_says_at_once_arrives_also_when_it_ends_behind_it(self):
        self.begin()
        for size in (5, 30_000):
            client = self.ask(b"CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n" + b"x" * size)
            client.half_close()
            server = self.app.accept()
            self.assertEqual(len(server.rest()), size)
            server.close()

    def test_a_server_that_pauses_for_longer_than_a_connect_may_take_gets_all(self):
        """Its own end, and the client's, are told while the last bytes wait for it."""
        self.app.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.begin(app_cluster={"connect_timeout": "0.3s"})
        pairs = []
        for size in range(500_000, 4_000_000, 350_000):
            client = self.ask("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n")
            server = self.app.accept()
            client.head()
            server.half_close()
            client.send(b"x" * size)
            client.half_close()
            pairs.append((size, client, server))
        time.sleep(1)
        for size, client, server in pairs:
            self.assertEqual(len(server.rest()), size)

    def test_content_is_refused_before_anybody_hears_of_it(self):
        """RFC 9110 section 9.3.6: it has none; to who reads by that it would be a request of its own."""
        self.begin(ends=False)
        for framing, status in (("Content-Length: 30", 400), ("Transfer-Encoding: chunked", 501)):
            client = self.ask(f"CONNECT db:1 HTTP/1.1\r\nHost: db:1\r\n{framing}\r\n\r\nGET /secret HTTP/1.1\r\n")
            self.assertEqual(client.head().status, status)
        self.app.sock.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            self.app.accept()

    def test_a_pooled_connection_that_was_used_is_not_taken(self):
        self.begin()
        client = self.get()
        app, _ = self.accept_request()
        app.send(OK)
        self.assertEqual(client.head().status, 200)
        self.ask("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\nx")
        server = self.app.accept()
        self.assertEqual(server.exactly(1), b"x")

    def test_an_upstream_that_is_not_there_is_503(self):
        self.app.close()
        self.begin()
        client = self.ask("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n")
        self.assertEqual(client.head().status, 503)
        self.app = mesh.App()

    def test_it_may_go_on_as_a_connect(self):
        self.begin(ends=False)
        client = self.ask("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n")
        proxy, head = self.accept_request()
        self.assertEqual(head.first, "CONNECT db:5432 HTTP/1.1")
        proxy.send("HTTP/1.1 200 OK\r\n\r\nhello")
        self.assertEqual(client.head().status, 200)
        self.assertEqual(client.exactly(5), b"hello")
        client.send(b"ok")
        self.assertEqual(proxy.exactly(2), b"ok")

    def test_what_a_client_says_before_a_proxy_has_granted_it_waits(self):
        self.begin(ends=False)
        client = self.ask("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\nearly")
        proxy, _ = self.accept_request()
        self.assertTrue(proxy.silent(0.2))
        proxy.send("HTTP/1.1 200 OK\r\n\r\n")
        self.assertEqual(client.head().status, 200)
        self.assertEqual(proxy.exactly(5), b"early")

    def test_a_proxy_may_refuse_it(self):
        self.begin(ends=False)
        client = self.ask("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n")
        proxy, _ = self.accept_request()
        proxy.send("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\nwho")
        head = client.head()
        self.assertEqual(head.status, 407)
        self.assertEqual(client.exactly(3), b"who")


class ConnectAtTwo(mesh.AtTwo, Connect):
    """HTTP/1.1 or HTTP/2 -> HTTP/2 CONNECT -> TCP."""

    def test_the_second_sidecar_may_refuse_it(self):
        for inbound, status in (({}, 405), (self.policy("app", False), 403)):
            with self.subTest(status):
                if inbound:
                    del inbound["routes"][0]["route"]["upgrade_configs"]
                mesh.stop_all(self, self.made)
                self.start(out=self.policy("next", False), inbound=inbound)
                client = self.ask("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\nsecret")
                self.assertEqual(client.head().status, status)
                self.assertTrue(self.app.no_connection())


if __name__ == "__main__":
    unittest.main()
