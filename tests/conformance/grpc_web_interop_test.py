"""gRPC-Web with npm's grpc-web, in its text and its binary format, over HTTP/1.1 and over HTTP/2, to the service of
grpc_interop_test.py in Python and in Node: through one sidecar, and through two, of which the first or the last one
translates."""
import unittest

import grpc_interop_test
import mesh
import npm

WEB = ("web", mesh.typed("envoy.extensions.filters.http.grpc_web.v3.GrpcWeb"))
CASES = {"empty_unary", "large_unary", "unary_of_4_mib", "server_streaming", "empty_stream", "custom_metadata",
         "status_code_and_message", "special_status_message", "unimplemented_method", "unimplemented_service",
         "concurrent_large_unary", "large_metadata"}
RESULTS = {"%s.%s" % (form, case) for form in ("text", "binary") for case in CASES}


class ThroughOne(grpc_interop_test.InteropTest):
    out = {"filters": (WEB,)}
    inbound = None

    def run_web(self, address, transport):
        self.start(addresses=[address], http2_app=True, out=self.out, inbound=self.inbound)
        results = npm.run("grpc_web_interop_client.js", "http://%s:%d" % (mesh.HOST, self.port), transport)
        self.assertEqual(set(results), RESULTS | ({"text.cancel_after_first_response"} if transport == "h2" else set()))
        for case, result in results.items():
            with self.subTest(case):
                self.assertEqual(result, "ok")

    def test_http1_to_grpcio(self):
        self.run_web(self.python_server(), "h1")

    def test_http2_to_grpcio(self):
        self.run_web(self.python_server(), "h2")

    def test_http1_to_grpc_js(self):
        self.run_web(self.node_server(), "h1")

    def test_http2_to_grpc_js(self):
        self.run_web(self.node_server(), "h2")


class TheFirstOfTwoTranslates(mesh.AtTwo, ThroughOne):
    pass


class TheLastOfTwoTranslates(mesh.AtTwo, ThroughOne):
    out = None
    inbound = {"filters": (WEB,)}


if __name__ == "__main__":
    unittest.main()
