"""gRPC's list of interoperability cases, by the names and sizes of its description: grpcio and grpc-js, each as client and as
server, without a sidecar, through one and through two. Messages are a JSON line and so many zeros: what a proxy sees of protobuf is
its bytes.

A request is {"size": of the answer, "sizes": of all answers, "status": [code, message], "zip": whether the answer is compressed}."""
import json
import queue
import unittest

import grpc

import grpc_service
import mesh
import npm

SERVICE = "/grpc.testing.TestService/"
ZERO_MESSAGE = b"\n"
MAX = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"
ECHO_INITIAL = "x-grpc-test-echo-initial"
ECHO_TRAILING = "x-grpc-test-echo-trailing-bin"


def message(zeros=0, **said):
    return json.dumps(said).encode() + b"\n" + bytes(zeros)


def parts(data):
    line, zeros = data.split(b"\n", 1)
    return json.loads(line or b"{}"), len(zeros)


# --- the service in Python -------------------------------------------------------------------------------------------------------


def echo_metadata(context):
    given = dict(context.invocation_metadata())
    if ECHO_INITIAL in given:
        context.send_initial_metadata(((ECHO_INITIAL, given[ECHO_INITIAL]),))
    if ECHO_TRAILING in given:
        context.set_trailing_metadata(((ECHO_TRAILING, given[ECHO_TRAILING]),))


def obey(asked, context):
    if "status" in asked:
        context.abort(grpc.StatusCode.UNKNOWN if asked["status"][0] == 2 else grpc.StatusCode.INTERNAL, asked["status"][1])


def unary(request, context):
    asked, _ = parts(request)
    echo_metadata(context)
    obey(asked, context)
    if asked.get("zip"):
        context.set_compression(grpc.Compression.Gzip)
    return message(asked.get("size", 0))


def server_streaming(request, context):
    asked, _ = parts(request)
    if asked.get("zip"):
        context.set_compression(grpc.Compression.Gzip)
    for size in asked["sizes"]:
        yield message(size)


def client_streaming(requests, context):
    return message(total=sum(parts(one)[1] for one in requests))


def both(requests, context):
    echo_metadata(context)
    for one in requests:
        asked, _ = parts(one)
        obey(asked, context)
        for size in asked.get("sizes", ()):
            yield message(size)


def serve():
    return grpc_service.serve({
        "EmptyCall": grpc.unary_unary_rpc_method_handler(lambda request, context: ZERO_MESSAGE),
        "UnaryCall": grpc.unary_unary_rpc_method_handler(unary),
        "StreamingOutputCall": grpc.unary_stream_rpc_method_handler(server_streaming),
        "StreamingInputCall": grpc.stream_unary_rpc_method_handler(client_streaming),
        "FullDuplexCall": grpc.stream_stream_rpc_method_handler(both),
    }, MAX, "grpc.testing.TestService")


# --- the client in Python --------------------------------------------------------------------------------------------------------


class Requests:
    """A stream of requests that the test writes one by one."""

    def __init__(self):
        self.queue = queue.Queue()

    def write(self, data):
        self.queue.put(data)

    def end(self):
        self.queue.put(None)

    def __iter__(self):
        return iter(self.queue.get, None)


class PythonClient:
    """Each method is a case of the list."""

    def __init__(self, test, channel):
        self.test = test
        self.channel = channel

    def unary(self, data, method="UnaryCall", **more):
        return self.channel.unary_unary(SERVICE + method)(data, timeout=mesh.WAIT, **more)

    def duplex(self, requests, **more):
        more.setdefault("timeout", mesh.WAIT)
        return self.channel.stream_stream(SERVICE + "FullDuplexCall")(iter(requests), **more)

    def fails(self, code, call):
        with self.test.assertRaises(grpc.RpcError) as caught:
            call()
        self.test.assertEqual(caught.exception.code(), code)
        return caught.exception

    def empty_unary(self):
        self.test.assertEqual(self.unary(ZERO_MESSAGE, "EmptyCall"), ZERO_MESSAGE)

    def large_unary(self):
        self.test.assertEqual(parts(self.unary(message(271828, size=314159)))[1], 314159)

    def unary_of_20_mib(self):
        self.test.assertEqual(parts(self.unary(message(20 << 20, size=20 << 20)))[1], 20 << 20)

    def client_compressed_unary(self):
        self.test.assertEqual(parts(self.unary(message(271828, size=314159), compression=grpc.Compression.Gzip))[1], 314159)

    def server_compressed_unary(self):
        self.test.assertEqual(parts(self.unary(message(271828, size=314159, zip=True)))[1], 314159)

    def client_streaming(self):
        requests = [message(size) for size in (27182, 8, 1828, 45904)]
        answer = self.channel.stream_unary(SERVICE + "StreamingInputCall")(iter(requests), timeout=mesh.WAIT)
        self.test.assertEqual(parts(answer)[0], {"total": 74922})

    def server_streaming(self):
        for compressed in (False, True):
            answers = self.channel.unary_stream(SERVICE + "StreamingOutputCall")(
                message(sizes=[31415, 9, 2653, 58979], zip=compressed), timeout=mesh.WAIT)
            self.test.assertEqual([parts(one)[1] for one in answers], [31415, 9, 2653, 58979])

    def ping_pong(self):
        requests = Requests()
        call = self.duplex(requests)
        for sent, wanted in ((27182, 31415), (8, 9), (1828, 2653), (45904, 58979)):
            requests.write(message(sent, sizes=[wanted]))
            self.test.assertEqual(parts(next(call))[1], wanted)
        requests.end()
        self.test.assertEqual(list(call), [])
        self.test.assertEqual(call.code(), grpc.StatusCode.OK)

    def empty_stream(self):
        call = self.duplex([])
        self.test.assertEqual(list(call), [])
        self.test.assertEqual(call.code(), grpc.StatusCode.OK)

    def custom_metadata(self):
        metadata = ((ECHO_INITIAL, "test_initial_metadata_value"), (ECHO_TRAILING, b"\xab\xab\xab"))
        _, call = self.channel.unary_unary(SERVICE + "UnaryCall").with_call(message(271828, size=314159), metadata=metadata,
                                                                           timeout=mesh.WAIT)
        stream = self.duplex([message(271828, sizes=[314159])], metadata=metadata)
        self.test.assertEqual(len(list(stream)), 1)
        for one in (call, stream):
            self.test.assertEqual(dict(one.initial_metadata())[ECHO_INITIAL], "test_initial_metadata_value")
            self.test.assertEqual(dict(one.trailing_metadata())[ECHO_TRAILING], b"\xab\xab\xab")

    def status_code_and_message(self):
        asked = message(status=[2, "test status message"])
        for call in (lambda: self.unary(asked), lambda: list(self.duplex([asked]))):
            self.test.assertEqual(self.fails(grpc.StatusCode.UNKNOWN, call).details(), "test status message")

    def special_status_message(self):
        error = self.fails(grpc.StatusCode.UNKNOWN, lambda: self.unary(message(status=[2, SPECIAL])))
        self.test.assertEqual(error.details(), SPECIAL)

    def unimplemented_method(self):
        self.fails(grpc.StatusCode.UNIMPLEMENTED, lambda: self.unary(ZERO_MESSAGE, "UnimplementedCall"))

    def unimplemented_service(self):
        method = self.channel.unary_unary("/grpc.testing.UnimplementedService/UnimplementedCall")
        self.fails(grpc.StatusCode.UNIMPLEMENTED, lambda: method(ZERO_MESSAGE, timeout=mesh.WAIT))

    def cancel_after_begin(self):
        requests = Requests()
        call = self.channel.stream_unary(SERVICE + "StreamingInputCall").future(iter(requests), timeout=mesh.WAIT)
        call.cancel()
        requests.end()
        self.test.assertEqual(call.code(), grpc.StatusCode.CANCELLED)

    def cancel_after_first_response(self):
        requests = Requests()
        call = self.duplex(requests)
        requests.write(message(27182, sizes=[31415]))
        self.test.assertEqual(parts(next(call))[1], 31415)
        call.cancel()
        requests.end()
        self.test.assertEqual(call.code(), grpc.StatusCode.CANCELLED)

    def timeout_on_sleeping_server(self):
        requests = Requests()
        call = self.duplex(requests, timeout=0.1)
        requests.write(message(27182))
        self.fails(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: next(call))
        requests.end()

    def concurrent_large_unary(self):
        method = self.channel.unary_unary(SERVICE + "UnaryCall")
        calls = [method.future(message(271828, size=314159), timeout=mesh.WAIT) for _ in range(50)]
        self.test.assertEqual({parts(one.result())[1] for one in calls}, {314159})

    def large_metadata(self):
        # 6 KiB: by default grpcio itself takes 8 KiB of metadata.
        value = "m" * 6144
        _, call = self.channel.unary_unary(SERVICE + "UnaryCall").with_call(message(), metadata=((ECHO_INITIAL, value),),
                                                                           timeout=mesh.WAIT)
        self.test.assertEqual(dict(call.initial_metadata())[ECHO_INITIAL], value)


CASES = [name for name in vars(PythonClient) if not name.startswith("_") and name not in ("unary", "duplex", "fails")]


class InteropTest(mesh.MeshTest):
    """With the two servers of the list."""

    def python_server(self):
        server, address = serve()
        self.addCleanup(lambda: server.stop(0).wait())
        return address

    def node_server(self):
        server = npm.Server("grpc_interop_server.js", mesh.HOST)
        self.addCleanup(server.stop)
        return server.address


class Direct(InteropTest):
    def meet(self, address):
        """The port through which a client reaches a server."""
        return address[1]

    def run_python(self, address):
        with grpc.insecure_channel("%s:%d" % (mesh.HOST, self.meet(address)), options=MAX) as channel:
            client = PythonClient(self, channel)
            for case in CASES:
                with self.subTest(case):
                    getattr(client, case)()

    def run_node(self, address):
        results = npm.run("grpc_interop_client.js", "%s:%d" % (mesh.HOST, self.meet(address)))
        self.assertEqual(set(CASES) - set(results), set())
        for case, result in results.items():
            with self.subTest(case):
                self.assertEqual(result, "ok")

    def test_grpcio_to_grpcio(self):
        self.run_python(self.python_server())

    def test_grpcio_to_grpc_js(self):
        self.run_python(self.node_server())

    def test_grpc_js_to_grpcio(self):
        self.run_node(self.python_server())

    def test_grpc_js_to_grpc_js(self):
        self.run_node(self.node_server())


class ThroughOne(Direct):
    def meet(self, address):
        self.start(addresses=[address], http2_app=True)
        return self.port


class ThroughTwo(mesh.AtTwo, ThroughOne):
    pass


if __name__ == "__main__":
    unittest.main()
