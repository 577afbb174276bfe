"""What the policy of a listener makes of requests and answers: each field of the connection manager as the app and the client see
it, with an HTTP/1.1 and with an HTTP/2 client; and what holds where nothing is set."""

import json
import os
import tempfile
import unittest

import mesh
from http2_frames import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, Peer, block, frame,
                          get)
from mesh import OK

DIRECT = {"match": {"prefix": "/direct"}, "direct_response": {"status": 200, "body": {"inline_string": "ours"}}}


class Http1:
    """One who asks, and reads the heads of answers as (status, fields)."""
    def __init__(self, conversation):
        self.conversation = conversation

    def ask(self, path="/", fields=(), method="GET", content=False):
        if content:
            fields = [*fields, ("Content-Length", "4")]
        lines = "".join("%s: %s\r\n" % field for field in fields)
        self.conversation.send("%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n" % (method, path, lines))

    def content(self):
        self.conversation.send("body")

    def answer(self):
        head = self.conversation.head()
        return head.status, [(name.lower(), value) for name, value in head.fields]

    def says_nothing(self):
        return self.conversation.silent()


class Http2:
    def __init__(self, conversation):
        self.peer = Peer(conversation)
        self.stream = None

    def ask(self, path="/", fields=(), method="GET", content=False):
        """A head of any size, a frame at a time."""
        self.stream, self.peer.next_stream = self.peer.next_stream, self.peer.next_stream + 2
        whole = block(get(path, [(name.lower(), value) for name, value in fields], method))
        parts = [whole[at:at + 16384] for at in range(0, len(whole), 16384)]
        for i, part in enumerate(parts):
            flags = (END_STREAM if i == 0 and not content else 0) | (END_HEADERS if i + 1 == len(parts) else 0)
            self.peer.send(frame(CONTINUATION if i else HEADERS, flags, self.stream, part))

    def content(self):
        self.peer.send(frame(DATA, END_STREAM, self.stream, b"body"))

    def answer(self):
        one = self.peer.until(lambda f: f.stream == self.stream and f.kind in (HEADERS, RST_STREAM) or f.kind == GOAWAY)
        fields = self.peer.fields(one)
        return int(fields[0][1]), fields[1:]

    def says_nothing(self):
        """A PING comes back and no head before it."""
        seen = len(self.peer.seen)
        self.peer.send(frame(PING, 0, 0, b"whatelse"))
        self.peer.until(lambda f: f.kind == PING and f.flags & ACK)
        return all(one.kind != HEADERS for one in self.peer.seen[seen:])


def of(fields, name):
    return [value for key, value in fields if key == name]


class Policy(mesh.MeshTest):
    Asker = Http1

    def begin(self, out=None, **hcm):
        self.start(out={**(out or {}), "hcm": hcm})

    def asker(self):
        return self.Asker(self.client())

    def exchange(self, path="/", fields=(), answer=OK):
        """(the head at the app, the status and the fields at the client)"""
        asker = self.asker()
        asker.ask(path, fields)
        app, head = self.accept_request()
        app.send(answer.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
        app.close()
        return (head, *asker.answer())

    def refused(self, status, path="/", fields=()):
        asker = self.asker()
        asker.ask(path, fields)
        self.assertEqual(asker.answer()[0], status)
        self.assertTrue(self.app.no_connection())


class Fields(Policy):
    def test_via(self):
        self.begin(via="1.1 pillion", out={"routes": [DIRECT, {"match": {"prefix": "/"}, "route": {"cluster": "app"}}]})
        head, _, fields = self.exchange(fields=[("Via", "1.0 old")])
        self.assertEqual(", ".join(head.all("via")), "1.0 old, 1.1 pillion")
        self.assertEqual(of(fields, "via"), ["1.1 pillion"])
        asker = self.asker()
        asker.ask("/direct")
        self.assertEqual(of(asker.answer()[1], "via"), [])  # nothing was forwarded

    def forwarded(self, **hcm):
        """Of a request that says "1.2.3.4" and "https" and of one that says nothing: whether it does, the client's address, and
        what the app is told."""
        self.begin(**hcm)
        for says in ([("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "https")], []):
            head, _, _ = self.exchange(fields=says)
            address = self.clients[-1].sock.getsockname()[0]
            yield bool(says), address, ", ".join(head.all("x-forwarded-for")), head.all("x-forwarded-proto")

    def test_use_remote_address(self):
        for said, address, by, proto in self.forwarded(use_remote_address=True):
            self.assertEqual((by, proto), ("1.2.3.4, " + address if said else address, ["http"]))

    def test_use_remote_address_off(self):
        for said, _, by, proto in self.forwarded(use_remote_address=False, via="1.1 a"):
            self.assertEqual((by, proto), ("1.2.3.4", ["https"]) if said else ("", []))

    def test_skip_xff_append(self):
        for said, _, by, proto in self.forwarded(use_remote_address=True, skip_xff_append=True):
            self.assertEqual((by, proto), ("1.2.3.4" if said else "", ["http"]))

    def test_xff_num_trusted_hops(self):
        """A proxy that is trusted is believed what it says of the scheme, and of the client, whose name is for the log."""
        log = os.path.join(tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR")), "log")
        access_log = [{"name": "envoy.access_loggers.file", "typed_config": mesh.typed(
            "envoy.extensions.access_loggers.file.v3.FileAccessLog", path=log)}]
        for said, address, by, proto in self.forwarded(use_remote_address=True, xff_num_trusted_hops=1, access_log=access_log):
            self.assertEqual((by, proto), ("1.2.3.4, " + address, ["https"]) if said else (address, ["http"]))

        def lines():
            if not os.path.exists(log):
                return []
            with open(log) as file:
                return file.read().splitlines()
        mesh.wait_until(lambda: len(lines()) == 2, "both are logged")
        logged = [json.loads(line)["client"] for line in lines()]
        self.assertEqual([logged[0], logged[1].rsplit(":", 1)[0]], ["1.2.3.4", address])

    def check_server(self, expected, absent, ours, **hcm):
        """`expected`: where the app says "app"; `absent`: where it says nothing; `ours`: with an answer that is made here."""
        self.begin(out={"routes": [DIRECT, {"match": {"prefix": "/"}, "route": {"cluster": "app"}}]}, **hcm)
        _, _, fields = self.exchange(answer="HTTP/1.1 200 OK\r\nServer: app\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(of(fields, "server"), expected)
        self.assertEqual(of(self.exchange()[2], "server"), absent)
        asker = self.asker()
        asker.ask("/direct")
        self.assertEqual(of(asker.answer()[1], "server"), ours)

    def test_server_name_and_overwrite(self):
        name = ["pillion"]
        self.check_server(name, name, name, server_header_transformation="OVERWRITE", server_name="pillion")

    def test_server_header_append_if_absent(self):
        name = ["pillion"]
        self.check_server(["app"], name, name, server_header_transformation="APPEND_IF_ABSENT", server_name="pillion")

    def test_server_header_pass_through(self):
        self.check_server(["app"], [], [], server_header_transformation="PASS_THROUGH", server_name="pillion")

    NAMES = [("x_a", "1"), ("x-a", "2")]

    def test_headers_with_underscores_allowed(self):
        self.begin(common_http_protocol_options={"headers_with_underscores_action": "ALLOW"})
        head, _, _ = self.exchange(fields=self.NAMES)
        self.assertEqual((head.all("x_a"), head.all("x-a")), (["1"], ["2"]))

    def test_headers_with_underscores_dropped(self):
        self.begin(common_http_protocol_options={"headers_with_underscores_action": "DROP_HEADER"})
        head, _, _ = self.exchange(fields=self.NAMES)
        self.assertEqual((head.all("x_a"), head.all("x-a")), ([], ["2"]))

    def test_headers_with_underscores_refused(self):
        self.begin(common_http_protocol_options={"headers_with_underscores_action": "REJECT_REQUEST"})
        self.refused(400, fields=self.NAMES)

    def check_path(self, sent, seen, **hcm):
        self.begin(**hcm)
        head, _, _ = self.exchange(sent)
        self.assertEqual(head.first, "GET %s HTTP/1.1" % seen)

    def test_merge_slashes(self):
        self.check_path("/a//b///?c//d", "/a/b/?c//d", merge_slashes=True)

    def test_normalize_path(self):
        self.check_path("/a/./b/../%63//d?x=/../", "/a/c//d?x=/../", normalize_path=True)

    def test_escaped_slashes_kept(self):
        self.check_path("/a%2fb%5Cc", "/a%2fb%5Cc", path_with_escaped_slashes_action="KEEP_UNCHANGED", merge_slashes=True)

    def test_escaped_slashes_forwarded(self):
        self.check_path("/a%2fb?c%2fd", "/a/b?c%2fd", path_with_escaped_slashes_action="UNESCAPE_AND_FORWARD")

    def test_escaped_slashes_refused(self):
        self.begin(path_with_escaped_slashes_action="REJECT_REQUEST")
        self.refused(400, "/a%2Fb")

    def test_max_headers_count(self):
        self.begin(common_http_protocol_options={"max_headers_count": 5})
        self.refused(431, fields=[("x-%d" % i, "1") for i in range(6)])
        self.assertEqual(self.exchange(fields=[("x-%d" % i, "1") for i in range(4)])[1], 200)

    def test_max_request_headers_kb(self):
        self.begin(max_request_headers_kb=1)
        self.refused(431, fields=[("x", "y" * 1100)])
        self.assertEqual(self.exchange(fields=[("x", "y" * 700)])[1], 200)

    def test_generate_request_id(self):
        self.begin(generate_request_id=True)
        self.assertEqual(self.exchange(fields=[("X-Request-Id", "own")])[0].all("x-request-id"), ["own"])
        made = [self.exchange()[0].all("x-request-id") for _ in range(2)]
        self.assertEqual([len(one) for one in made], [1, 1])
        self.assertNotEqual(made[0], made[1])

    def test_one_path_for_the_route_and_for_the_app(self):
        """Who judges a request and who answers it read the same path."""
        routes = [{"match": {"prefix": "/admin"}, "direct_response": {"status": 403}},
                  {"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
        self.begin(out={"routes": routes}, normalize_path=True, merge_slashes=True)
        for path in ("/a/../admin", "/a/%2e%2E/admin", "/./admin/x", "//admin", "/%61dmin", "/x/..//admin?y"):
            self.refused(403, path)
        for sent, seen in (("/admin/../x/./y", "/x/y"), ("/admin/..//%61", "/a"), ("/x?/../admin", "/x?/../admin")):
            self.assertEqual(self.exchange(sent)[0].first, "GET %s HTTP/1.1" % seen)


class FieldsOverHttp2(Fields):
    Asker = Http2


class FieldsOfHttp1(Policy):
    def test_default_host_for_http_10(self):
        self.begin(http_protocol_options={"accept_http_10": True, "default_host_for_http_10": "old.example"})
        for request, host in (("GET / HTTP/1.0\r\n\r\n", "old.example"), ("GET / HTTP/1.0\r\nHost: own\r\n\r\n", "own")):
            client = self.ask(request)
            app, head = self.accept_request()
            self.assertEqual(head.all("host"), [host])
            app.close()
            self.assertEqual(client.head().status, 502)


class OnlyWhatMustBe(Policy):
    """A manager with what must be set: the rest is as Envoy documents it."""

    def setUp(self):
        super().setUp()
        self.port = mesh.free_port()
        listener = mesh.listener("outbound", self.port, "app", routes=[
            DIRECT, {"match": {"prefix": "/"}, "route": {"cluster": "app"}}])
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        for name in set(manager) - {"@type", "stat_prefix", "route_config", "http_filters"}:
            del manager[name]
        manager["http_filters"] = manager["http_filters"][-1:]  # the router
        self.made = [mesh.Sidecar([listener], [mesh.cluster("app", [self.app.address])])]


class Unset(OnlyWhatMustBe):
    def test_a_request_gets_an_id_and_is_otherwise_as_it_was(self):
        path = "/a/../b//c%2fd%5C?e=%2F"
        told = [("x_a", "1"), ("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Host", "shop.example"), ("X-Forwarded-Port", "8443"),
                ("Forwarded", 'for="[2001:db8::1]:47011";proto=https, for=_hidden')]
        head, status, _ = self.exchange(path, told)
        self.assertEqual((head.first, status), ("GET %s HTTP/1.1" % path, 200))
        self.assertEqual([(name, head.all(name)) for name, _ in told], [(name, [value]) for name, value in told])
        self.assertEqual(head.all("via") + head.all("x-forwarded-proto"), [])
        self.assertEqual(len(head.get("x-request-id")), 36)

    def test_what_a_client_says_of_its_own_certificate_is_taken_off(self):
        self.assertEqual(self.exchange(fields=[("X-Forwarded-Client-Cert", "Hash=1")])[0].all(
            "x-forwarded-client-cert"), [])

    def test_the_server_is_envoy(self):
        _, _, fields = self.exchange(answer="HTTP/1.1 200 OK\r\nServer: app\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual((of(fields, "server"), of(fields, "via")), (["envoy"], []))
        asker = self.asker()
        asker.ask("/direct")
        self.assertEqual(of(asker.answer()[1], "server"), ["envoy"])

    def test_expect_is_answered_here(self):
        asker = self.asker()
        asker.ask(method="POST", fields=[("Expect", "100-continue")], content=True)
        app, head = self.accept_request()
        self.assertEqual((asker.answer()[0], head.all("expect")), (100, []))
        app.close()

    def test_limits_of_heads(self):
        self.refused(431, fields=[("x-%d" % i, "1") for i in range(101)])
        self.refused(431, fields=[("x-%d" % i, "y" * 1000) for i in range(62)])


class UnsetOverHttp2(Unset):
    Asker = Http2


class UnsetOfHttp1(OnlyWhatMustBe):
    def test_http10_is_not_taken(self):
        self.assertEqual(self.ask("GET / HTTP/1.0\r\nHost: a\r\n\r\n").head().status, 426)

    def test_upgrades_and_connect_are_refused(self):
        client = self.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        self.assertEqual(client.head().status, 403)
        self.assertEqual(self.ask("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").head().status, 405)
        self.assertTrue(self.app.no_connection())


class Expect(Policy):
    """`proxy_100_continue: false`: the first sidecar answers."""
    EXPECT = [("Expect", "100-continue")]

    def test_who_waits_for_leave_gets_it_and_the_app_is_not_asked(self):
        self.begin(proxy_100_continue=False)
        asker = self.asker()
        asker.ask(method="POST", fields=self.EXPECT, content=True)
        self.assertEqual(asker.answer()[0], 100)  # whatever the app does
        app, head = self.accept_request()
        self.assertEqual(head.all("expect"), [])
        asker.content()
        self.assertEqual(app.exactly(4) if head.all("content-length") else app.chunks()[0], b"body")
        app.send(OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
        app.close()
        self.assertEqual(asker.answer()[0], 200)

    def test_there_is_none_before_a_refusal(self):
        self.begin(proxy_100_continue=False, path_with_escaped_slashes_action="REJECT_REQUEST")
        asker = self.asker()
        asker.ask("/%2f", self.EXPECT, "POST", content=True)
        self.assertEqual(asker.answer()[0], 400)

    def test_with_the_other_policy_only_the_app_gives_leave(self):
        self.begin(proxy_100_continue=True)
        asker = self.asker()
        asker.ask(method="POST", fields=self.EXPECT, content=True)
        app, head = self.accept_request()
        self.assertEqual(head.all("expect"), ["100-continue"])
        self.assertTrue(asker.says_nothing())
        app.send("HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(asker.answer()[0], 100)
        app.close()

    def test_what_nobody_meets_is_417(self):
        for more in ({}, {"proxy_100_continue": False}):
            mesh.stop_all(self, self.made)
            self.begin(**more)
            for expectation in ("tea", "100-continue, tea", "100-continue=yes"):
                asker = self.asker()
                asker.ask(method="POST", fields=[("Expect", expectation)], content=True)
                status, fields = asker.answer()
                self.assertEqual(status, 417)
                if isinstance(asker, Http1):
                    self.assertEqual(of(fields, "connection"), ["close"])
                    asker.conversation.exactly(int(of(fields, "content-length")[0]))
                    self.assertTrue(asker.conversation.closed())
            self.assertTrue(self.app.no_connection())


class ExpectOfHttp1(Policy):
    def test_an_http10_client_gets_none(self):
        """RFC 9110 section 10.1.1: it would take it for the answer."""
        self.begin(proxy_100_continue=False)
        client = self.ask("POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        app, _ = self.accept_request()
        self.assertTrue(client.silent(0.2))
        client.send("body")
        self.assertEqual(app.exactly(4), b"body")
        app.send(OK)
        self.assertEqual(client.head().status, 200)


class ExpectAtTwo(mesh.AtTwo, Expect):
    pass


class ExpectOverHttp2(Expect):
    Asker = Http2


class ExpectOverHttp2AtTwo(mesh.AtTwo, ExpectOverHttp2):
    pass


if __name__ == "__main__":
    unittest.main()
