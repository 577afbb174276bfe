#!/usr/bin/python3
"""Gateway API for meshes, sessionPersistence (GEP-1619): as gateway_test.py, with clients that keep what they are given.

Usage: gateway_session_test.py <pillion-control-plane> <pillion-sidecar>
"""
import collections
import http.client
import json
import sys
import unittest

import gateway
import mesh
from gateway import route
from mesh import HOST

REQUESTS = 50  # of a session, as the conformance suite has it


def rule(*backends, path="/", **persistence):
    """`backends`: (name, weight)."""
    return json.dumps({"matches": [{"path": {"type": "PathPrefix", "value": path}}], "sessionPersistence": persistence,
                       "backendRefs": [{"name": name, "port": 80, "weight": weight} for name, weight in backends]})


class Gateway(gateway.Gateway):
    names = ("v1", "v2", "v3")

    def begin(self, path="/"):
        """A session's first request: who has answered, and the field that the next ones bring."""
        status, seen = self.ask(path)
        self.assertEqual(status, 200)
        self.given = self.answer.getheader("set-cookie")
        self.assertIsNotNone(self.given, self.answer.headers)
        return seen["backend"], {"cookie": self.given.split(";")[0]}

    def stays(self, backend, session, path="/", count=REQUESTS):
        for _ in range(count):
            self.goes_to(backend, path, **session)
            self.assertIsNone(self.answer.getheader("set-cookie"), "who knows is not told again")

    def attributes(self):
        return {part.strip() for part in self.given.split(";")[1:]}


class Cases:
    def test_http_route_session_persistence_cookie(self):
        self.apply(route("r", [rule(("echo", 1), sessionName="mine")]))
        begun = set()
        for _ in range(6):
            backend, session = self.begin()
            begun.add(backend)
            self.assertTrue(session["cookie"].startswith("mine="))
            self.stays(backend, session)
        self.assertEqual(begun, set(self.names), "those that begin are balanced")
        self.assertEqual(self.attributes(), {"Path=/", "HttpOnly", "SameSite=Lax"}, "until the client ends")

    def test_http_route_session_persistence_cookie_lifetime_type_permanent(self):
        self.apply(route("r", [rule(("echo", 1), absoluteTimeout="5m", cookieConfig={"lifetimeType": "Permanent"})]))
        backend, session = self.begin()
        self.assertIn("Max-Age=300", self.attributes())
        self.stays(backend, session)

    def test_session_persistence_by_header(self):
        self.apply(route("r", [rule(("echo", 1), type="Header", sessionName="X-Session")]))
        for _ in range(3):
            status, seen = self.ask()
            session = {"x-session": self.answer.getheader("x-session")}
            self.assertTrue(session["x-session"])
            for _ in range(REQUESTS):
                self.goes_to(seen["backend"], **session)
                self.assertIsNone(self.answer.getheader("x-session"))

    def test_a_value_of_somebodys_own_is_no_way_to_elsewhere(self):
        self.apply(route("r", [rule(("echo-v1", 1), sessionName="mine")]))
        self.begin()
        value = {"cookie": self.given.split(";")[0]}
        self.apply(route("r", [rule(("echo-v2", 1), sessionName="mine")]))
        for session in (value, {"cookie": "mine=MTI3LjAuMC4xOjIy"}, {"cookie": "mine=;;="}):
            self.goes_to("v2", **session)
            self.assertTrue(self.answer.getheader("set-cookie").startswith("mine="))

    def test_weighted_backends(self):
        """The weights share out those that begin; a session stays whatever becomes of them."""
        self.apply(route("r", [rule(("echo-v1", 7), ("echo-v2", 3), ("echo-v3", 0), sessionName="mine")]))
        begun = collections.Counter()
        sessions = {}
        for _ in range(50):
            backend, session = self.begin()
            begun[backend] += 1
            sessions[backend] = session
            self.stays(*sorted(sessions.items())[0], count=1)
        self.assertEqual(set(begun), {"v1", "v2"})
        self.assertAlmostEqual(begun["v1"], 35, delta=1)
        for backend, session in sessions.items():
            self.stays(backend, session)
        self.apply(route("r", [rule(("echo-v1", 0), ("echo-v2", 0), ("echo-v3", 1), sessionName="mine")]))
        for backend, session in sessions.items():
            self.stays(backend, session)
        self.assertEqual(self.begin()[0], "v3")

    def test_sessions_are_their_rules_own(self):
        self.apply(route("r", [rule(("echo", 1), path="/a"), rule(("echo", 1), path="/b")]))
        first, session = self.begin("/a/x")
        self.assertIn("Path=/a", self.attributes())
        seen = set()
        for _ in range(6):
            _, other = self.begin("/b")
            self.assertIn("Path=/b", self.attributes())
            self.assertNotEqual(other["cookie"].split("=")[0], session["cookie"].split("=")[0])
            status, answer = self.ask("/b", **session)
            self.assertEqual(status, 200)
            seen.add(answer["backend"])
        self.assertEqual(seen, set(self.names), "the cookie of one is none of the other's")
        self.stays(first, session, "/a")

    def test_a_tunnel_begins_and_follows_a_session(self):
        self.apply(route("r", [rule(("echo", 1), sessionName="mine")]))

        def upgrade(**fields):
            connection = http.client.HTTPConnection(HOST, self.outbound["default"], timeout=mesh.WAIT)
            connection.request("GET", "/", headers={
                "Host": "echo", "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **fields})
            answer = connection.getresponse()
            connection.close()
            self.assertEqual(answer.status, 101)
            return answer.getheader("set-cookie")
        given = upgrade()
        session = {"cookie": given.split(";")[0]}
        for _ in range(6):
            self.assertIsNone(upgrade(**session), "it is served where it asked to be")
        status, seen = self.ask(**session)
        self.stays(seen["backend"], session)

    def test_a_pod_that_is_about_to_end_keeps_its_sessions(self):
        self.apply(route("r", [rule(("echo", 1), sessionName="mine")]))
        backend, session = self.begin()
        while backend != "v1":
            backend, session = self.begin()
        with open(f"{self.config}/services.yaml") as file:
            services = file.read()
        self.addCleanup(self.write, "services", services)
        of_echo, ready = services.index("name: echo-0"), "conditions: {ready: true}"
        at = services.index(ready, of_echo)
        drains = "conditions: {ready: false, serving: true, terminating: true}"
        self.write("services", services[:at] + drains + services[at + len(ready):])
        mesh.wait_until(lambda: "v1" not in {self.ask()[1]["backend"] for _ in range(6)}, "no session begins there")
        self.stays("v1", session)
        self.write("services", services[:at] + "conditions: {ready: false}" + services[at + len(ready):])
        mesh.wait_until(lambda: self.ask(**session)[1]["backend"] != "v1", "it has ended")
        moved = {"cookie": self.answer.getheader("set-cookie").split(";")[0]}
        status, seen = self.ask(**moved)
        self.stays(seen["backend"], moved)


class ToApps(Cases, Gateway):
    pass


class BetweenSidecars(Cases, Gateway):
    behind_sidecars = True


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
