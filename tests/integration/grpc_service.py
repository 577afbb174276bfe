"""A gRPC service of bytes, without generated code."""

import concurrent.futures

import grpc

import mesh


def serve(methods, options=(), service="test.Echo"):
    """`methods`: by name. Returns the started server and its address."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0), *options])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    address = (mesh.HOST, server.add_insecure_port("%s:0" % mesh.HOST))
    server.start()
    return server, address
