"""gRPC for clients and servers that speak something else: gRPC-Web with CORS, the HTTP/1.1 bridges. Real gRPC
servers and clients, raw HTTP clients, and the clients of npm."""

import base64
import os
import struct
import threading
import unittest

import grpc

import grpc_service
import mesh
import npm
from adversary_test import HEADERS, Http2App

_HTTP = "envoy.extensions.filters.http."
WEB = ("web", mesh.typed(_HTTP + "grpc_web.v3.GrpcWeb"))
CORS = ("cors", mesh.typed(_HTTP + "cors.v3.Cors"))
ORIGIN = "https://shop.example"
POLICY = mesh.typed(_HTTP + "cors.v3.CorsPolicy", allow_origin_string_match=[{"exact": ORIGIN}],
                    allow_methods="POST", allow_headers="content-type,x-grpc-web", max_age="600",
                    expose_headers="grpc-status,grpc-message")


def frame(message, flags=0):
    return struct.pack(">BI", flags, len(message)) + message


def frames(data):
    """[(flags, message)]"""
    found = []
    while data:
        flags, size = struct.unpack(">BI", data[:5])
        assert len(data) >= 5 + size, data
        found.append((flags, data[5:5 + size]))
        data = data[5 + size:]
    return found


def decode(text):
    """Base64 whose groups may be padded anywhere."""
    return b"".join(base64.b64decode(text[i:i + 4]) for i in range(0, len(text), 4))


class EchoServer:
    """A gRPC service of bytes."""

    def __init__(self):
        self.go_on = threading.Event()
        self.cancelled = threading.Event()
        self.hanging = threading.Event()
        self.metadata = {}
        self.server, self.address = grpc_service.serve({
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Down": grpc.unary_stream_rpc_method_handler(self.down),
            "Hang": grpc.unary_unary_rpc_method_handler(self.hang),
        }, [("grpc.max_receive_message_length", -1)])

    def unary(self, request, context):
        self.metadata = dict(context.invocation_metadata())
        context.send_initial_metadata((("x-initial", "1"),))
        context.set_trailing_metadata((("x-trailing", "2"),))
        return request

    def fail(self, request, context):
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: \u00e9")

    def down(self, request, context):
        yield b"first"
        self.go_on.wait(mesh.WAIT)
        yield b"second"
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")

    def hang(self, request, context):
        context.add_callback(self.cancelled.set)
        self.hanging.set()
        self.cancelled.wait(mesh.WAIT)
        return b""


class EchoTest(mesh.MeshTest):
    filters = ()
    per_filter = None

    def setUp(self):
        super().setUp()
        self.echo = EchoServer()
        self.addCleanup(lambda: self.echo.server.stop(0).wait())
        self.start(addresses=[self.echo.address], http2_app=True,
                   out={"filters": self.filters, "per_filter": self.per_filter})

    def post(self, path, content_type, body, fields=""):
        return self.ask("POST %s HTTP/1.1\r\nHost: shop\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n"
                        % (path, content_type, fields, len(body)) + body.decode("latin-1"))

    def whole(self, client):
        """(head, content)"""
        head = client.head()
        if head.get("transfer-encoding") == "chunked":
            content, trailers = client.chunks()
            self.assertEqual(trailers, [])
            return head, content
        return head, client.exactly(int(head.get("content-length") or 0))


class GrpcWeb(EchoTest):
    filters = (WEB, CORS)
    per_filter = {"cors": POLICY}

    def test_binary(self):
        message = os.urandom(200000)
        head, content = self.whole(self.post("/test.Echo/Unary", "application/grpc-web+proto", frame(message),
                                             "X-Grpc-Web: 1\r\nOrigin: %s\r\n" % ORIGIN))
        self.assertEqual((head.status, head.get("content-type")), (200, "application/grpc-web+proto"))
        self.assertEqual(head.get("x-initial"), "1")
        self.assertEqual(head.get("access-control-allow-origin"), ORIGIN)
        self.assertEqual(head.get("access-control-expose-headers"), "grpc-status,grpc-message")
        (flags, answer), (last, trailers) = frames(content)
        self.assertEqual((flags, answer, last), (0, message, 0x80))
        self.assertIn(b"grpc-status: 0\r\n", trailers)
        self.assertIn(b"x-trailing: 2\r\n", trailers)
        self.assertEqual(self.echo.metadata["x-grpc-web"], "1")

    def test_text_in_groups_padded_anywhere(self):
        data = frame(b"hello")
        text = b"".join(base64.b64encode(data[i:i + 2]) for i in range(0, len(data), 2))
        head, content = self.whole(self.post("/test.Echo/Unary", "application/grpc-web-text", text,
                                             "Accept: application/grpc-web-text\r\n"))
        self.assertEqual((head.status, head.get("content-type")), (200, "application/grpc-web-text+proto"))
        (_, answer), (flags, trailers) = frames(decode(content))
        self.assertEqual((answer, flags), (b"hello", 0x80))
        self.assertIn(b"grpc-status: 0", trailers)

    def test_the_first_of_a_stream_comes_before_the_second(self):
        client = self.post("/test.Echo/Down", "application/grpc-web-text", base64.b64encode(frame(b"")))
        client.head()
        first = b""
        while len(first) < len(base64.b64encode(frame(b"first"))):
            first += client.exactly(int(client.until(b"\r\n"), 16))
            client.exactly(2)
        self.assertEqual(frames(decode(first)), [(0, b"first")])
        self.echo.go_on.set()
        rest, _ = client.chunks()
        (_, second), (flags, trailers) = frames(decode(rest))
        self.assertEqual((second, flags), (b"second", 0x80))
        self.assertIn(b"grpc-status: 8\r\n", trailers)
        self.assertIn(b"grpc-message: enough\r\n", trailers)

    def test_an_error_is_told(self):
        head, content = self.whole(self.post("/test.Echo/Fail", "application/grpc-web", frame(b"")))
        self.assertEqual(head.status, 200)
        told = dict(line.split(": ") for _, block in frames(content) for line in block.decode().splitlines())
        self.assertEqual(head.get("grpc-status") or told["grpc-status"], "5")
        self.assertEqual(head.get("grpc-message") or told["grpc-message"], "no such thing: %C3%A9")

    def test_what_is_no_base64_is_an_internal_error(self):
        head, content = self.whole(self.post("/test.Echo/Unary", "application/grpc-web-text", b"AAA!"))
        self.assertEqual((head.status, content), (200, b""))
        self.assertEqual(head.get("content-type"), "application/grpc-web-text+proto")
        self.assertEqual(head.get("grpc-status"), "13")

    def test_a_preflight_is_answered(self):
        client = self.ask("OPTIONS /test.Echo/Unary HTTP/1.1\r\nHost: shop\r\nOrigin: %s\r\n"
                          "Access-Control-Request-Method: POST\r\n\r\n" % ORIGIN)
        head, _ = self.whole(client)
        self.assertEqual((head.status, head.get("access-control-allow-origin")), (200, ORIGIN))
        self.assertEqual(head.get("access-control-allow-headers"), "content-type,x-grpc-web")

    def test_a_client_that_leaves_cancels_the_call(self):
        client = self.post("/test.Echo/Hang", "application/grpc-web", frame(b""))
        self.assertTrue(self.echo.hanging.wait(mesh.WAIT))
        client.reset()
        self.assertTrue(self.echo.cancelled.wait(mesh.WAIT))

    def test_plain_grpc_passes_beside_it(self):
        with grpc.insecure_channel("%s:%d" % (mesh.HOST, self.port)) as channel:
            self.assertEqual(channel.unary_unary("/test.Echo/Unary")(b"plain", timeout=mesh.WAIT), b"plain")

    def test_the_clients_of_npm(self):
        """grpc-web in both formats: unary with metadata, an error, a stream."""
        self.echo.go_on.set()
        answers = npm.run("grpc_web_client.js", "http://%s:%d" % (mesh.HOST, self.port))
        for kind in ("text", "binary"):
            self.assertEqual(answers[kind]["unary"], {"answer": "hello", "initial": "1", "trailing": "2"}, kind)
            self.assertEqual(answers[kind]["fail"], {"code": 5, "message": "no such thing: \u00e9"}, kind)
        self.assertEqual(answers["text"]["stream"], {"answers": ["first", "second"], "code": 8, "message": "enough"})


class GrpcWebAtTwo(mesh.AtTwo, GrpcWeb):
    pass


class Retried(mesh.MeshTest):
    """What is sent again is what the filters made of the request, the same bytes."""

    def test_a_transformed_request_goes_to_another_endpoint(self):
        self.start(addresses=[(mesh.HOST, mesh.free_port()), self.app.address], out={"filters": (WEB,), "explain": True})
        attempts = []
        for _ in range(2):  # one of them is sent to the dead endpoint first
            message = os.urandom(20000)
            client = self.ask("POST /test.Echo/Unary HTTP/1.1\r\nHost: shop\r\nContent-Type: application/grpc-web-text\r\n"
                              "X-Pillion-Explain: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
            text = base64.b64encode(frame(message))
            for part in (text[:9000], text[9000:]):
                client.send(b"%x\r\n%s\r\n" % (len(part), part))
            client.send(b"0\r\n\r\n")
            app, head = self.accept_request()
            self.assertEqual(head.get("content-type"), "application/grpc")
            content, _ = app.chunks()
            self.assertEqual(content, frame(message))
            app.send("HTTP/1.1 200 OK\r\nContent-Type: application/grpc+proto\r\nConnection: close\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n7\r\n\0\0\0\0\2ok\r\n0\r\ngrpc-status: 0\r\n\r\n")
            head = client.head()
            self.assertEqual(head.status, 200)
            attempts.append(head.get("x-pillion-explain"))
            content, _ = client.chunks()
            (_, answer), (flags, trailers) = frames(decode(content))
            self.assertEqual((answer, flags), (b"ok", 0x80))
            self.assertIn(b"grpc-status: 0", trailers)
        self.assertTrue(any("attempts=2" in one for one in attempts), attempts)


class GrpcWebWithoutAnApp(mesh.MeshTest):
    def test_what_is_answered_here_is_grpc_web(self):
        routes = [{"match": {"prefix": "/test"}, "route": {"cluster": "app"}}]
        self.start(addresses=[(mesh.HOST, mesh.free_port())], http2_app=True,
                   out={"filters": (WEB,), "routes": routes})
        for path, status in (("/test.Echo/Unary", "14"), ("/nowhere", "12")):
            client = self.ask("POST %s HTTP/1.1\r\nHost: shop\r\nContent-Type: application/grpc-web\r\n"
                              "Content-Length: 5\r\n\r\n\0\0\0\0\0" % path)
            head = client.head()
            self.assertEqual((head.status, head.get("grpc-status")), (200, status), path)
            self.assertEqual(head.get("content-type"), "application/grpc-web+proto")


class Framing(mesh.MeshTest):
    def test_a_request_without_content_ends_with_its_head(self):
        self.start(http2_app=True, out={"filters": (CORS,), "per_filter": {"cors": POLICY}})
        self.get(fields="Origin: %s\r\n" % ORIGIN)
        app = Http2App(self.app.accept())
        kind = None
        while kind != HEADERS:
            kind, flags, _, _ = app.next_frame()
        self.assertEqual(flags & 1, 1)  # END_STREAM


class Bridge(EchoTest):
    filters = (("bridge", mesh.typed(_HTTP + "grpc_http1_bridge.v3.Config", upgrade_protobuf_to_grpc=True)),)

    def test_an_answer_is_one_head_and_one_body(self):
        head, content = self.whole(self.post("/test.Echo/Unary", "application/grpc", frame(b"hello")))
        self.assertEqual((head.status, content), (200, frame(b"hello")))
        self.assertEqual((head.get("grpc-status"), head.get("x-initial"), head.get("x-trailing")), ("0", "1", "2"))

    def test_bare_messages(self):
        head, content = self.whole(self.post("/test.Echo/Unary", "application/x-protobuf", b"hello"))
        self.assertEqual((head.status, content, head.get("content-type")), (200, b"hello", "application/x-protobuf"))

    def test_an_error_is_503(self):
        head, content = self.whole(self.post("/test.Echo/Fail", "application/grpc", frame(b"")))
        self.assertEqual((head.status, content, head.get("grpc-status")), (503, b"", "5"))
        self.assertEqual(head.get("grpc-message"), "no such thing: %C3%A9")

    def test_the_connection_goes_on(self):
        client = self.post("/test.Echo/Unary", "application/grpc", frame(b"one"))
        self.assertEqual(self.whole(client)[1], frame(b"one"))
        client.send("POST /test.Echo/Unary HTTP/1.1\r\nHost: shop\r\nContent-Type: application/grpc\r\n"
                    "Content-Length: 8\r\n\r\n\0\0\0\0\3two")
        self.assertEqual(self.whole(client)[1], frame(b"two"))

    def test_a_request_too_large_to_hold_is_413(self):
        client = self.post("/test.Echo/Unary", "application/x-protobuf", b"x" * 1500000)
        head, _ = self.whole(client)
        self.assertEqual((head.status, head.get("grpc-status"), head.all("connection")), (413, "8", ["close"]))
        self.assertTrue(client.closed())

    def test_what_is_too_large_is_exact(self):
        for size, answer in ((1 << 20, (503, "5")), ((1 << 20) + 1, (413, "8"))):
            head, _ = self.whole(self.post("/test.Echo/Fail", "application/x-protobuf", b"x" * size))
            self.assertEqual((head.status, head.get("grpc-status")), answer, size)

    def test_an_answer_too_large_to_hold_is_502(self):
        head, _ = self.whole(self.post("/test.Echo/Unary", "application/grpc", frame(b"x" * 1500000)))
        self.assertEqual((head.status, head.get("grpc-status")), (502, "8"))

    def test_who_waits_for_leave_gets_it(self):
        client = self.ask("POST /test.Echo/Unary HTTP/1.1\r\nHost: shop\r\nContent-Type: application/x-protobuf\r\n"
                          "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        self.assertEqual(client.head().status, 100)
        client.send("hello")
        self.assertEqual(self.whole(client)[1], b"hello")


class ReverseBridge(mesh.MeshTest):
    def call(self, message, **more):
        channel = grpc.insecure_channel("%s:%d" % (mesh.HOST, self.port))
        self.addCleanup(channel.close)
        return channel.unary_unary("/test.Echo/Unary").future(message, timeout=mesh.WAIT, **more)

    def begin(self, **options):
        self.start(out={"filters": (("reverse", mesh.typed(
            _HTTP + "grpc_http1_reverse_bridge.v3.FilterConfig", content_type="application/x-protobuf",
            **options)),)})

    def answer(self, connection, status, content_type, body):
        connection.send("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
                        % (status, content_type, len(body), body))

    def test_a_plain_server_serves_grpc(self):
        self.begin(withhold_grpc_frames=True)
        call = self.call(b"question")
        connection, head = self.accept_request()
        self.assertEqual(head.get("content-type"), "application/x-protobuf")
        self.assertIsNone(head.get("te"))
        content, _ = connection.chunks()
        self.assertEqual(content, b"question")
        self.answer(connection, "200 OK", "application/x-protobuf", "answer")
        self.assertEqual(call.result(), b"answer")

    def test_frames_may_stay(self):
        self.begin()
        call = self.call(b"question")
        connection, _ = self.accept_request()
        self.assertEqual(connection.chunks()[0], frame(b"question"))
        self.answer(connection, "200 OK", "application/x-protobuf", "\0\0\0\0\6answer")
        self.assertEqual(call.result(), b"answer")

    def test_the_http_status_is_the_grpc_status(self):
        self.begin(withhold_grpc_frames=True)
        for status, content_type, code in (("404 Not Found", "application/x-protobuf", grpc.StatusCode.UNIMPLEMENTED),
                                           ("401 Unauthorized", "text/html", grpc.StatusCode.UNAUTHENTICATED),
                                           ("200 OK", "text/html", grpc.StatusCode.UNKNOWN)):
            call = self.call(b"")
            connection, _ = self.accept_request()
            self.answer(connection, status, content_type, "oops")
            self.assertEqual(call.code(), code)
            connection.close()

    def test_a_server_that_is_not_there_is_unavailable(self):
        self.begin(withhold_grpc_frames=True)
        self.app.sock.close()
        self.assertEqual(self.call(b"").code(), grpc.StatusCode.UNAVAILABLE)


class CorsOfTunnels(mesh.MeshTest):
    def test_cors_gives_leave_and_the_tunnel_opens(self):
        self.start(out={"filters": (CORS,), "per_filter": {"cors": POLICY}})
        client = self.ask("GET /chat HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: chat\r\nOrigin: %s\r\n\r\n" % ORIGIN)
        app, _ = self.accept_request()
        app.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nhello")
        head = client.head()
        self.assertEqual(head.status, 101)
        self.assertEqual(head.get("access-control-allow-origin"), ORIGIN)
        self.assertEqual(client.exactly(5), b"hello")


if __name__ == "__main__":
    unittest.main()
