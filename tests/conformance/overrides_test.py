#!/usr/bin/python3
"""What YAML says of endpoints, of the whole mesh and of proven identities, from the control plane to the apps.

Usage: overrides_test.py <pillion-control-plane> <pillion-sidecar>
"""
import collections
import http.client
import itertools
import json
import re
import ssl
import sys
import unittest

import gateway
import mesh
from gateway import policy, route
from mesh import HOST
import certificates  # on the path by gateway


def service(name, ends, namespace="default", ready=True):
    """As gateway.service, with each endpoint in a zone of its own: z0, z1, ..."""
    numbers = itertools.count()

    def place(found):
        number = next(numbers)
        return f"zone: z{number}, conditions: {{ready: {str(ready or number > 0).lower()}}}"

    return re.sub("conditions: {ready: true}", place, gateway.service(name, ends, namespace))


TO_ALL = route("r", ["{backendRefs: [{name: echo, port: 80}]}"])


class Overrides(gateway.Gateway):
    names = ("v1", "v2")
    service = staticmethod(service)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.authority = certificates.Authority()
        for name in ("ann", "bob"):
            cls.authority.issue(name, "URI:spiffe://td/" + name)
        cls.secure = mesh.free_port()
        made = mesh.listener("secure", cls.secure, "none", direction="INBOUND", filters=[
            ("envoy.filters.http.local_ratelimit", mesh.typed(
                "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", stat_prefix="s"))])
        manager = made["filter_chains"][0]["filters"][0]["typed_config"]
        del manager["route_config"]
        manager["rds"] = {"route_config_name": "inbound", "config_source": {"ads": {}, "resource_api_version": "V3"}}
        mesh.with_tls(made, mesh.server_tls({
            "tls_certificates": [cls.authority.issue("server", "DNS:a.example")],
            "validation_context": cls.authority.trusted()}))
        cls.sidecar("echo-v1", "default", [made], outbound_listener="none",
                    inbound_listener=f"{HOST}:{mesh.free_port()}", app=f"{HOST}:{cls.apps['v1'].port}")
        mesh.wait_until(lambda: mesh.listens(cls.secure), "the listener with TLS")

    def shares(self, count=40, **fields):
        return collections.Counter(self.ask(**fields)[1]["backend"] for _ in range(count))

    def becomes(self, expected, **fields):
        mesh.wait_until(lambda: dict(self.shares(**fields)) == expected, f"the shares are {expected}")

    def test_endpoints_have_weights(self):
        self.becomes({"v1": 20, "v2": 20})
        self.apply(TO_ALL, policy("XdsOverride", "echo", endpoints=[{"zones": ["z1"], "endpoint": {"load_balancing_weight": 3}}]))
        self.becomes({"v1": 10, "v2": 30})

    def test_places_have_weights(self):
        self.apply(TO_ALL, policy("XdsOverride", "echo", endpoints=[{"zones": ["z1"], "locality": {"load_balancing_weight": 4}}],
                                  cluster={"common_lb_config": {"locality_weighted_lb_config": {}}}))
        self.becomes({"v1": 8, "v2": 32})

    def test_the_second_priority_serves_when_the_first_cannot(self):
        self.apply(TO_ALL, policy("XdsOverride", "echo", endpoints=[{"zones": ["z1"], "locality": {"priority": 1}}]))
        self.becomes({"v1": 40})
        ends = {one: (app.port, False) for one, app in self.apps.items()}
        try:
            self.write("services", service("echo", ends.values(), ready=False) + "".join(
                service("echo-" + one, [end], ns) for one, end in ends.items() for ns in ("default", "other")))
            self.becomes({"v2": 40})
        finally:
            self.write_services(ends)
        self.becomes({"v1": 40})

    def test_overprovisioning_says_what_the_rest_of_a_priority_carries(self):
        # One of two in the first priority is degraded: what is well is half of it.
        for factor, expected in ((200, {"v1": 40}), (100, {"v1": 20, "v2": 20})):
            self.apply(TO_ALL, policy("XdsOverride", "echo", loadAssignment={"policy": {"overprovisioning_factor": factor}}, endpoints=[
                {"zones": ["z1"], "endpoint": {"health_status": "DEGRADED"}}]))
            shares = collections.Counter()

            def settled():
                nonlocal shares
                shares = self.shares(400)
                return shares["v2"] == 0 if factor == 200 else 120 < shares["v2"] < 280

            mesh.wait_until(settled, f"of {factor} %: {expected}")

    def test_subsets_are_made_of_what_yaml_says_of_endpoints(self):
        self.apply(TO_ALL, policy("XdsOverride", "echo", cluster={"lb_subset_config": {"subset_selectors": [{"keys": ["version"]}]}},
                          endpoints=[{"zones": ["z0"], "endpoint": {"metadata": {"filter_metadata": {"envoy.lb": {"version": "one"}}}}}],
                          route={"route": {"metadata_match": {"filter_metadata": {"envoy.lb": {"version": "one"}}}}}))
        self.becomes({"v1": 40})

    def test_what_is_said_of_the_whole_mesh_is_on_every_request(self):
        self.apply(TO_ALL, "---\n" + json.dumps({
            "apiVersion": "policy.pillion.dev/v1alpha1", "kind": "XdsOverride", "metadata": {"name": "all"},
            "spec": {"routeConfiguration": {"request_headers_to_add": [{"header": {"key": "x-mesh", "value": "ours"}}]}}}) + "\n")
        for host in ("echo", "echo-v1", "echo-v2"):
            self.assertIn(["x-mesh", "ours"], self.ask(host=host)[1]["fields"])

    def test_each_identity_has_a_limit_of_its_own(self):
        self.apply(TO_ALL, policy("RateLimitPolicy", "echo-v1", requests=1000, clients=[{"by": "Identity", "requests": 2, "per": "1h"}]))

        def status(certificate):
            context = ssl.create_default_context(cafile=self.authority.ca)
            context.check_hostname = False
            if certificate:
                context.load_cert_chain(self.authority.path(certificate), self.authority.key(certificate))
            connection = http.client.HTTPSConnection(HOST, self.secure, timeout=mesh.WAIT, context=context)
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()
                return answer.status, answer.getheader("ratelimit-limit") or answer.getheader("x-ratelimit-limit")
            finally:
                connection.close()

        mesh.wait_until(lambda: status(None)[1] is not None, "the limit is in force")
        self.assertEqual([status("ann")[0] for _ in range(3)], [200, 200, 429])
        self.assertEqual([status("bob")[0] for _ in range(3)], [200, 200, 429], "another's")
        self.assertEqual([status(None)[0] for _ in range(4)], [200] * 4, "who proves nothing is under the limit of all alone")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
