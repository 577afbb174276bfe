"""Active health checks against real gRPC servers: whoever says that it does not serve gets no calls."""

import collections
import unittest

import grpc

import grpc_service
import mesh

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"  # HealthCheckResponse: field 1, status
ASKED = b"\x0a\x06orders"  # HealthCheckRequest: field 1, service


class Server:
    """Calls are answered with its name; what its checks say can be set. None: it has no such service."""

    def __init__(self, name, says=SERVING):
        self.name = name
        self.says = says
        self.asked = []
        self.server, self.address = grpc_service.serve(
            {"Check": grpc.unary_unary_rpc_method_handler(self.check)}, service="grpc.health.v1.Health")
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            "test.Echo", {"Who": grpc.unary_unary_rpc_method_handler(lambda *_: name.encode())}),))

    def check(self, request, context):
        self.asked.append(request)
        if self.says is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return self.says

    def stop(self):
        self.server.stop(0).wait()


class HealthChecks(mesh.MeshTest):
    def setUp(self):
        super().setUp()
        self.servers = [Server("a"), Server("b")]
        self.port = mesh.free_port()
        check = {"timeout": "5s", "interval": "0.05s", "no_traffic_interval": "0.05s", "unhealthy_interval": "0.05s",
                 "unhealthy_threshold": 2, "healthy_threshold": 2, "grpc_health_check": {"service_name": "orders"}}
        self.made = [mesh.Sidecar(
            [mesh.listener("outbound", self.port, "app")],
            [mesh.cluster("app", [one.address for one in self.servers], http2=True, health_checks=[check],
                          common_lb_config={"healthy_panic_threshold": {"value": 0}})])]
        for one in self.servers:
            self.addCleanup(one.stop)
        self.channel = grpc.insecure_channel("%s:%d" % (mesh.HOST, self.port))
        self.addCleanup(self.channel.close)
        self.who = self.channel.unary_unary("/test.Echo/Who")

    def answers(self):
        """Who answers ten calls; of errors their codes."""
        seen = collections.Counter()
        for _ in range(10):
            try:
                seen[self.who(b"", timeout=mesh.WAIT).decode()] += 1
            except grpc.RpcError as error:
                seen[error.code().name] += 1
        return dict(seen)

    def become(self, expected):
        mesh.wait_until(lambda: self.answers() == expected, "the answers are %s" % expected)

    def test_whoever_says_that_it_does_not_serve_gets_no_calls(self):
        self.become({"a": 5, "b": 5})
        mesh.wait_until(lambda: self.servers[0].asked, "it is asked")
        self.assertEqual(self.servers[0].asked[0], ASKED)
        self.servers[0].says = NOT_SERVING
        self.become({"b": 10})
        self.servers[0].says = SERVING
        self.become({"a": 5, "b": 5})
        self.servers[1].says = None
        self.become({"a": 10})
        self.servers[0].says = b""  # UNKNOWN
        self.become({"UNAVAILABLE": 10})
        self.servers[1].says = SERVING
        self.become({"b": 10})

    def test_whoever_has_gone_gets_no_calls(self):
        self.become({"a": 5, "b": 5})
        self.servers[0].stop()
        self.become({"b": 10})


if __name__ == "__main__":
    unittest.main()
