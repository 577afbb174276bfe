#!/usr/bin/python3
"""Routes, policies and limits change ten times a second while wrk, h2load and POSTs run: YAML goes into the real control plane, and
no request is lost, none runs twice. PILLION_FAULT_SECONDS=n: for so long.

Usage: changes_test.py <pillion-control-plane> <pillion-sidecar>
"""
import collections
import itertools
import json
import os
import threading
import unittest

import gateway
import load
import mesh
from gateway import HOST, policy, route, to

SECONDS = max(int(os.environ.get("PILLION_FAULT_SECONDS", "8")), 4)
MARK = "x-variant"


class App(load.CountingApp):
    def __init__(self, _):
        super().__init__(milliseconds=5)
        self.port = self.address[1]
        self.wait()


def routes(number):
    """Whose answers say which they are."""
    def mark(kind="ResponseHeaderModifier"):
        return json.dumps({"type": kind, kind[0].lower() + kind[1:]: {"set": [{"name": MARK, "value": str(number)}]}})
    weights = "[{name: echo-v1, port: 80, weight: %d}, {name: echo-v2, port: 80, weight: %d}]" % (number % 7 + 1, number % 5 + 1)
    made = [
        [f"{{filters: [{mark()}], backendRefs: {weights}}}"],
        [f"{{filters: [{mark()}, {mark('RequestHeaderModifier')}], backendRefs: [{{name: echo, port: 80}}]}}"],
        [f"{{matches: [{{path: {{type: PathPrefix, value: /get}}}}], filters: [{mark()}], backendRefs: [{{name: echo-v2, port: 80}}]}}",
         f"{{matches: [{{method: POST}}], filters: [{mark()}], timeouts: {{request: 20s}}, backendRefs: {weights}}}"],
        [f"{{filters: [{mark()}], retry: {{codes: [503], attempts: 2, backoff: 1ms}}, backendRefs: [{{name: echo, port: 80}}]}}"],
    ]
    return route("r", made[number % len(made)])


BALANCERS = [
    {"balancer": "RoundRobin"},
    {"balancer": "LeastRequest", "choices": 3, "slowStart": "1s"},
    {"balancer": "RingHash", "hashOn": [{"header": "host"}, {"sourceIp": True}]},
    {"balancer": "PeakEwma"},
    {"balancer": "Maglev", "hashOn": [{"cookie": {"name": "c", "ttl": "60s"}}]},
    {"balancer": "Maglev", "hashOn": [{"queryParameter": "q"}, {"header": "user-agent"}]},
    {"balancer": "Random"},
]
RETRIES = [
    None,
    {"attempts": 3, "retryOn": ["5xx"], "perTryTimeout": "15s"},
    {"attempts": 1, "retryOn": ["connect-failure"], "budget": {"percent": 50, "perSecond": 10}},
]
CIRCUITS = [
    None,
    {"maxRequests": 500},
    {"maxConnections": 100, "maxPendingRequests": 100, "maxRequests": 200},
    {"maxConnections": 64, "maxRetries": 5, "maxConnectionsPerEndpoint": 64, "connectTimeout": "2s"},
]
HEALTH = [
    None,
    {"outlierDetection": {"consecutiveErrors": 5, "ejection": "1s", "maxEjectionPercent": 50}},
    {"healthCheck": {"tcp": {}, "interval": "1s"}},
]


def policies(number):
    made = []
    for kind, choices in (("LoadBalancingPolicy", BALANCERS), ("RetryPolicy", RETRIES), ("CircuitBreakerPolicy", CIRCUITS),
                          ("HealthPolicy", HEALTH)):
        spec = choices[number % len(choices)]
        for target in ("echo", "echo-v1", "echo-v2") if spec else ():
            made.append(policy(kind, target, **spec).replace('"metadata": {"name": "', '"metadata": {"name": "%s-' % target))
    return "".join(made)


class Changes(gateway.Gateway):
    make_app = App
    behind_sidecars = True

    def test_no_request_is_lost_and_none_runs_twice(self):
        port = self.outbound["default"]
        self.write("routes", routes(0))
        mesh.wait_until(lambda: self.variant() == "0", "the first routes are in force")
        tools = [load.Wrk(port, SECONDS, host="echo", at=HOST), load.H2load(port, SECONDS, host="echo", at=HOST)]
        posts = [load.Posts(port, host="echo", at=HOST) for _ in range(4)]
        seen = set()
        written = 0
        for number in itertools.count(1):
            if all(tool.process.poll() is not None for tool in tools):
                break
            self.write("routes", routes(number) + policies(number))
            written = number
            threading.Event().wait(0.1)
            seen.add(self.variant())
        results = [tool.result() for tool in tools]
        statuses = {path: status for one in posts for path, status in one.stop().items()}
        runs = collections.Counter(path for app in self.apps.values() for path in app.executed())
        print("%d changes, of which answers have shown %d; %d GETs, %d bad; %d POSTs" % (
            written, len(seen), sum(done for done, _ in results), sum(bad for _, bad in results), len(statuses)), flush=True)
        for done, bad in results:
            self.assertGreater(done, 0)
            self.assertEqual(bad, 0)
        self.assertEqual({path: status for path, status in statuses.items() if status != 200}, {})
        self.assertEqual([path for path in statuses if runs[path] != 1], [])
        self.assertGreater(len(seen), written // 4)
        mesh.wait_until(lambda: self.variant() == str(written), "the last routes are in force")
        self.stderrs[0].seek(0)
        refused = [line for line in self.stderrs[0].read().splitlines() if "[error]" in line]
        self.assertEqual(refused[:3], [])

    def variant(self):
        status, _ = self.ask("/get/variant")
        self.assertEqual(status, 200)
        return self.answer.getheader(MARK)


if __name__ == "__main__":
    unittest.main(argv=["changes_test.py"])
