#!/usr/bin/python3
"""A plain ADS client against the real control plane: order, ACK, NACK, live change, restart, shutdown.

Usage: ads_test.py <pillion-control-plane> <pillionctl> <mesh directory> <protos directory>
"""
import base64
import hashlib
import hmac
import io
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import grpc

import xds_peer

CONTROL_PLANE, PILLIONCTL, MESH, PROTOS = (os.path.abspath(a) for a in sys.argv[1:5])
xds_peer.generate(PROTOS)
from envoy.config.cluster.v3 import cluster_pb2  # noqa: E402
from envoy.config.endpoint.v3 import endpoint_pb2  # noqa: E402
from envoy.config.listener.v3 import listener_pb2  # noqa: E402
from envoy.config.route.v3 import route_pb2  # noqa: E402
from envoy.service.discovery.v3 import discovery_pb2  # noqa: E402

PREFIX = "type.googleapis.com/"
MESSAGES = {"cds": cluster_pb2.Cluster, "eds": endpoint_pb2.ClusterLoadAssignment, "lds": listener_pb2.Listener,
            "rds": route_pb2.RouteConfiguration}
SHORT = {PREFIX + m.DESCRIPTOR.full_name: k for k, m in MESSAGES.items()}
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"


class ControlPlane:
    def __init__(self, directory):
        self.directory, self.port, self.flags = directory, 0, []
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [CONTROL_PLANE, "--config-dir", self.directory, "--listen", "%s:%d" % (xds_peer.HOST, self.port)] + self.flags,
            stderr=subprocess.PIPE)
        # A character is a byte, whatever is written there.
        lines = io.TextIOWrapper(self.process.stderr, encoding="latin-1", newline="\n")
        self.log = []
        for line in lines:
            self.log.append(line)
            found = re.search(r"listening on .* \(port (\d+)\)", line)
            if found:
                self.port = int(found.group(1))
                break
        else:
            raise AssertionError("did not start: " + "".join(self.log))
        self.reader = threading.Thread(target=lambda: self.log.extend(lines), daemon=True)
        self.reader.start()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=10)
        self.reader.join()
        self.process.stderr.close()
        return code


class Client:
    """One ADS stream. Answers nothing by itself."""

    def __init__(self, port, node="n1", **metadata):
        self.channel = grpc.insecure_channel("%s:%d" % (xds_peer.HOST, port))
        self.requests, self.responses = queue.Queue(), queue.Queue()
        self.node, self.metadata, self.names = node, metadata, {}
        call = self.channel.stream_stream(METHOD, discovery_pb2.DiscoveryRequest.SerializeToString,
                                          discovery_pb2.DiscoveryResponse.FromString)
        self.call = call(iter(self.requests.get, None))
        threading.Thread(target=self.pump, daemon=True).start()

    def pump(self):
        try:
            for response in self.call:
                self.responses.put(response)
        except grpc.RpcError as error:
            self.responses.put(error)

    def send(self, kind, names=None, response=None, error=None):
        if names is not None:
            self.names[kind] = names
        request = discovery_pb2.DiscoveryRequest(type_url=PREFIX + MESSAGES[kind].DESCRIPTOR.full_name,
                                                 resource_names=self.names.get(kind, []))
        request.node.id = self.node
        request.node.metadata.update(self.metadata)
        if response is not None:
            request.response_nonce, request.version_info = response.nonce, response.version_info
        if error:
            request.error_detail.code, request.error_detail.message = 13, error
        self.requests.put(request)

    def next(self, kind, timeout=10):
        response = self.responses.get(timeout=timeout)
        assert isinstance(response, discovery_pb2.DiscoveryResponse), response
        assert SHORT[response.type_url] == kind, (SHORT[response.type_url], kind)
        resources = {}
        for body in response.resources:
            message = MESSAGES[kind]()
            assert body.Unpack(message)
            resources[message.cluster_name if kind == "eds" else message.name] = message
        return response, resources

    def take(self, kind, names=None):
        """The next response, which must be of this kind; accepted."""
        response, resources = self.next(kind)
        self.send(kind, names, response)
        return response, resources

    def settle(self):
        """Subscribes to everything, as a sidecar does. Returns the resources by kind."""
        self.send("cds", [])
        held = {"cds": self.take("cds")[1]}
        self.send("eds", sorted(n for n, c in held["cds"].items() if c.type == cluster_pb2.Cluster.EDS))
        held["eds"] = self.take("eds")[1]
        self.send("lds", [])
        held["lds"] = self.take("lds")[1]
        self.send("rds", sorted(held["lds"]))
        held["rds"] = self.take("rds")[1]
        return held

    def silent(self, seconds=0.7):
        try:
            response = self.responses.get(timeout=seconds)
        except queue.Empty:
            return True
        raise AssertionError(response)

    def close(self):
        self.requests.put(None)
        self.call.cancel()
        self.channel.close()


def status(port):
    return subprocess.run([PILLIONCTL, "status", "--address", "%s:%d" % (xds_peer.HOST, port)], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def derived(master, info):
    """The first 32 bytes that HKDF-SHA256 (RFC 5869) makes, without salt."""
    secret = hmac.new(bytes(32), master, hashlib.sha256).digest()
    return hmac.new(secret, info + b"\x01", hashlib.sha256).digest()


def spellings(secret):
    """As logs and pages write bytes."""
    return [secret, secret.hex().encode(), secret.hex().upper().encode(), base64.b64encode(secret)[:-2], repr(secret)[2:-1].encode(),
            "".join("\\%03o" % byte for byte in secret).encode()]


class AdsTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp()
        for name in os.listdir(MESH):
            shutil.copy(os.path.join(MESH, name), self.directory)
        self.plane = ControlPlane(self.directory)
        self.clients = []

    def tearDown(self):
        for client in self.clients:
            client.close()
        if self.plane.process.poll() is None:
            self.assertEqual(self.plane.stop(), 0)
        shutil.rmtree(self.directory)

    def client(self, **metadata):
        self.clients.append(Client(self.plane.port, **metadata))
        return self.clients[-1]

    def shows(self, text):
        """What status shows, once that is in it; or after a while."""
        for _ in range(100):
            shown = status(self.plane.port)
            if text in shown:
                break
            time.sleep(0.05)
        return shown

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path + ".tmp", "w") as file:
            file.write(text)
        os.rename(path + ".tmp", path)

    def read(self, name):
        with open(os.path.join(self.directory, name)) as file:
            return file.read()

    def test_the_demo_mesh_arrives_whole(self):
        held = self.client(service="orders-v1", inbound_listener="127.0.2.1:15006", app="127.0.2.1:8080").settle()
        self.assertEqual(sorted(held["lds"]), ["inbound", "outbound"])
        self.assertIn("outbound|80||orders.default.svc.cluster.local", held["cds"])
        self.assertIn("inbound|8080||orders-v1.default.svc.cluster.local", held["cds"])
        endpoints = held["eds"]["outbound|80||orders-v1.default.svc.cluster.local"].endpoints[0].lb_endpoints
        self.assertTrue(endpoints[0].metadata.filter_metadata["pillion"]["sidecar"])
        hosts = {h.name: h for h in held["rds"]["outbound"].virtual_hosts}
        orders = hosts["orders.default.svc.cluster.local:80"]
        self.assertIn("orders", orders.domains)
        self.assertEqual([r.name for r in orders.routes], ["default/orders/beta", "default/orders/split"])
        self.assertEqual([c.weight.value for c in orders.routes[1].route.weighted_clusters.clusters], [90, 10])
        self.assertTrue(self.clients[0].silent())

    def test_a_weight_change_sends_routes_and_nothing_else(self):
        client = self.client()
        client.settle()
        self.write("orders-route.yaml", self.read("orders-route.yaml").replace("weight: 90", "weight: 50"))
        start = time.monotonic()
        _, routes = client.take("rds")
        self.assertLess(time.monotonic() - start, 2)
        host = [h for h in routes["outbound"].virtual_hosts if h.name.startswith("orders.")][0]
        self.assertEqual(host.routes[1].route.weighted_clusters.clusters[0].weight.value, 50)
        self.assertTrue(client.silent())

    def test_a_new_service_and_a_route_to_it_arrive_in_order(self):
        client = self.client()
        held = client.settle()
        new = "outbound|80||new.default.svc.cluster.local"
        self.write("new.yaml", self.read("web.yaml").replace("web", "new"))
        _, clusters = client.take("cds")
        self.assertIn(new, clusters)
        # Routes wait for the endpoints of the new cluster; they are sent once those are taken.
        self.assertTrue(client.silent(0.5))
        client.send("eds", sorted(held["eds"]) + [new])
        response, endpoints = client.next("eds")
        self.assertEqual(list(endpoints), [new])
        self.assertTrue(client.silent(0.3))
        client.send("eds", None, response)
        _, routes = client.take("rds")
        self.assertIn("new.default.svc.cluster.local:80", [h.name for h in routes["outbound"].virtual_hosts])
        # And the other way round: routes first, then the cluster.
        os.remove(os.path.join(self.directory, "new.yaml"))
        client.take("rds")
        _, clusters = client.take("cds")
        self.assertNotIn(new, clusters)

    def test_a_rejected_version_is_not_sent_again_and_is_shown(self):
        client = self.client()
        client.settle()
        good = self.read("orders-route.yaml")
        self.write("orders-route.yaml", good.replace("weight: 90", "weight: 60"))
        response, _ = client.next("rds")
        client.send("rds", None, response, error="virtual_hosts[1]: no thanks")
        self.assertTrue(client.silent())
        shown = status(self.plane.port)
        self.assertIn("virtual_hosts[1]: no thanks", shown)
        self.assertRegex(shown, r"n1 .* RouteConfiguration +REJECTED")
        # Another resource changes: still no routes.
        self.write("web.yaml", self.read("web.yaml").replace("127.0.1.1", "127.0.1.7"))
        client.take("eds")
        self.assertTrue(client.silent())
        self.write("orders-route.yaml", good.replace("weight: 90", "weight: 70"))
        client.take("rds")
        time.sleep(0.2)
        self.assertRegex(status(self.plane.port), r"n1 .* RouteConfiguration +ACKED")

    def test_requests_are_stamped_when_all_endpoints_have_accepted_it_and_not_before(self):
        def paused(resources):
            found = [one.routes[0].typed_per_filter_config["pillion.idempotency"].value for one in resources["outbound"].virtual_hosts
                     if one.name == "tokened.default.svc.cluster.local:80"]
            return bool(re.search(rb"\x30\x01$", found[0]))  # field 6, true

        self.write("tokened.yaml", """
--- {apiVersion: v1, kind: Service, metadata: {name: tokened}, spec: {ports: [{port: 80}]}}
--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: t, labels: {kubernetes.io/service-name: tokened, pillion/sidecar: "true"}}, addressType: IPv4, endpoints: [{addresses: [127.0.9.1]}, {addresses: [127.0.9.2]}], ports: [{port: 15006}]}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: IdempotencyPolicy, metadata: {name: t}, spec: {targetRefs: [{kind: Service, name: tokened}]}}
""")
        shown = self.shows("tokens of default/tokened:80")
        self.assertRegex(shown, "not stamping yet, of 2 endpoints some do not enforce them: 127.0.9.1:15006 127.0.9.2:15006")
        client = self.client(node="client")
        held = client.settle()
        self.assertTrue(paused(held["rds"]))
        first = self.client(node="first", service="tokened", inbound_listener="127.0.9.1:15006", app="127.0.9.1:8080")
        first.settle()
        self.assertTrue(client.silent())
        self.assertRegex(status(self.plane.port), "some do not enforce them: 127.0.9.2:15006\n")
        second = self.client(node="second", service="tokened", inbound_listener="127.0.9.2:15006", app="127.0.9.2:8080")
        second.send("cds", [])
        names = sorted(n for n, c in second.take("cds")[1].items() if c.type == cluster_pb2.Cluster.EDS)
        second.send("eds", names)
        second.take("eds")
        second.send("lds", [])
        listeners, _ = second.next("lds")
        self.assertTrue(client.silent(), "it has not answered")
        second.send("lds", None, listeners, error="no thanks")
        self.assertTrue(client.silent(), "it was rejected")
        second.close()
        self.clients.remove(second)
        third = self.client(node="second", service="tokened", inbound_listener="127.0.9.2:15006", app="127.0.9.2:8080")
        third.settle()
        self.assertFalse(paused(client.take("rds")[1]))
        self.assertRegex(status(self.plane.port), "tokens of default/tokened:80 .*: stamping, all 2 endpoints enforce them\n")
        # A sidecar without its control plane goes on as it was.
        third.close()
        self.clients.remove(third)
        self.assertTrue(client.silent())
        # It comes back as another version of itself, which rejects what it accepted before.
        other = self.client(node="second", service="tokened", inbound_listener="127.0.9.2:15006", app="127.0.9.2:8080")
        other.send("cds", [])
        other.send("eds", sorted(n for n, c in other.take("cds")[1].items() if c.type == cluster_pb2.Cluster.EDS))
        other.take("eds")
        other.send("lds", [])
        listeners, _ = other.next("lds")
        self.assertTrue(client.silent(), "it has not said yet")
        other.send("lds", None, listeners, error="no thanks")
        self.assertTrue(paused(client.take("rds")[1]))
        other.close()
        self.clients.remove(other)
        self.client(node="second", service="tokened", inbound_listener="127.0.9.2:15006", app="127.0.9.2:8080").settle()
        self.assertFalse(paused(client.take("rds")[1]))
        # One more endpoint, which is not known to.
        self.write("tokened.yaml", self.read("tokened.yaml").replace("{addresses: [127.0.9.2]}", "{addresses: [127.0.9.2]}, {addresses: [127.0.9.3]}"))
        client.take("eds")
        self.assertTrue(paused(client.take("rds")[1]))
        self.assertRegex(status(self.plane.port), "some do not enforce them: 127.0.9.3:15006\n")

    def test_who_has_accepted_before_it_is_an_endpoint_counts_when_it_is_one(self):
        self.write("tokened.yaml", """
--- {apiVersion: v1, kind: Service, metadata: {name: tokened}, spec: {ports: [{port: 80}]}}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: IdempotencyPolicy, metadata: {name: t}, spec: {targetRefs: [{kind: Service, name: tokened}]}}
""")
        self.shows("tokens of default/tokened:80")
        self.client(node="pod", service="tokened", inbound_listener="127.0.9.1:15006", app="127.0.9.1:8080").settle()
        self.assertIn("no endpoint is ready", self.shows("no endpoint is ready"))
        for _ in range(2):  # it may leave and come back
            self.write("slice.yaml", """
--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: t, labels: {kubernetes.io/service-name: tokened, pillion/sidecar: "true"}}, addressType: IPv4, endpoints: [{addresses: [127.0.9.1]}], ports: [{port: 15006}]}
""")
            self.assertIn(": stamping", self.shows(": stamping"))
            os.unlink(os.path.join(self.directory, "slice.yaml"))
            self.assertIn("no endpoint is ready", self.shows("no endpoint is ready"))

    def test_the_key_of_a_store_is_told_to_the_sidecars_of_the_service_and_shown_to_nobody(self):
        def pod():
            held = self.client(node="pod", service="stored", inbound_listener="127.0.9.1:15006", app="127.0.9.1:8080").settle()
            return held["lds"]["inbound"].SerializeToString(), held

        self.write("stored.yaml", """
--- {apiVersion: v1, kind: Service, metadata: {name: stored}, spec: {ports: [{port: 80}]}}
--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: t, labels: {kubernetes.io/service-name: stored, pillion/sidecar: "true"}}, addressType: IPv4, endpoints: [{addresses: [127.0.9.1]}], ports: [{port: 15006}]}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: IdempotencyPolicy, metadata: {name: t}, spec: {targetRefs: [{kind: Service, name: stored}], mode: Shared, store: {addresses: ["redis-0.redis:6379"]}}}
""")
        # This control plane has no key.
        shown = self.shows("spec.store")
        self.assertRegex(shown, r"stored\.yaml:\d+:\d+: spec\.store: expected keyFile, or a control plane with --token-key-file")
        self.assertNotIn("tokens of default/stored", shown)
        listener, held = pod()
        self.assertNotIn(b"pillion.idempotency", listener)
        self.assertFalse([name for name in held["cds"] if name.startswith("token-store")])
        valid = subprocess.run([PILLIONCTL, "validate", self.directory], stdout=subprocess.PIPE, text=True)
        self.assertEqual((valid.returncode, valid.stdout), (0, ""), "whether there is one is not in the files")
        self.assertEqual(self.plane.stop(), 0)
        master = os.urandom(32)
        self.write("master.key", master.hex() + "\n")
        self.plane.flags = ["--token-key-file", os.path.join(self.directory, "master.key")]
        self.plane.start()
        listener, held = pod()
        key = derived(master, b"pillion token records|default/stored")
        self.assertEqual(listener.count(key), 1)
        self.assertEqual(listener.count(master), 0)
        cluster = held["cds"]["token-store|stored.default.svc.cluster.local"]
        self.assertEqual(cluster.type, cluster_pb2.Cluster.STRICT_DNS)
        caller = self.client(node="caller").settle()
        self.assertFalse([name for name in caller["cds"] if name.startswith("token-store")])
        self.assertNotIn(key, b"".join(one.SerializeToString() for kind in caller.values() for one in kind.values()))
        self.assertIn("tokens of default/stored:80", self.shows(": stamping"))
        # Also where a sidecar rejects it.
        other = self.client(node="other", service="stored", inbound_listener="127.0.9.2:15006", app="127.0.9.2:8080")
        other.send("cds", [])
        other.send("eds", sorted(n for n, c in other.take("cds")[1].items() if c.type == cluster_pb2.Cluster.EDS))
        other.take("eds")
        other.send("lds", [])
        other.send("lds", None, other.next("lds")[0], error="no thanks")
        self.assertIn("no thanks", self.shows("no thanks"))
        shown = subprocess.run([PILLIONCTL, "status", "--address", "%s:%d" % (xds_peer.HOST, self.plane.port)], check=True,
                               stdout=subprocess.PIPE).stdout
        self.assertEqual(self.plane.stop(), 0)
        shown += "".join(self.plane.log).encode("latin-1")
        self.assertIn(b"no thanks", shown)
        for secret in (key, master):
            self.assertFalse([one for one in spellings(secret) if one in shown])

    def test_after_a_restart_callers_go_on_stamping_until_sidecars_have_had_time_to_come_back(self):
        self.write("tokened.yaml", """
--- {apiVersion: v1, kind: Service, metadata: {name: tokened}, spec: {ports: [{port: 80}]}}
--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: t, labels: {kubernetes.io/service-name: tokened, pillion/sidecar: "true"}}, addressType: IPv4, endpoints: [{addresses: [127.0.9.1]}], ports: [{port: 15006}]}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: IdempotencyPolicy, metadata: {name: t}, spec: {targetRefs: [{kind: Service, name: tokened}]}}
""")
        self.assertIn("not stamping yet", self.shows("not stamping yet"))
        self.assertEqual(self.plane.stop(), 0)
        self.plane.start()
        self.assertIn(": stamping", status(self.plane.port))
        for _ in range(40):
            if "not stamping yet" in (shown := self.shows("not stamping yet")):
                break
        self.assertIn("not stamping yet", shown)

    def test_who_listens_on_all_addresses_is_known_by_where_it_calls_from_or_what_it_says(self):
        self.write("tokened.yaml", """
--- {apiVersion: v1, kind: Service, metadata: {name: tokened}, spec: {ports: [{port: 80}]}}
--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: t, labels: {kubernetes.io/service-name: tokened, pillion/sidecar: "true"}}, addressType: IPv4, endpoints: [{addresses: [127.0.0.1]}, {addresses: [127.0.9.9]}], ports: [{port: 15006}]}
--- {apiVersion: policy.pillion.dev/v1alpha1, kind: IdempotencyPolicy, metadata: {name: t}, spec: {targetRefs: [{kind: Service, name: tokened}]}}
""")
        self.shows("tokens of default/tokened:80")
        self.client(node="pod", service="tokened", inbound_listener="0.0.0.0:15006", app="127.0.0.1:8080").settle()
        self.client(node="other", service="tokened", inbound_listener="127.0.0.1:15007", inbound_address="127.0.9.9:15006",
                    app="127.0.0.1:8081").settle()
        self.assertRegex(self.shows(": stamping"), "tokens of default/tokened:80 .*: stamping, all 2 endpoints enforce them\n")

    def test_a_bad_file_changes_nothing_and_is_reported(self):
        client = self.client()
        client.settle()
        self.write("web.yaml", self.read("web.yaml").replace("port: 80", "port: 80000"))
        self.assertTrue(client.silent())
        self.assertRegex(status(self.plane.port), r"web\.yaml:\d+:\d+: spec\.ports\[0\]\.port: expected a port")

    def test_after_a_restart_versions_agree(self):
        first = self.client()
        first.settle()
        shown = {}
        for _ in range(2):
            time.sleep(0.2)
            lines = [l.split() for l in status(self.plane.port).splitlines() if l.startswith("n1 ")]
            versions = {next(w for w in l if w in ("Cluster", "ClusterLoadAssignment", "Listener",
                                                   "RouteConfiguration")):
                        [w for w in l if re.fullmatch("[0-9a-f]{16}", w)] for l in lines}
            self.assertEqual(len(versions), 4, lines)
            shown.setdefault("before", versions)
            self.assertEqual(shown["before"], versions)
            self.assertEqual(self.plane.stop(), 0)
            self.plane.start()
            self.client().settle()

    def test_shutdown_ends_streams_and_exits_0(self):
        client = self.client()
        client.settle()
        start = time.monotonic()
        self.assertEqual(self.plane.stop(), 0)
        self.assertLess(time.monotonic() - start, 2.5)
        error = client.responses.get(timeout=5)
        self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)

    def test_a_request_without_a_type_ends_the_stream(self):
        client = self.client()
        client.requests.put(discovery_pb2.DiscoveryRequest())
        error = client.responses.get(timeout=5)
        self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)

    def test_bad_node_metadata_is_shown(self):
        self.client(inbound_listener="nonsense", app="127.0.0.1:1").settle()
        self.assertIn("node.metadata.inbound_listener: expected ip:port", status(self.plane.port))

    def test_wrong_flags_exit_1(self):
        for flags in ([], ["--config-dir", "/nowhere"], ["--config-dir", self.directory, "--listen", "nonsense:1:2"],
                      ["--config-dir", self.directory, "--listen", "%s:%d" % (xds_peer.HOST, self.plane.port)]):
            done = subprocess.run([CONTROL_PLANE] + flags, stderr=subprocess.PIPE, stdout=subprocess.PIPE, timeout=20)
            self.assertEqual(done.returncode, 1, flags)

    def test_a_file_that_is_no_key_is_said_at_the_start(self):
        path = os.path.join(self.directory, "master.key")
        for text, why in ((None, "cannot be read: No such file or directory"), ("k" * 31, "expected 32 bytes, or 64 hexadecimal digits, found 31 bytes"),
                          ("xy" * 32, "expected 32 bytes, or 64 hexadecimal digits, found 64 bytes")):
            if text is not None:
                self.write("master.key", text)
            done = subprocess.run([CONTROL_PLANE, "--config-dir", self.directory, "--token-key-file", path], stderr=subprocess.PIPE, text=True, timeout=20)
            self.assertEqual(done.returncode, 1)
            self.assertIn("--token-key-file: " + path, done.stderr)
            self.assertIn(why, done.stderr)
            self.assertNotIn(text or "kkk", done.stderr)

    def test_validate_lists_everything_and_exits_1(self):
        good = subprocess.run([PILLIONCTL, "validate", MESH], stdout=subprocess.PIPE, text=True)
        self.assertEqual((good.returncode, good.stdout), (0, ""))
        path = os.path.join(self.directory, "orders-route.yaml")
        bad = subprocess.run([PILLIONCTL, "validate", path], stdout=subprocess.PIPE, text=True)
        self.assertEqual(bad.returncode, 1)
        # Alone it has no Services to refer to.
        self.assertRegex(bad.stdout, re.escape(path) + r":\d+:\d+: spec\.parentRefs\[0\]: expected a Service")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
