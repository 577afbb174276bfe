#!/usr/bin/python3
"""Gateway API for meshes where sidecars capture: what a client dialled at a Service's cluster IP is routed, whatever its Host
says, and the rest goes where it wanted to go. In a network namespace of its own, with the kernel's REDIRECT.

  client of a namespace --dials CLUSTER IP--> [REDIRECT] --> its sidecar, by the routes of that Service --> pods
                        --dials a pod-------> [REDIRECT] --> its sidecar, as bytes ---------------------> that pod

Usage: capture_test.py <pillion-control-plane> <pillion-sidecar>
"""
import http.client
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import unittest

if __name__ == "__main__" and "PILLION_OWN_NETWORK" not in os.environ:
    os.environ["PILLION_OWN_NETWORK"] = "yes"
    os.execvp("unshare", ["unshare", "--user", "--map-root-user", "--net", sys.executable, *sys.argv])

sys.path += [os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", one) for one in ("conformance", "integration")]
import mesh  # noqa: E402

mesh.HOST = "127.0.0.1"  # where REDIRECT leads to
import gateway  # noqa: E402
import redirect  # noqa: E402
import redirect_test  # noqa: E402
from gateway import modifier, route, rule  # noqa: E402

# All of them addresses of this machine alone.
PODS = {"v1": "10.9.0.1", "v2": "10.9.0.2"}
CLUSTER_IPS = {"echo": "10.96.0.1", "echo-v1": "10.96.0.2", "echo-v2": "10.96.0.3", "late": "10.96.0.4"}
CLIENTS = {"default": "10.1.0.1", "other": "10.1.0.2"}
PORT = 8080  # of all pods
NOT_HTTP = 3306
UNSAID = 6379
SET = rule("/", modifier("Response", set={"X-Header-Set": "set-overwrites-values"}), to="v2")


class Pod(gateway.App):
    def __init__(self, backend):
        self.server = http.server.ThreadingHTTPServer((PODS[backend], PORT), gateway.Echo)
        self.start(backend)


def service(name, pods, namespace="default"):
    address = CLUSTER_IPS[name] if namespace == "default" else "None"
    return "---\n" + json.dumps({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": address, "clusterIPs": [address], "ports": [
            {"name": "http", "port": 80, "appProtocol": "http"}, {"name": "alt", "port": 8080, "appProtocol": "http"},
            {"name": "unsaid", "port": UNSAID}, {"name": "db", "port": NOT_HTTP, "appProtocol": "mysql"}]}
    }) + "\n---\n" + json.dumps({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
        "endpoints": [{"addresses": [PODS[one]]} for one in pods],
        "ports": [{"name": "http", "port": PORT}, {"name": "alt", "port": PORT}, {"name": "unsaid", "port": PORT}]}) + "\n"


class Captured(gateway.Gateway):
    make_app = Pod

    @classmethod
    def write_services(cls, _, *more):
        cls.write("services", service("echo", PODS) + "".join(
            service("echo-" + one, [one], namespace) for one in PODS for namespace in ("default", "other")) + "".join(more))

    @classmethod
    def sidecar(cls, name, namespace, **metadata):
        super().sidecar(name, namespace, interception="redirect", **metadata)
        redirect.redirect(CLIENTS[namespace], cls.outbound[namespace])

    def dial(self, address, port, namespace="default"):
        made = socket.create_connection((address, port), timeout=mesh.WAIT, source_address=(CLIENTS[namespace], 0))
        self.addCleanup(made.close)
        return made

    def gets(self, address, host, path="/", port=80, namespace="default"):
        """(status, who answered, the field that the route sets); None: the connection was ended."""
        connection = http.client.HTTPConnection(host)
        try:
            connection.sock = self.dial(address, port, namespace)
            connection.request("GET", path, headers={"Host": host, "Connection": "close"})
            answer = connection.getresponse()
            body = answer.read()
        except (ConnectionError, http.client.BadStatusLine):
            return None
        try:
            backend = json.loads(body)["backend"]
        except ValueError:
            backend = None
        return answer.status, backend, answer.getheader("x-header-set")

    def in_force(self, address, expected, **more):
        mesh.wait_until(lambda: self.gets(address, "whoever", **more) == expected, f"{address} answers {expected}")

    ROUTED = (200, "v2", "set-overwrites-values")

    def test_mesh_frontend(self):
        self.apply(route("r", [SET], parent="echo-v2"))
        self.in_force(CLUSTER_IPS["echo-v2"], self.ROUTED)
        self.assertEqual(self.gets(CLUSTER_IPS["echo-v2"], "echo-v2"), self.ROUTED)
        self.assertEqual(self.gets(PODS["v2"], "echo-v2", port=PORT), (200, "v2", None), "a pod is not the Service")

    def test_mesh_frontend_hostname(self):
        self.apply(route("r", [SET], parent="echo-v2"))
        self.in_force(CLUSTER_IPS["echo-v2"], self.ROUTED)
        self.assertEqual(self.gets(CLUSTER_IPS["echo-v2"], "echo-v1"), self.ROUTED)
        self.assertEqual(self.gets(CLUSTER_IPS["echo-v1"], "echo-v2"), (200, "v1", None))

    def test_mesh_ports(self):
        self.apply(route("r", [SET], parent="echo-v1", port=80), port=80)
        self.in_force(CLUSTER_IPS["echo-v1"], self.ROUTED)
        self.assertEqual(self.gets(CLUSTER_IPS["echo-v1"], "echo-v1:80", port=8080), (200, "v1", None))

    def test_mesh_consumer_route(self):
        self.apply(route("r", [SET], parent="echo-v1", namespace="other"))
        self.in_force(CLUSTER_IPS["echo-v1"], self.ROUTED, namespace="other")
        self.assertEqual(self.gets(CLUSTER_IPS["echo-v1"], "echo-v1"), (200, "v1", None))

    def test_mesh_traffic_split(self):
        self.apply(route("r", [rule("/v1", to="v1", kind="Exact"), rule("/v2", to="v2", kind="Exact")]))
        self.in_force(CLUSTER_IPS["echo"], (404, None, None))
        for one in PODS:
            self.assertEqual(self.gets(CLUSTER_IPS["echo"], "echo", "/" + one), (200, one, None))

    def test_what_is_not_http_goes_where_it_wanted_to(self):
        for port in (NOT_HTTP, UNSAID):
            with self.subTest(port):
                self.goes_as_bytes(port)

    def test_where_nobody_says_the_first_bytes_decide(self):
        self.assertEqual(self.gets(CLUSTER_IPS["echo-v1"], "whoever", port=UNSAID), (200, "v1", None))
        with socket.create_server((CLUSTER_IPS["echo-v1"], UNSAID)) as server:
            server.settimeout(mesh.WAIT)
            client = mesh.Conversation(self.dial(CLUSTER_IPS["echo-v1"], UNSAID))
            client.send(b"\x16\x03\x01\x02\x00 and so on\n")
            upstream = mesh.Conversation(server.accept()[0])
            self.addCleanup(upstream.close)
            self.assertEqual(upstream.until(b"\n"), b"\x16\x03\x01\x02\x00 and so on\n")

    def goes_as_bytes(self, port):
        with socket.create_server((CLUSTER_IPS["echo"], port)) as server:
            server.settimeout(mesh.WAIT)
            client = mesh.Conversation(self.dial(CLUSTER_IPS["echo"], port))
            connection, peer = server.accept()
            self.assertNotEqual(peer[0], CLIENTS["default"], "the sidecar stands between them")
            upstream = mesh.Conversation(connection)
            self.addCleanup(upstream.close)
            upstream.send("the server speaks first\n")
            self.assertEqual(client.until(b"\n"), b"the server speaks first\n")
            client.send("\0\1\2\n")
            self.assertEqual(upstream.until(b"\n"), b"\0\1\2\n")

    def test_who_dials_the_sidecar_is_routed_by_host(self):
        self.assertEqual(self.ask(host="echo-v2")[1]["backend"], "v2")

    def test_a_new_service_ends_no_connection_to_another(self):
        connection = http.client.HTTPConnection("echo-v1")
        connection.sock = before = self.dial(CLUSTER_IPS["echo-v1"], 80)

        def goes_on():
            connection.request("GET", "/")
            answer = connection.getresponse()
            self.assertEqual((answer.status, json.loads(answer.read())["backend"]), (200, "v1"))
            self.assertIs(connection.sock, before, "it was not told to close")
        goes_on()
        self.write_services(None, service("late", ["v2"]))
        self.addCleanup(self.write_services, None)
        self.in_force(CLUSTER_IPS["late"], (200, "v2", None))
        goes_on()
        self.apply(route("r", [SET], parent="late"))
        self.in_force(CLUSTER_IPS["late"], self.ROUTED)
        goes_on()


def bring_up():
    """None, or why this machine cannot."""
    try:
        redirect_test.ip("link", "set", "lo", "up")
        for address in [*PODS.values(), *CLUSTER_IPS.values(), *CLIENTS.values()]:
            redirect_test.ip("addr", "replace", address + "/32", "dev", "lo")
        redirect.redirect("10.1.255.1", 1)
    except subprocess.CalledProcessError as error:
        return "no such address here: " + error.stderr
    except OSError as error:
        return "the kernel takes no REDIRECT rule: %s" % error
    return None


if __name__ == "__main__":
    WHY_NOT = bring_up()
    if WHY_NOT is not None:
        print("SKIPPED: " + WHY_NOT)
        sys.exit(0)
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
