"""gRPC through the mesh, HTTP/2 in: all four kinds of call, trailers, cancellation and deadlines."""

import threading
import unittest

import grpc

import grpc_service
import mesh

_COUNT = 50


class Echo:
    """A gRPC service of bytes."""

    def __init__(self):
        self.cancelled = threading.Event()
        self.deadlines = []
        self.metadata = {}
        self.server, self.address = grpc_service.serve({
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Down": grpc.unary_stream_rpc_method_handler(self.down),
            "Up": grpc.stream_unary_rpc_method_handler(self.up),
            "Both": grpc.stream_stream_rpc_method_handler(self.both),
            "Hang": grpc.unary_unary_rpc_method_handler(self.hang),
        })

    def unary(self, request, context):
        self.metadata = dict(context.invocation_metadata())
        context.send_initial_metadata((("x-initial", "1"),))
        context.set_trailing_metadata((("x-trailing-bin", b"\x00\xff"),))
        return request

    def fail(self, request, context):
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: \u00e9")

    def down(self, request, context):
        for i in range(_COUNT):
            yield request + b"%d" % i

    def up(self, requests, context):
        return b"%d" % sum(len(request) for request in requests)

    def both(self, requests, context):
        for request in requests:
            yield request

    def hang(self, request, context):
        self.deadlines.append(context.time_remaining())
        context.add_callback(self.cancelled.set)
        self.cancelled.wait(mesh.WAIT)
        return b""


class Grpc(mesh.MeshTest):
    def setUp(self):
        super().setUp()
        self.echo = Echo()
        self.addCleanup(lambda: self.echo.server.stop(0).wait())
        self.start(addresses=[self.echo.address], http2_app=True)
        self.channel = grpc.insecure_channel("%s:%d" % (mesh.HOST, self.port))
        self.addCleanup(self.channel.close)

    def test_a_unary_call_carries_metadata_and_trailers(self):
        answer, call = self.channel.unary_unary("/test.Echo/Unary").with_call(
            b"hello" * 100000, metadata=(("x-mine", "yes"), ("x-raw-bin", b"\x01\xfe")), timeout=mesh.WAIT)
        self.assertEqual(answer, b"hello" * 100000)
        self.assertEqual(dict(call.initial_metadata())["x-initial"], "1")
        self.assertEqual(dict(call.trailing_metadata())["x-trailing-bin"], b"\x00\xff")
        self.assertEqual((self.echo.metadata["x-mine"], self.echo.metadata["x-raw-bin"]), ("yes", b"\x01\xfe"))
        self.assertNotIn("pillion-h1", self.echo.metadata)

    def test_an_error_without_messages_passes(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.channel.unary_unary("/test.Echo/Fail")(b"", timeout=mesh.WAIT)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)
        self.assertEqual(caught.exception.details(), "no such thing: \u00e9")

    def test_an_unknown_method_is_told_by_the_app(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.channel.unary_unary("/test.Echo/Unknown")(b"", timeout=mesh.WAIT)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_server_streaming(self):
        got = list(self.channel.unary_stream("/test.Echo/Down")(b"x" * 10000, timeout=mesh.WAIT))
        self.assertEqual(got, [b"x" * 10000 + b"%d" % i for i in range(_COUNT)])

    def test_client_streaming(self):
        answer = self.channel.stream_unary("/test.Echo/Up")(
            (b"y" * 10000 for _ in range(_COUNT)), timeout=mesh.WAIT)
        self.assertEqual(answer, b"%d" % (10000 * _COUNT))

    def test_bidirectional_streaming_answers_each_message_before_the_next(self):
        answered = threading.Semaphore(1)

        def requests():
            for i in range(_COUNT):
                answered.acquire(timeout=mesh.WAIT)
                yield b"%d" % i

        got = []
        for answer in self.channel.stream_stream("/test.Echo/Both")(requests(), timeout=mesh.WAIT):
            got.append(answer)
            answered.release()
        self.assertEqual(got, [b"%d" % i for i in range(_COUNT)])

    def test_a_deadline_reaches_the_app_and_ends_the_call(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.channel.unary_unary("/test.Echo/Hang")(b"", timeout=0.3)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertTrue(self.echo.cancelled.wait(mesh.WAIT))
        self.assertLess(self.echo.deadlines[0], 0.31)  # the library rounds it up

    def test_a_cancelled_call_is_cancelled_at_the_app(self):
        call = self.channel.unary_unary("/test.Echo/Hang").future(b"")
        mesh.wait_until(lambda: self.echo.deadlines, "the call reaches the app")
        call.cancel()
        self.assertTrue(self.echo.cancelled.wait(mesh.WAIT))
        answer = self.channel.unary_unary("/test.Echo/Unary")(b"still here", timeout=mesh.WAIT)
        self.assertEqual(answer, b"still here")

    def test_many_calls_at_once(self):
        method = self.channel.unary_unary("/test.Echo/Unary")
        calls = [method.future(b"%d" % i, timeout=mesh.WAIT) for i in range(200)]
        self.assertEqual([call.result() for call in calls], [b"%d" % i for i in range(200)])


class GrpcAtTwo(mesh.AtTwo, Grpc):
    pass


class GrpcWithoutAnApp(mesh.MeshTest):
    sidecars = 2

    def test_an_app_that_is_down_is_unavailable(self):
        self.start(addresses=[(mesh.HOST, mesh.free_port())], http2_app=True)
        with grpc.insecure_channel("%s:%d" % (mesh.HOST, self.port)) as channel:
            with self.assertRaises(grpc.RpcError) as caught:
                channel.unary_unary("/test.Echo/Unary")(b"", timeout=mesh.WAIT)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)


if __name__ == "__main__":
    unittest.main()
