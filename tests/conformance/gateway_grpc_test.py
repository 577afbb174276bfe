#!/usr/bin/python3
"""Gateway API for meshes, GRPCRoute: as gateway_test.py, with gRPC servers as apps and Google's client.

Usage: gateway_grpc_test.py <pillion-control-plane> <pillion-sidecar>
"""
import collections
import http.client
import json
import os
import sys
import threading
import unittest

import grpc

import gateway
import grpc_service
import mesh
from gateway import modifier
from mesh import HOST

PORT = 7070
METHODS = ("Echo", "EchoTwo", "EchoThree")


class App:
    """Answers with what it saw; `x-fail: TIMES ID` among the metadata: UNAVAILABLE, until so many of that ID have come."""

    def __init__(self, backend):
        self.backend = backend
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.server, (_, self.port) = grpc_service.serve({
            name: grpc.unary_unary_rpc_method_handler(lambda _, context, name=name: self.echo(name, context))
            for name in METHODS}, service="echo.Echo")

    def echo(self, method, context):
        metadata = list(context.invocation_metadata())
        for times, identity in (value.split() for name, value in metadata if name == "x-fail"):
            with self.lock:
                self.counts[identity] += 1
                if self.counts[identity] <= int(times):
                    context.abort(grpc.StatusCode.UNAVAILABLE, "told to fail")
        context.send_initial_metadata((("x-app", self.backend),))
        fields = [(name, value) for name, value in metadata if isinstance(value, str)]
        return json.dumps({"backend": self.backend, "method": method, "fields": fields}).encode()

    def stop(self):
        self.server.stop(0).wait()


def service(name, ends, namespace="default"):
    made = gateway.service(name, ends, namespace)
    assert "{name: alt, port: 8080, targetPort: 8080}" in made
    return made.replace("port: 8080, targetPort", f"port: {PORT}, targetPort").replace(
        "targetPort: 8080", "targetPort: 8080, appProtocol: kubernetes.io/h2c")


def route(name, rules, port=PORT, kind="GRPCRoute"):
    """`rules`: what JSON is made of."""
    return f"""
---
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: {name}}}
spec:
  parentRefs: [{{group: "", kind: Service, name: echo, port: {port}}}]
  rules: {json.dumps(rules)}
"""


def rule(*backends, method=None, headers=None, kind="Exact", **more):
    """`backends`: (name, weight); `method`: (service, method), either of them None."""
    match = {}
    if method:
        match["method"] = {"type": kind, **{key: value for key, value in zip(("service", "method"), method) if value}}
    if headers:
        match["headers"] = gateway.fields(headers)
    return {"matches": [match], "backendRefs": [{"name": name if "-" in name else "echo-" + name, "port": PORT, "weight": weight}
                                                for name, weight in backends], **more}


def to(backend, *method, **more):
    return rule((backend, 1), method=method, **more)


class Gateway(gateway.Gateway):
    names = ("v1", "v2", "v3")
    make_app = App
    service = staticmethod(service)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.channel = grpc.insecure_channel(f"{HOST}:{cls.outbound['default']}", [("grpc.default_authority", f"echo:{PORT}")])
        cls.addClassCleanup(cls.channel.close)

    def code(self, method="Echo", service="echo.Echo", **metadata):
        """The status; what the app saw is in `seen`."""
        self.seen = self.details = None
        metadata = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        try:
            call = self.channel.unary_unary(f"/{service}/{method}").with_call
            answer, self.call = call(b"", metadata=metadata, timeout=mesh.WAIT, wait_for_ready=True)
            self.seen = json.loads(answer)
            return "OK"
        except grpc.RpcError as error:
            self.details = error.details()
            return error.code().name

    def goes_to(self, backend, *method, **metadata):
        self.assertEqual((self.code(*method, **metadata), self.seen and self.seen["backend"]), ("OK", backend), self.details)

    def answers(self, code, *method, details="", **metadata):
        self.assertEqual(self.code(*method, **metadata), code, self.details)
        self.assertIn(details, self.details)

    def remove_routes(self):
        path = os.path.join(self.config, "routes.yaml")
        if os.path.exists(path):
            os.unlink(path)
        mesh.wait_until(lambda: self.code("EchoThree") == "OK", "without a route everything goes to the Service")

    def apply(self, *routes):
        gateway.Gateway.applied += 1
        mark = f"applied.N{gateway.Gateway.applied}"
        self.write("routes", "".join(routes) + route("mark", [rule(method=(mark, "Mark"))]))
        mesh.wait_until(lambda: self.code("Mark", mark) == "UNAVAILABLE", "the routes are in force")


# By `x-test-case`: the filter, what is sent, what the app sees.
MODIFIERS = {
    "set": (dict(set={"X-Header-Set": "set-overwrites-values"}),
            [({}, {"x-header-set": "set-overwrites-values"}),
             ({"x-header-set": "some-other-value"}, {"x-header-set": "set-overwrites-values"})]),
    "add": (dict(add={"X-Header-Add": "add-appends-values"}),
            [({}, {"x-header-add": "add-appends-values"}),
             ({"x-header-add": "some-other-value"}, {"x-header-add": "some-other-value,add-appends-values"})]),
    "remove": (dict(remove=["X-Header-Remove"]), [({"x-header-remove": "val"}, {"x-header-remove": None})]),
    "multiple": (dict(set={"X-Header-Set-1": "header-set-1", "X-Header-Set-2": "header-set-2"},
                      add={"X-Header-Add-1": "header-add-1", "X-Header-Add-2": "header-add-2"},
                      remove=["X-Header-Remove-1", "X-Header-Remove-2"]),
                 [({"x-header-set-2": "old", "x-header-add-2": "add-val-2", "x-header-remove-2": "val", "another": "stays"},
                   {"x-header-set-1": "header-set-1", "x-header-set-2": "header-set-2", "x-header-add-1": "header-add-1",
                    "x-header-add-2": "add-val-2,header-add-2", "x-header-remove-1": None, "x-header-remove-2": None,
                    "another": "stays"})]),
}


class Cases:
    def test_grpc_route_exact_method_matching(self):
        self.apply(route("r", [to("v1", "echo.Echo", "Echo"), to("v2", "echo.Echo", "EchoTwo")]))
        self.goes_to("v1", "Echo")
        self.goes_to("v2", "EchoTwo")
        self.answers("UNIMPLEMENTED", "EchoThree", details="no route")

    def test_grpc_route_header_matching(self):
        self.apply(route("r", [
            rule(("v1", 1), headers={"Version": "one"}), rule(("v2", 1), headers={"version": "two"}),
            rule(("v2", 1), headers={"color": "blue"}), rule(("v1", 1), headers={"color": "blue", "version": "two"})]))
        self.goes_to("v1", version="one")
        self.goes_to("v2", version="two")
        self.goes_to("v2", color="blue")
        self.goes_to("v1", color="blue", version="two")
        self.answers("UNIMPLEMENTED", version="three")
        self.answers("UNIMPLEMENTED")

    def test_grpc_route_named_rule(self):
        self.apply(route("r", [to("v1", "echo.Echo", "Echo", name="named-rule"), to("v2", "echo.Echo", "EchoTwo")]))
        self.goes_to("v1", "Echo")
        self.goes_to("v2", "EchoTwo")

    def test_a_service_or_a_method_alone_and_what_goes_first(self):
        self.apply(route("r", [to("v3", None, "EchoTwo"), to("v1", "echo.Echo", None), to("v2", "echo.Echo", "EchoTwo"),
                               to("v3", "echo", None), rule(("v1", 1), method=("other", None))]),
                   route("s", [to("v3", "[a-z.]+Ec.*", "Echo(Three)?", kind="RegularExpression")]))
        self.goes_to("v1", "Echo")
        self.goes_to("v2", "EchoTwo")
        self.goes_to("v1", "EchoThree")
        self.apply(route("r", [to("v2", None, "EchoTwo"), to("v1", "echo.E.*", "Echo|EchoThree", kind="RegularExpression")]))
        self.goes_to("v2", "EchoTwo")
        self.goes_to("v1", "Echo")
        self.goes_to("v1", "EchoThree")
        self.answers("UNIMPLEMENTED", "EchoFour", details="no route")
        self.answers("UNIMPLEMENTED", "Echo", "xecho.Echo", details="no route")

    def test_mesh_grpc_route_weight(self):
        self.apply(route("r", [rule(("v1", 70), ("v2", 30), ("v3", 0))]))
        seen = collections.Counter()
        for _ in range(200):
            self.assertEqual(self.code(), "OK", self.details)
            seen[self.seen["backend"]] += 1
        self.assertEqual(seen, {"v1": 140, "v2": 60})

    def test_mesh_grpc_route_request_header_modifier(self):
        def filtered(at_backend):
            rules = []
            for case, (lists, _) in MODIFIERS.items():
                made = rule(("v1", 1), headers={"x-test-case": case})
                (made["backendRefs"][0] if at_backend else made)["filters"] = [modifier("Request", **lists)]
                rules.append(made)
            return rules
        for at_backend in (False, True):
            self.apply(route("r", filtered(at_backend)))
            for case, (_, pairs) in MODIFIERS.items():
                for sent, expected in pairs:
                    self.goes_to("v1", **{"x-test-case": case, **sent})
                    for name, value in expected.items():
                        values = [v for n, v in self.seen["fields"] if n == name]
                        self.assertEqual(",".join(values) if values else None, value, (case, name))

    def test_grpc_route_response_header_modifier(self):
        self.apply(route("r", [to("v1", "echo.Echo", None, filters=[
            modifier("Response", set={"X-App": "ours"}, add={"X-Add": "1"})])]))
        self.goes_to("v1")
        got = dict(self.call.initial_metadata())
        self.assertEqual((got["x-app"], got["x-add"]), ("ours", "1"))

    def test_a_backend_that_is_not_valid_is_unavailable(self):
        self.apply(route("r", [rule(("echo-nowhere", 1), method=("echo.Echo", "Echo")), rule(method=("echo.Echo", "EchoTwo")),
                               rule(("echo-nowhere", 1), ("v1", 1), method=("echo.Echo", "EchoThree")),
                               rule(("v1", 0), ("v2", 0), method=("echo.Echo", "AllOfWeightZero"))]))
        for method in ("Echo", "EchoTwo", "AllOfWeightZero"):
            self.answers("UNAVAILABLE", method)
        self.assertEqual(collections.Counter(self.code("EchoThree") for _ in range(20)), {"OK": 10, "UNAVAILABLE": 10})

    def test_a_backend_of_another_namespace_needs_a_grant(self):
        elsewhere = to("v2", "echo.Echo", None)
        elsewhere["backendRefs"][0]["namespace"] = "other"
        grant = """
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: g, namespace: other}
spec:
  from: [{group: gateway.networking.k8s.io, kind: GRPCRoute, namespace: default}]
  to: [{group: "", kind: Service}]
"""
        self.apply(route("r", [elsewhere]))
        self.answers("UNAVAILABLE")
        self.apply(route("r", [elsewhere]), grant)
        self.goes_to("v2")

    def test_an_http_route_gives_way_to_a_grpc_route(self):
        http_rules = [{"backendRefs": [{"name": "echo-v2", "port": PORT}]}]
        self.apply(route("a", http_rules, kind="HTTPRoute"), route("b", [to("v1", "echo.Echo", "Echo")]))
        self.goes_to("v1", "Echo")
        self.answers("UNIMPLEMENTED", "EchoTwo")

    def test_a_retry_policy_of_a_grpc_route(self):
        policy = """
---
apiVersion: policy.pillion.dev/v1alpha1
kind: RetryPolicy
metadata: {name: p}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: GRPCRoute, name: r}]
  retryOn: [unavailable]
  attempts: 2
  idempotent: true
  backoff: {base: 1ms}
"""
        self.apply(route("r", [to("v1", "echo.Echo", None)]), policy)
        self.goes_to("v1", x_fail=f"2 {self.fresh()}")
        self.answers("UNAVAILABLE", x_fail=f"3 {self.fresh()}", details="told to fail")

    def test_http_route_backend_protocol_h2c(self):
        """An HTTP/1.1 client's request to an app that speaks HTTP/2 without TLS."""
        self.write("routes", route("h", [{"backendRefs": [{"name": "echo-v2", "port": PORT}]}], port=80, kind="HTTPRoute"))

        def ask():
            connection = http.client.HTTPConnection(HOST, self.outbound["default"], timeout=mesh.WAIT)
            connection.request("POST", "/echo.Echo/Echo", b"\0\0\0\0\0", {"Host": "echo", "Content-Type": "application/grpc",
                                                                          "TE": "trailers"})
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            return answer.status == 200 and len(body) > 5 and json.loads(body[5:])["backend"] == "v2"
        mesh.wait_until(ask, "it is answered by v2")


class ToApps(Cases, Gateway):
    pass


class BetweenSidecars(Cases, Gateway):
    behind_sidecars = True


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
