#!/usr/bin/python3
"""A hand-made control plane against the real sidecar: what it refuses, what it survives, what it keeps on disk.

Usage: sidecar_ads_test.py <pillion-sidecar> <protos directory>
"""
import concurrent.futures
import http.server
import json
import os
import queue
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

import grpc

import xds_peer

sys.path.append(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "integration"))
import certificates  # noqa: E402

SIDECAR, PROTOS = (os.path.abspath(a) for a in sys.argv[1:3])
WAIT = 30  # generous; nothing here waits for time to pass
xds_peer.generate(PROTOS)
from google.protobuf import json_format  # noqa: E402
from envoy.config.cluster.v3 import cluster_pb2  # noqa: E402
from envoy.config.endpoint.v3 import endpoint_pb2  # noqa: E402
from envoy.config.listener.v3 import listener_pb2  # noqa: E402
from envoy.config.route.v3 import route_pb2  # noqa: E402
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: E402,F401
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2  # noqa: E402,F401
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2  # noqa: E402
from envoy.service.discovery.v3 import discovery_pb2  # noqa: E402

PREFIX = "type.googleapis.com/"
TYPES = {"cds": cluster_pb2.Cluster, "eds": endpoint_pb2.ClusterLoadAssignment, "lds": listener_pb2.Listener,
         "rds": route_pb2.RouteConfiguration, "sds": tls_pb2.Secret}
URLS = {kind: PREFIX + message.DESCRIPTOR.full_name for kind, message in TYPES.items()}
KINDS = {url: kind for kind, url in URLS.items()}
ADS = {"ads": {}, "resource_api_version": "V3"}


def free_ports(count):
    """Distinct: all are held until the last is known."""
    held = []
    for _ in range(count):
        held.append(socket.socket())
        held[-1].bind((xds_peer.HOST, 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def wait_until(condition, what):
    end = time.monotonic() + WAIT
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("not within %d s: %s" % (WAIT, what))
        time.sleep(0.02)


class ControlPlane:
    """Sends what it is told to; keeps all requests."""

    def __init__(self, port):
        self.requests, self.out = queue.Queue(), None
        self.nonce = 0
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        handler = grpc.stream_stream_rpc_method_handler(
            self.stream, request_deserializer=discovery_pb2.DiscoveryRequest.FromString,
            response_serializer=lambda message: message if isinstance(message, bytes) else message.SerializeToString())
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            "envoy.service.discovery.v3.AggregatedDiscoveryService", {"StreamAggregatedResources": handler}),))
        assert self.server.add_insecure_port("%s:%d" % (xds_peer.HOST, port))
        self.server.start()

    def stream(self, requests, _):
        self.out = out = queue.Queue()
        threading.Thread(target=self.read, args=(requests, out), daemon=True).start()
        yield from iter(out.get, None)

    def read(self, requests, out):
        try:
            for request in requests:
                self.requests.put(request)
        except grpc.RpcError:
            pass
        out.put(None)

    def ask(self, kind):
        """The next request; of this kind."""
        request = self.requests.get(timeout=WAIT)
        assert KINDS[request.type_url] == kind, (KINDS[request.type_url], kind)
        return request

    def send(self, kind, version, *resources):
        """The answer to it."""
        self.nonce += 1
        response = discovery_pb2.DiscoveryResponse(type_url=URLS[kind], version_info=version, nonce=str(self.nonce))
        for resource in resources:
            if isinstance(resource, bytes):
                response.resources.add(type_url=URLS[kind], value=resource)
            else:
                response.resources.add().Pack(json_format.ParseDict(resource, TYPES[kind]()))
        self.out.put(response)
        answer = self.ask(kind)
        assert answer.response_nonce == str(self.nonce), answer
        return answer

    def stop(self):
        self.server.stop(None).wait()


class SidecarAdsTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        self.state = os.path.join(self.directory, "state")
        os.mkdir(self.state)
        self.xds, self.admin, self.port = free_ports(3)
        self.app = http.server.ThreadingHTTPServer((xds_peer.HOST, 0), App)
        threading.Thread(target=self.app.serve_forever, daemon=True).start()
        self.plane = ControlPlane(self.xds)
        self.process = None
        self.start()

    def tearDown(self):
        self.kill()
        self.plane.stop()
        self.app.shutdown()
        self.app.server_close()
        shutil.rmtree(self.directory)

    def start(self, node="n1"):
        path = os.path.join(self.directory, "bootstrap.json")
        bootstrap = {
            "node": {"id": node, "cluster": "c"},
            "admin": {"address": {"socket_address": {"address": xds_peer.HOST, "port_value": self.admin}}},
            "dynamic_resources": {"lds_config": ADS, "cds_config": ADS, "ads_config": {
                "api_type": "GRPC", "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds_cluster"}}]}},
            "static_resources": {"clusters": [{
                "name": "xds_cluster", "type": "STATIC", "http2_protocol_options": {},
                "load_assignment": {"cluster_name": "xds_cluster", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": {"socket_address": {"address": xds_peer.HOST, "port_value": self.xds}}}}]}]}}]}}
        with open(path, "w") as file:
            json.dump(bootstrap, file)
        self.log = os.path.join(self.directory, "log")
        with open(self.log, "a") as log:
            self.process = subprocess.Popen([SIDECAR, "-c", path, "--concurrency", "1", "--state-dir", self.state,
                                             "--drain-time-s", "1", "--config-drain-time-s", "1"], stderr=log)
        wait_until(lambda: self.page("/ready") is not None, "the admin pages answer")

    def kill(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(timeout=WAIT), 0)
        self.process = None

    def page(self, path):
        try:
            with urllib.request.urlopen("http://%s:%d%s" % (xds_peer.HOST, self.admin, path), timeout=5) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError:
            return None

    def dump(self):
        return json.loads(self.page("/config_dump"))

    def said(self):
        with open(self.log) as log:
            return log.read()

    def get(self):
        try:
            with urllib.request.urlopen("http://%s:%d/" % (xds_peer.HOST, self.port), timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def ready(self):
        return self.page("/ready").startswith("ready")

    # --- resources

    def listener(self, name="l", routes="r", port=None):
        manager = {"@type": PREFIX + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                   "stat_prefix": "s", "rds": {"route_config_name": routes, "config_source": ADS},
                   "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
                       "@type": PREFIX + "envoy.extensions.filters.http.router.v3.Router"}}]}
        return {"name": name, "address": {"socket_address": {"address": xds_peer.HOST, "port_value": port or self.port}},
                "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager",
                                                "typed_config": manager}]}]}

    @staticmethod
    def cluster(name="app", **more):
        return {"name": name, "type": "EDS", "eds_cluster_config": {"eds_config": ADS}, **more}

    def endpoints(self, name="app"):
        return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {
            "address": xds_peer.HOST, "port_value": self.app.server_port}}}}]}]}

    @staticmethod
    def routes(name="r", cluster="app"):
        return {"name": name, "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}}]}]}

    def settle(self):
        """From the first request on to a sidecar that serves."""
        plane = self.plane
        self.assertTrue(plane.ask("cds").HasField("node"))
        self.assertFalse(plane.ask("lds").HasField("node"))
        plane.send("cds", "c1", self.cluster())
        self.assertEqual(list(plane.ask("eds").resource_names), ["app"])
        plane.send("eds", "e1", self.endpoints())
        plane.send("lds", "l1", self.listener())
        self.assertEqual(list(plane.ask("rds").resource_names), ["r"])
        self.assertIn("waiting for routes r of listener l", self.page("/ready"))
        plane.send("rds", "r1", self.routes())
        wait_until(self.ready, "it is ready")
        self.assertEqual(self.get(), 200)

    # --- tests

    def shown(self, authority):
        """The name in the certificate that the listener shows; None: it does not."""
        context = ssl.create_default_context(cafile=authority.ca)
        context.check_hostname = False
        try:
            with socket.create_connection((xds_peer.HOST, self.port), timeout=5) as raw:
                with context.wrap_socket(raw) as client:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    self.assertIn(b" 200 ", client.recv(65536))
                    return client.getpeercert()["subjectAltName"][0][1]
        except OSError:
            return None

    def test_secrets_are_asked_for_waited_for_checked_and_rotated(self):
        plane, authority = self.plane, certificates.Authority()
        for name in ("one", "two"):
            authority.issue(name, "DNS:%s.example" % name)

        def secret(name):
            return {"name": "own", "tls_certificate": authority.inline(name)}

        plane.ask("cds")
        plane.ask("lds")
        plane.send("cds", "c1", self.cluster())
        plane.ask("eds")
        plane.send("eds", "e1", self.endpoints())
        listener = self.listener()
        listener["filter_chains"][0]["transport_socket"] = {"name": "tls", "typed_config": {
            "@type": PREFIX + "envoy.extensions.transport_sockets.tls.v3.Down" + "streamTlsContext",
            "common_tls_context": {"tls_certificate_sds_secret_configs": [{"name": "own", "sds_config": ADS}]}}}
        plane.send("lds", "l1", listener)
        self.assertEqual(list(plane.ask("sds").resource_names), ["own"])
        plane.ask("rds")
        plane.send("rds", "r1", self.routes())
        self.assertIn("waiting for secret own of listener l", self.page("/ready"))
        self.assertIsNone(self.shown(authority))
        plane.send("sds", "s1", secret("one"))
        wait_until(self.ready, "it is ready")
        self.assertEqual(self.shown(authority), "one.example")
        # A key of another certificate.
        mixed = secret("two")
        mixed["tls_certificate"]["private_key"] = secret("one")["tls_certificate"]["private_key"]
        answer = plane.send("sds", "s2", mixed)
        self.assertEqual(answer.version_info, "s1")
        self.assertEqual(answer.error_detail.message, "own: tls_certificates[0].private_key: expected the key of the first "
                                                      "certificate of certificate_chain")
        self.assertEqual(self.shown(authority), "one.example")
        self.assertEqual(plane.send("sds", "s3", secret("two")).version_info, "s3")
        wait_until(lambda: self.shown(authority) == "two.example", "the new certificate is shown")
        self.assertNotIn("PRIVATE KEY", self.page("/config_dump"))
        certs = json.loads(self.page("/certs"))
        self.assertEqual(certs[0]["certificates"][0]["names"], ["DNS:two.example"])
        # No key goes to the disk.
        for folder, _, names in os.walk(self.state):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    self.assertNotIn(b"PRIVATE KEY", file.read())

    def test_trust_and_a_clusters_certificate_come_as_secrets_and_are_rotated(self):
        """The app wants to know who comes, and is itself known by an authority that changes."""
        plane, old, new = self.plane, certificates.Authority("old"), certificates.Authority("new")
        both = os.path.join(self.directory, "both.pem")
        with open(both, "w") as file:
            for one in (old, new):
                with open(one.ca) as text:
                    file.write(text.read())
        for one in (old, new):
            one.issue("app", "DNS:app.example")
            one.issue("client", "DNS:client.example")

        def serve(authority):
            """From the next connection on."""
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=both)
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_cert_chain(authority.path("app"), authority.key("app"))
            self.app.tls = context

        def own(authority):
            return {"name": "own", "tls_certificate": authority.inline("client")}

        def trusted(*authorities):
            text = ""
            for one in authorities:
                with open(one.ca) as file:
                    text += file.read()
            return {"name": "trust", "validation_context": {
                "trusted_ca": {"inline_string": text},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "app.example"}}]}}

        def shown():
            """The issuer of the certificate that the app is shown; None: it was not spoken to."""
            self.app.issuers.clear()
            return self.app.issuers[-1] if self.get() == 200 else None

        self.app.shutdown()
        self.app.server_close()
        self.app = TlsServer((xds_peer.HOST, 0), App)
        threading.Thread(target=self.app.serve_forever, daemon=True).start()
        serve(old)
        plane.ask("cds")
        plane.ask("lds")
        plane.send("cds", "c1", self.cluster(transport_socket={"name": "tls", "typed_config": {
            "@type": PREFIX + "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", "common_tls_context": {
                "tls_certificate_sds_secret_configs": [{"name": "own", "sds_config": ADS}],
                "validation_context_sds_secret_config": {"name": "trust", "sds_config": ADS}}}}))
        plane.ask("eds")
        self.assertEqual(sorted(plane.ask("sds").resource_names), ["own", "trust"])
        plane.send("eds", "e1", self.endpoints())
        plane.send("lds", "l1", self.listener())
        plane.ask("rds")
        plane.send("rds", "r1", self.routes())
        self.assertRegex(self.page("/ready"), "waiting for secret (own|trust) of cluster app")
        plane.send("sds", "s1", own(old))
        self.assertIn("waiting for secret trust of cluster app", self.page("/ready"))
        plane.send("sds", "s2", own(old), trusted(old))
        wait_until(self.ready, "it is ready")
        self.assertEqual(shown(), "old")
        serve(new)
        self.assertIsNone(shown(), "of whom nothing was said yet")
        plane.send("sds", "s3", own(old), trusted(old, new))
        wait_until(lambda: shown() == "old", "the new authority is trusted")
        plane.send("sds", "s4", own(new), trusted(new))
        wait_until(lambda: shown() == "new", "the new certificate is shown")
        serve(old)
        self.assertIsNone(shown(), "who vouches for it is trusted no more")
        # Trust that cannot be read, or that is none, is refused; what was trusted stays.
        bad = trusted(new)
        bad["validation_context"]["trusted_ca"]["inline_string"] = "no certificate"
        answer = plane.send("sds", "s5", own(new), bad)
        self.assertEqual(answer.version_info, "s4")
        self.assertIn("trust: ", answer.error_detail.message)
        serve(new)
        self.assertEqual(shown(), "new")

    def test_an_address_that_is_taken_is_told_and_had_when_it_is_free(self):
        plane = self.plane
        taken = socket.socket()  # without SO_REUSEPORT
        taken.bind((xds_peer.HOST, self.port))
        taken.listen()
        plane.ask("cds")
        plane.ask("lds")
        plane.send("cds", "c1", self.cluster())
        plane.ask("eds")
        plane.send("eds", "e1", self.endpoints())
        plane.send("lds", "l1", self.listener())
        plane.ask("rds")
        plane.send("rds", "r1", self.routes())
        wait_until(lambda: "cannot listen on" in self.page("/ready"), "it says what is wrong")
        self.assertFalse(self.ready())
        taken.close()
        wait_until(self.ready, "it tries again")
        self.assertEqual(self.get(), 200)
        self.assertEqual(self.said().count("cannot listen on"), 1)  # not once a second

    def test_bad_resources_are_refused_by_name_and_path_and_the_last_good_serve(self):
        self.settle()
        answer = self.plane.send("cds", "c2", self.cluster(connect_timeout="0s"), self.cluster("new"))
        self.assertEqual(answer.version_info, "c1")
        self.assertEqual(answer.error_detail.message, "app: connect_timeout: expected a duration of more than 0")
        self.assertEqual(list(self.plane.ask("eds").resource_names), ["app", "new"])
        # What nothing is known of may be anything: nothing is deleted for it.
        answer = self.plane.send("cds", "c3", self.cluster("new"), b"\xff\xff")
        self.assertIn("the bytes are not a envoy.config.cluster.v3.Cluster", answer.error_detail.message)
        answer = self.plane.send("lds", "l2", self.listener("other", "r2"), self.listener())
        self.assertIn("is that of listener l", answer.error_detail.message)
        self.assertEqual(self.get(), 200)
        self.assertTrue(self.ready(), "a cluster that waits takes nothing out of service")
        self.assertIn("waiting for endpoints new of cluster new", self.page("/ready"))
        clusters = self.dump()["xds"][0]
        self.assertEqual([c["name"] for c in clusters["resources"]], ["app", "new"])
        self.assertEqual(clusters["resources"][0]["rejected_version"], "c2")

    def test_what_a_changed_listener_serves_ends_after_the_drain_time(self):
        self.settle()
        with socket.create_connection((xds_peer.HOST, self.port), timeout=WAIT) as client:
            client.sendall(b"GET /flow HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn(b" 200 ", client.recv(65536))
            changed = self.listener()
            changed["filter_chains"][0]["filters"][0]["typed_config"]["stat_prefix"] = "other"
            self.plane.send("lds", "l2", changed)
            end = time.monotonic() + WAIT
            try:
                while client.recv(65536):
                    self.assertLess(time.monotonic(), end, "it flows for ever")
            except ConnectionResetError:
                pass
        self.assertEqual(self.get(), 200)

    def test_what_was_not_asked_for_and_what_is_no_message_end_nothing(self):
        self.settle()
        self.plane.out.put(discovery_pb2.DiscoveryResponse(type_url=PREFIX + "a.b.C", nonce="x"))
        self.assertFalse(self.plane.send("rds", "r2", self.routes()).HasField("error_detail"))
        self.assertEqual(self.dump()["responses_not_asked_for"], 1)
        self.plane.out.put(b"\xff\xff\xff")
        first = self.plane.ask("cds")  # of the next stream
        self.assertEqual((first.version_info, first.response_nonce, first.node.id), ("c1", "", "n1"))
        self.assertEqual(self.get(), 200)
        wait_until(lambda: "not a DiscoveryResponse" in self.dump()["control_plane_last_failure"], "the reason is told")

    def test_without_a_control_plane_the_last_good_configuration_serves_and_is_shown_as_stale(self):
        self.settle()
        wait_until(lambda: os.path.exists(os.path.join(self.state, "last-good.pb")), "the configuration is saved")
        self.kill()
        self.plane.stop()
        self.start()
        wait_until(self.ready, "it serves from disk")
        self.assertEqual(self.get(), 200)
        self.assertIn("stale", self.page("/ready"))
        self.assertTrue(self.dump()["stale"])
        self.plane = ControlPlane(self.xds)
        # It asks for what it serves, and for the rest.
        for kind, names in (("cds", []), ("lds", []), ("eds", ["app"]), ("rds", ["r"])):
            self.assertEqual(list(self.plane.ask(kind).resource_names), names)
        self.plane.send("cds", "c1", self.cluster())
        self.plane.send("eds", "e1", self.endpoints())
        self.plane.send("lds", "l1", self.listener())
        self.assertIn("stale", self.page("/ready"))
        self.plane.send("rds", "r1", self.routes())
        wait_until(lambda: "stale" not in self.page("/ready"), "it is confirmed")
        self.assertEqual(self.get(), 200)

    def test_a_state_that_cannot_be_used_is_told_and_harms_nothing(self):
        self.settle()
        path = os.path.join(self.state, "last-good.pb")
        wait_until(lambda: os.path.exists(path), "the configuration is saved")
        self.kill()
        self.plane.stop()
        with open(path, "rb") as file:
            good = file.read()
        for bad, why in ((good[:-1], "damaged"), (b"", "not a last good"), (good.replace(b"n1\n", b"n2\n", 1), "belongs to node n2")):
            with open(path, "wb") as file:
                file.write(bad)
            self.start()
            self.assertIn("no configuration: the control plane has not answered", self.page("/ready"))
            self.assertIn(why, self.said())
            self.kill()
        # A place that cannot be written.
        shutil.rmtree(self.state)
        with open(self.state, "w") as file:
            file.write("in the way")
        self.plane = ControlPlane(self.xds)
        self.start()
        self.settle()
        wait_until(lambda: "cannot write" in self.said(), "the failure is told")
        self.assertTrue(self.ready())


class TlsServer(http.server.ThreadingHTTPServer):
    """With `tls`; `issuers`: of the certificates that clients showed."""

    def __init__(self, *arguments):
        self.tls, self.issuers = None, []
        super().__init__(*arguments)

    def finish_request(self, request, client_address):
        try:
            with self.tls.wrap_socket(request, server_side=True) as wrapped:
                self.issuers.append(wrapped.getpeercert()["issuer"][0][0][1])
                super().finish_request(wrapped, client_address)
        except OSError:
            pass  # it was not liked


class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        if self.path == "/flow":
            return self.flow()
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def flow(self):
        """Until nobody takes it."""
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"more")
                time.sleep(0.01)  # so as not to fill the machine
        except OSError:
            pass

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
