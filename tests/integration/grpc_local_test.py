"""What the sidecar itself says to gRPC clients: its errors are gRPC, deadlines are kept where policy says so. And what
passes untouched, with filters at the listener that have nothing to do with it."""

import os
import resource
import threading
import time
import unittest

import grpc

import grpc_service
import mesh

_HTTP = "envoy.extensions.filters.http."
_FILTERS = (("web", mesh.typed(_HTTP + "grpc_web.v3.GrpcWeb")), ("cors", mesh.typed(_HTTP + "cors.v3.Cors")),
            ("bridge", mesh.typed(_HTTP + "grpc_http1_bridge.v3.Config")))
_HUGE = 20 * 1024 * 1024


class LocalTest(mesh.MeshTest):
    def answer(self, path="/test.Echo/Unary"):
        client = self.ask("POST %s HTTP/1.1\r\nHost: shop\r\nContent-Type: application/grpc+proto\r\n"
                          "Content-Length: 5\r\n\r\n\0\0\0\0\0" % path)
        return client.head()

    def check(self, head, code):
        self.assertEqual((head.status, head.get("grpc-status")), (200, str(code)))
        self.assertEqual(head.get("content-type"), "application/grpc+proto")
        self.assertTrue(head.get("grpc-message"))


class LocalErrors(LocalTest):
    def test_no_route(self):
        self.start(out={"routes": [{"match": {"prefix": "/other"}, "route": {"cluster": "app"}}]})
        self.check(self.answer(), 12)

    def test_no_route_with_filters(self):
        self.start(out={"routes": [{"match": {"prefix": "/other"}, "route": {"cluster": "app"}}],
                        "filters": _FILTERS[:2]})
        self.check(self.answer(), 12)

    def test_a_route_time_out(self):
        self.start(out={"route": {"timeout": "0.1s"}})
        self.check(self.answer(), 4)

    def test_a_stream_that_is_idle(self):
        self.start(out={"route": {"idle_timeout": "0.1s"}})
        self.check(self.answer(), 4)

    def test_a_duration_that_is_over(self):
        self.start(out={"route": {"max_stream_duration": {"max_stream_duration": "0.1s"}}})
        self.check(self.answer(), 4)
        self.assertEqual(self.get().head().status, 408)

    def test_an_app_that_is_down(self):
        self.start(addresses=[(mesh.HOST, mesh.free_port())])
        self.check(self.answer(), 14)

    def test_an_app_that_closes(self):
        self.start()
        client = self.ask("POST / HTTP/1.1\r\nHost: shop\r\nContent-Type: application/grpc+proto\r\n"
                          "Content-Length: 5\r\n\r\n\0\0\0\0\0")
        connection, _ = self.accept_request()
        connection.close()
        self.check(client.head(), 14)


class Overflow(LocalTest):
    """Each request over HTTP/1.1 has a connection of its own, made or being made."""
    LIMIT = 1024  # kMaxConnectionsPerEndpoint

    def test_too_many_connections_to_one_endpoint(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 3 * self.LIMIT), hard))  # the sidecar inherits it
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        silent = mesh.App(backlog=self.LIMIT)
        self.addCleanup(silent.close)
        self.start(addresses=[silent.address], out_cluster={"connect_timeout": "%ds" % mesh.WAIT})
        waiting = [self.get() for _ in range(self.LIMIT)]
        last = self.answer()
        self.check(last, 14)
        self.assertIn("overloaded", last.get("grpc-message"))
        self.assertEqual([client.silent() for client in waiting[:3]], [True] * 3)


class Service:
    def __init__(self):
        self.remaining = []
        self.cancelled = threading.Event()
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
                   ("grpc.max_metadata_size", 100000)]
        handlers = {"Unary": grpc.unary_unary_rpc_method_handler(self.unary),
                    "Squeezed": grpc.unary_unary_rpc_method_handler(self.squeezed),
                    "Cancel": grpc.unary_stream_rpc_method_handler(self.cancel),
                    "PushBack": grpc.unary_unary_rpc_method_handler(self.push_back),
                    "Hang": grpc.unary_unary_rpc_method_handler(self.hang)}
        self.server, self.address = grpc_service.serve(handlers, options)

    def unary(self, request, context):
        self.metadata = dict(context.invocation_metadata())
        context.set_trailing_metadata((("x-large", self.metadata.get("x-large", "")),))
        return request

    def squeezed(self, request, context):
        context.set_compression(grpc.Compression.Gzip)
        return request

    def cancel(self, request, context):
        yield b"one"
        context.cancel()
        yield b"two"

    def push_back(self, request, context):
        context.set_trailing_metadata((("grpc-retry-pushback-ms", "1234"),))
        context.abort(grpc.StatusCode.UNAVAILABLE, "later")

    def hang(self, request, context):
        self.remaining.append(context.time_remaining())
        context.add_callback(self.cancelled.set)
        self.cancelled.wait(mesh.WAIT)
        return b""


class ServiceTest(mesh.MeshTest):
    def begin(self, **out):
        self.service = Service()
        self.addCleanup(lambda: self.service.server.stop(0).wait())
        self.start(addresses=[self.service.address], http2_app=True, out=out)
        self.channel = grpc.insecure_channel("%s:%d" % (mesh.HOST, self.port), options=[
            ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", 100000)])
        self.addCleanup(self.channel.close)


class Deadlines(ServiceTest):
    def hang(self, timeout):
        started = time.monotonic()
        with self.assertRaises(grpc.RpcError) as caught:
            self.channel.unary_unary("/test.Echo/Hang")(b"", timeout=timeout)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertTrue(self.service.cancelled.wait(mesh.WAIT))
        return time.monotonic() - started

    def test_policy_caps_the_deadline_and_tells_the_app(self):
        self.begin(route={"max_stream_duration": {"grpc_timeout_header_max": "0.3s"}})
        self.assertLess(self.hang(2 * mesh.WAIT), mesh.WAIT)
        self.assertLess(self.service.remaining[0], 0.31)

    def test_an_offset_makes_it_shorter(self):
        self.begin(route={"max_stream_duration": {"grpc_timeout_header_max": "0s",
                                                  "grpc_timeout_header_offset": "39.7s"}})
        self.assertLess(self.hang(40), mesh.WAIT)
        # 0.3, and what the client's library rounds up: tenths of a second of so long a time-out.
        self.assertLess(self.service.remaining[0], 1)

    def test_without_policy_the_app_alone_decides(self):
        self.begin(route={"max_stream_duration": {"max_stream_duration": "0s"}})
        self.service.cancelled.set()
        self.assertEqual(self.channel.unary_unary("/test.Echo/Hang")(b"", timeout=40), b"")
        self.assertGreater(self.service.remaining[0], 1)


class ToldDeadlines(mesh.MeshTest):
    """What an app is told of a time-out, field by field; it is none of these durations away from its end."""

    def ask_grpc(self, timeout, content_type="application/grpc"):
        return self.ask("POST /test.Echo/Unary HTTP/1.1\r\nHost: shop\r\nContent-Type: %s\r\ngrpc-timeout: %s\r\n"
                        "Content-Length: 5\r\n\r\n\0\0\0\0\0" % (content_type, timeout))

    def begin(self, filters=(), **policy):
        self.start(out={"route": {"max_stream_duration": policy}, "filters": filters})

    def told(self):
        return self.accept_request()[1].get("grpc-timeout")

    def assert_seconds(self, told, least, most):
        self.assertEqual(told[-1], "u", told)
        self.assertGreater(int(told[:-1]), least * 1000000)
        self.assertLessEqual(int(told[:-1]), most * 1000000)

    def test_an_offset_of_all_of_it_ends_it_at_once(self):
        self.begin(grpc_timeout_header_max="0s", grpc_timeout_header_offset="60s")
        for timeout in ("60S", "59S", "1M"):
            head = self.ask_grpc(timeout).head()
            self.assertEqual((head.status, head.get("grpc-status")), (200, "4"), timeout)

    def test_a_time_out_of_nothing_is_over(self):
        self.begin(grpc_timeout_header_max="0s")
        self.assertEqual(self.ask_grpc("0S").head().get("grpc-status"), "4")

    def test_it_takes_the_place_of_the_routes_own(self):
        self.begin(grpc_timeout_header_max="0s", max_stream_duration="45s")
        self.ask_grpc("90S")
        self.assert_seconds(self.told(), 45, 90)

    def test_what_cannot_be_read_and_what_is_no_grpc_goes_as_it_came(self):
        self.begin(grpc_timeout_header_max="30s")
        self.ask_grpc("soon")
        self.assertEqual(self.told(), "soon")
        self.ask_grpc("0S", "application/json")
        self.assertEqual(self.told(), "0S")

    def test_what_a_filter_has_made_grpc_has_its_deadline_too(self):
        self.begin(_FILTERS[:1], grpc_timeout_header_max="30s")
        self.ask_grpc("90S", "application/grpc-web")
        self.assert_seconds(self.told(), 0, 30)


class Malformed(mesh.MeshTest):
    """Who speaks HTTP/2 and says that it is gRPC is answered in gRPC; on HTTP/1 that is not to be relied on."""
    POLICY = {"hcm": {"path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT"}}

    def test_on_http2_it_is_told_in_grpc(self):
        self.start(out=self.POLICY)
        with grpc.insecure_channel("%s:%d" % (mesh.HOST, self.port)) as channel:
            call = channel.unary_unary("/test.Echo%2FUnary").future(b"", timeout=mesh.WAIT)
            self.assertEqual((call.code(), call.details()), (grpc.StatusCode.INTERNAL, "malformed request"))

    def test_on_http1_it_is_told_in_http(self):
        self.start(out=self.POLICY)
        head = self.ask("POST /test.Echo%2FUnary HTTP/1.1\r\nHost: shop\r\nContent-Type: application/grpc\r\n"
                        "Content-Length: 5\r\n\r\n\0\0\0\0\0").head()
        self.assertEqual((head.status, head.get("content-type"), head.get("grpc-status")), (400, "text/plain", None))


class Untouched(ServiceTest):
    def setUp(self):
        super().setUp()
        self.begin(filters=_FILTERS)

    def test_messages_of_20_mib(self):
        message = os.urandom(_HUGE)
        answer = self.channel.unary_unary("/test.Echo/Unary")(message, timeout=3 * mesh.WAIT)
        self.assertEqual(mesh.digest(answer), mesh.digest(message))

    def test_compression(self):
        message = b"squeeze me " * 10000
        call = self.channel.unary_unary("/test.Echo/Squeezed")
        answer = call(message, timeout=mesh.WAIT, compression=grpc.Compression.Gzip)
        self.assertEqual(answer, message)

    def test_large_metadata(self):
        large = "m" * 30000
        answer, call = self.channel.unary_unary("/test.Echo/Unary").with_call(
            b"x", metadata=(("x-large", large),), timeout=mesh.WAIT)
        self.assertEqual((answer, self.service.metadata["x-large"]), (b"x", large))
        self.assertEqual(dict(call.trailing_metadata())["x-large"], large)

    def test_a_server_that_pushes_back(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.channel.unary_unary("/test.Echo/PushBack")(b"", timeout=mesh.WAIT)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(dict(caught.exception.trailing_metadata())["grpc-retry-pushback-ms"], "1234")

    def test_a_server_that_cancels(self):
        answers = self.channel.unary_stream("/test.Echo/Cancel")(b"", timeout=mesh.WAIT)
        with self.assertRaises(grpc.RpcError) as caught:
            for answer in answers:
                self.assertEqual(answer, b"one")
        self.assertEqual(caught.exception.code(), grpc.StatusCode.CANCELLED)

    def test_a_client_that_cancels(self):
        call = self.channel.unary_unary("/test.Echo/Hang").future(b"")
        mesh.wait_until(lambda: self.service.remaining, "the call reaches the app")
        call.cancel()
        self.assertTrue(self.service.cancelled.wait(mesh.WAIT))


class UntouchedAtTwo(mesh.AtTwo, Untouched):
    pass


if __name__ == "__main__":
    unittest.main()
