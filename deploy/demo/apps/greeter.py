#!/usr/bin/python3
"""The demo's gRPC service, without generated code: bytes in, bytes out. Usage: greeter.py serve|call ADDRESS [COUNT]."""
import sys
from concurrent import futures

import grpc

METHOD = "/demo.Greeter/Greet"
STREAM = "/demo.Greeter/Count"
UPLOAD = "/demo.Greeter/Sum"
CHAT = "/demo.Greeter/Chat"


def serve(address):
    def greet(request, context):
        context.set_trailing_metadata((("served-by", "greeter"),))
        return b"Hello, " + request

    def count(request, _context):
        for i in range(int(request)):
            yield str(i).encode()

    def add(requests, _context):
        return str(sum(int(x) for x in requests)).encode()

    def chat(requests, _context):
        for request in requests:
            yield b"You said " + request

    handlers = {
        "Greet": grpc.unary_unary_rpc_method_handler(greet),
        "Count": grpc.unary_stream_rpc_method_handler(count),
        "Sum": grpc.stream_unary_rpc_method_handler(add),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
    }
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("demo.Greeter", handlers),))
    if server.add_insecure_port(address) == 0:
        sys.exit("greeter: cannot listen on " + address)
    server.start()
    server.wait_for_termination()


def call(address, count):
    options = (("grpc.default_authority", "greeter"),)
    with grpc.insecure_channel(address, options=options) as channel:
        unary = channel.unary_unary(METHOD)
        stream = channel.unary_stream(STREAM)
        for i in range(count):
            answer, done = unary.with_call(str(i).encode(), timeout=5)
            assert answer == b"Hello, " + str(i).encode(), answer
            assert ("served-by", "greeter") in [tuple(pair) for pair in done.trailing_metadata()]
        got = [int(x) for x in stream(b"100", timeout=5)]
        assert got == list(range(100)), got
        numbers = [str(x).encode() for x in range(100)]
        assert channel.stream_unary(UPLOAD)(iter(numbers), timeout=5) == b"4950"
        assert list(channel.stream_stream(CHAT)(iter(numbers), timeout=5)) == [b"You said " + x for x in numbers]
    print(f"{count} unary calls and a stream of 100 messages each way and both ways, all right")


if sys.argv[1] == "serve":
    serve(sys.argv[2])
else:
    call(sys.argv[2], int(sys.argv[3]))
