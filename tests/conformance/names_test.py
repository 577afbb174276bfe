#!/usr/bin/python3
"""Services that are host names, from YAML to the app: the real control plane, reached by name, and a sidecar that resolves
with the machine's hosts file.

Usage: names_test.py <pillion-control-plane> <pillion-sidecar>
"""
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "integration"))
import mesh  # noqa: E402

CONTROL_PLANE, SIDECAR = (os.path.abspath(a) for a in sys.argv[1:3])
LOCALHOST = "127.0.0.1"  # what the hosts file says


def free_port():
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return probe.getsockname()[1]


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the Host field it saw."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.headers["Host"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Names(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.app = http.server.ThreadingHTTPServer((LOCALHOST, 0), Echo)
        self.app.daemon_threads = True
        thread = threading.Thread(target=self.app.serve_forever)
        thread.start()
        self.addCleanup(lambda: (self.app.shutdown(), self.app.server_close(), thread.join()))
        self.app_port = self.app.server_address[1]
        self.control = free_port()
        self.outbound = mesh.free_port()

    def spawn(self, *command):
        stderr = tempfile.TemporaryFile("w+")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr)

        def end():
            process.send_signal(signal.SIGTERM)
            code = process.wait(timeout=mesh.WAIT)
            stderr.seek(0)
            self.assertEqual(code, 0, stderr.read())
            stderr.close()
        self.addCleanup(end)

    def sidecar(self):
        ads = {"ads": {}, "resource_api_version": "V3"}
        path = os.path.join(self.directory, "bootstrap.json")
        with open(path, "w") as file:
            json.dump({
                "node": {"id": "shop", "cluster": "shop", "metadata": {"outbound_listener": f"{mesh.HOST}:{self.outbound}"}},
                "dynamic_resources": {"lds_config": ads, "cds_config": ads, "ads_config": {
                    "api_type": "GRPC", "transport_api_version": "V3",
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "control"}}]}},
                "static_resources": {"clusters": [mesh.cluster(
                    "control", [("localhost", self.control)], http2=True, type="STRICT_DNS", dns_lookup_family="V4_ONLY")]}},
                file)
        self.spawn(SIDECAR, "-c", path, "--concurrency", "1", "--drain-time-s", "1")

    def ask(self, host):
        connection = http.client.HTTPConnection(mesh.HOST, self.outbound, timeout=mesh.WAIT)
        try:
            connection.request("GET", "/", headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def test_an_external_name_and_names_in_slices_are_reached(self):
        config = os.path.join(self.directory, "mesh")
        os.makedirs(config)
        with open(os.path.join(config, "mesh.yaml"), "w") as file:
            file.write(f"""
apiVersion: v1
kind: Service
metadata: {{name: billing}}
spec: {{type: ExternalName, externalName: localhost, ports: [{{port: {self.app_port}}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: named}}
spec: {{type: ExternalName, externalName: localhost, ports: [{{port: {self.app_port}}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: named}}
spec:
  parentRefs: [{{group: "", kind: Service, name: named}}]
  rules:
  - filters: [{{type: URLRewrite, urlRewrite: {{hostname: billing.example.com}}}}]
    backendRefs: [{{name: named, port: {self.app_port}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: mixed}}
spec: {{ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: mixed-1, labels: {{kubernetes.io/service-name: mixed}}}}
addressType: FQDN
endpoints: [{{addresses: [localhost]}}]
ports: [{{port: {self.app_port}}}]
""")
        self.spawn(CONTROL_PLANE, "--config-dir", config, "--listen", f"{LOCALHOST}:{self.control}")
        self.sidecar()
        mesh.wait_until(lambda: mesh.listens(self.outbound), "the sidecar has its configuration")
        mesh.wait_until(lambda: self.ask("mixed")[0] == 200, "the last of the names is resolved")
        self.assertEqual(self.ask("mixed"), (200, "mixed"))
        self.assertEqual(self.ask("billing"), (200, "billing"))
        self.assertEqual(self.ask("named"), (200, "billing.example.com"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
