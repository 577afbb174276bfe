"""What tests of the Gateway API for meshes share: YAML goes into the real control plane, requests into the client's sidecar, and
echo apps say what they saw. The first two arguments of a test: <pillion-control-plane> <pillion-sidecar>."""
import collections
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "integration"))
import mesh  # noqa: E402
from mesh import HOST  # noqa: E402

CONTROL_PLANE, SIDECAR = (os.path.abspath(a) for a in sys.argv[1:3])


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what it saw, as the request's `x-...` fields want it:
    x-fail: STATUS TIMES ID   that status, until so many of that ID have come
    x-reset: TIMES ID         the connection is reset instead
    x-delay: SECONDS TIMES ID the answer comes late"""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # it writes head and body one after the other

    def seen(self, identity):
        with self.server.lock:
            self.server.counts[identity] += 1
            return self.server.counts[identity]

    def do_GET(self):
        if self.headers.get("Upgrade") == "websocket":
            self.send_response(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", "websocket")
            self.end_headers()
            while data := self.rfile.read1(4096):  # its frames are nobody's business but the client's
                self.wfile.write(data)
            self.close_connection = True
            return
        status = 200
        with self.server.lock:
            self.server.paths[self.path] += 1
        if "x-fail" in self.headers:
            code, times, identity = self.headers["x-fail"].split()
            if self.seen(identity) <= int(times):
                status = int(code)
        if "x-reset" in self.headers:
            times, identity = self.headers["x-reset"].split()
            if self.seen(identity) <= int(times):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
                return
        if "x-delay" in self.headers:
            seconds, times, identity = self.headers["x-delay"].split()
            if self.seen(identity) <= int(times):
                time.sleep(float(seconds))
        body = json.dumps({"backend": self.server.backend, "method": self.command, "path": self.path,
                           "fields": self.headers.items()}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass  # nobody waits any more

    do_POST = do_DELETE = do_PUT = do_OPTIONS = do_GET

    def log_message(self, *_):
        pass


class App:
    def __init__(self, backend):
        self.server = http.server.ThreadingHTTPServer((HOST, mesh.free_port()), Echo)
        self.start(backend)

    def start(self, backend):
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # a client that has gone
        self.server.backend = backend
        self.server.lock = threading.Lock()
        self.server.counts = collections.Counter()
        self.server.paths = collections.Counter()
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def service(name, ends, namespace="default"):
    """`ends`: (port, is it a sidecar's?) of each endpoint."""
    return f"""
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: http, port: 80, targetPort: 8080}}, {{name: alt, port: 8080, targetPort: 8080}}]
""" + "".join(f"""
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-{number}
  namespace: {namespace}
  labels: {{kubernetes.io/service-name: {name}, pillion/sidecar: "{str(sidecar).lower()}"}}
addressType: IPv4
endpoints: [{{addresses: [{HOST}], conditions: {{ready: true}}}}]
ports: [{{name: http, port: {port}, protocol: TCP}}, {{name: alt, port: {port}, protocol: TCP}}]
""" for number, (port, sidecar) in enumerate(ends))


def route(name, rules, namespace="default", port=None, parent="echo"):
    parent = f'{{group: "", kind: Service, name: {parent}, namespace: default{f", port: {port}" if port else ""}}}'
    return f"""
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  parentRefs: [{parent}]
  rules:
""" + "".join(f"  - {rule}\n" for rule in rules)


def to(backend, matches="", more=""):
    if matches:
        matches = f"matches: [{matches}], "
    return f"{{{matches}backendRefs: [{{name: echo-{backend}, port: 80}}]{', ' + more if more else ''}}}"


def fields(values):
    return [{"name": name, "value": value} for name, value in values.items()]


def modifier(side, **lists):
    """`set`, `add`: {name: value}; `remove`: names."""
    return {"type": side + "HeaderModifier", side.lower() + "HeaderModifier": {
        key: fields(value) if isinstance(value, dict) else value for key, value in lists.items()}}


def redirect(path=None, **more):
    return {"type": "RequestRedirect", "requestRedirect": {**({"path": path} if path else {}), **more}}


def rewrite(path=None, **more):
    return {"type": "URLRewrite", "urlRewrite": {**({"path": path} if path else {}), **more}}


def whole(path):
    return {"type": "ReplaceFullPath", "replaceFullPath": path}


def prefix(path):
    return {"type": "ReplacePrefixMatch", "replacePrefixMatch": path}


def rule(path, *filters, to="v1", at_backend=(), kind="PathPrefix", name=None):
    """A rule for a path; `to`: None for redirects. YAML reads JSON."""
    made = {"matches": [{"path": {"type": kind, "value": path}}], "filters": list(filters)}
    if to is not None:
        made["backendRefs"] = [{"name": "echo-" + to, "port": 80, "filters": list(at_backend)}]
    if name is not None:
        made["name"] = name
    return json.dumps(made)


def mirror(to, port=80, **more):
    return {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "echo-" + to, "port": port}, **more}}


def policy(kind, target, **spec):
    """On the Service of that name."""
    return "---\n" + json.dumps({"apiVersion": "policy.pillion.dev/v1alpha1", "kind": kind, "metadata": {"name": kind.lower()},
                                 "spec": {"targetRefs": [{"kind": "Service", "name": target}], **spec}}) + "\n"


class Gateway(unittest.TestCase):
    names = ("v1", "v2")
    make_app = App
    service = staticmethod(service)
    behind_sidecars = False
    clients = {}  # more of their metadata
    applied = 0
    identity = 0

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        cls.config = os.path.join(cls.directory, "mesh")
        os.makedirs(cls.config)
        cls.processes = []
        cls.stderrs = []
        cls.apps = {one: cls.make_app(one) for one in cls.names}
        cls.addClassCleanup(cls.stop)
        cls.control = mesh.free_port()
        inbound = {one: mesh.free_port() if cls.behind_sidecars else app.port for one, app in cls.apps.items()}
        cls.inbound = inbound
        cls.write_services({one: (port, cls.behind_sidecars) for one, port in inbound.items()})
        cls.spawn(CONTROL_PLANE, "--config-dir", cls.config, "--listen", f"{HOST}:{cls.control}")
        mesh.wait_until(lambda: mesh.listens(cls.control), "the control plane listens")
        cls.outbound = {one: mesh.free_port() for one in ("default", "other")}
        cls.admin = {}  # ports
        for namespace, port in cls.outbound.items():
            cls.sidecar("client-" + namespace, namespace, outbound_listener=f"{HOST}:{port}", **cls.clients)
        if cls.behind_sidecars:
            for one, app in cls.apps.items():
                cls.sidecar("echo-" + one, "default", outbound_listener="none", inbound_listener=f"{HOST}:{inbound[one]}",
                            app=f"{HOST}:{app.port}")
        for port in [*cls.outbound.values(), *(inbound.values() if cls.behind_sidecars else ())]:
            mesh.wait_until(lambda port=port: mesh.listens(port), f"somebody listens at {port}")

    @classmethod
    def write_services(cls, ends):
        cls.write("services", cls.service("echo", ends.values()) + "".join(
            cls.service("echo-" + one, [end], namespace) for one, end in ends.items() for namespace in ("default", "other")))

    @classmethod
    def stop(cls):
        for process in reversed(cls.processes):
            process.send_signal(signal.SIGTERM)
        ended = [process.wait(timeout=mesh.WAIT) for process in reversed(cls.processes)]
        for app in cls.apps.values():
            app.stop()
        said = []
        for stderr in cls.stderrs:
            stderr.seek(0)
            said.append(stderr.read())
            stderr.close()
        shutil.rmtree(cls.directory)
        assert ended == [0] * len(ended), (ended, said)

    @classmethod
    def write(cls, name, text):
        with open(os.path.join(cls.config, name + ".new"), "w") as file:
            file.write(text)
        os.rename(os.path.join(cls.config, name + ".new"), os.path.join(cls.config, name + ".yaml"))

    @classmethod
    def spawn(cls, *command):
        cls.stderrs.append(tempfile.TemporaryFile("w+"))
        cls.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=cls.stderrs[-1]))

    @classmethod
    def sidecar(cls, name, namespace, listeners=(), **metadata):
        ads = {"ads": {}, "resource_api_version": "V3"}
        path = os.path.join(cls.directory, name + ".json")
        service_name = name if name.startswith("echo") else "shop"
        cls.admin[name] = mesh.free_port()
        with open(path, "w") as file:
            json.dump({
                "node": {"id": name, "cluster": service_name,
                         "metadata": {"namespace": namespace, "service": service_name,
                                      "access_log": os.path.join(cls.directory, "log-" + name), **metadata}},
                "dynamic_resources": {"lds_config": ads, "cds_config": ads, "ads_config": {
                    "api_type": "GRPC", "transport_api_version": "V3",
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "control"}}]}},
                "admin": {"address": {"socket_address": {"address": HOST, "port_value": cls.admin[name]}}},
                "static_resources": {"listeners": list(listeners), "clusters": [mesh.cluster("control", [(HOST, cls.control)], http2=True)]}}, file)
        state = os.path.join(cls.directory, "state-" + name)
        os.makedirs(state)
        cls.spawn(SIDECAR, "-c", path, "--concurrency", "1", "--state-dir", state, "--drain-time-s", "1")

    def tearDown(self):
        self.remove_routes()

    def remove_routes(self):
        path = os.path.join(self.config, "routes.yaml")
        if os.path.exists(path):
            os.unlink(path)
        for namespace in self.outbound:
            mesh.wait_until(lambda namespace=namespace: self.ask("/none", namespace=namespace, host="echo.default")[0] == 200,
                            "without a route everything goes to the Service")

    def apply(self, *routes, port=None):
        """They are in force when this returns: one more rule comes with them, at that port, whose answer is no other's."""
        Gateway.applied += 1
        mark = f"/applied-{Gateway.applied}"
        namespaces = ["default"] + ["other"] * any("namespace: other" in one for one in routes)
        self.write("routes", "".join(routes) + "".join(
            route("mark", [f"{{matches: [{{path: {{type: Exact, value: {mark}}}}}], filters: [{{type: RequestRedirect, "
                           "requestRedirect: {hostname: applied}}]}"], one, port) for one in namespaces))
        for namespace in self.outbound:
            mesh.wait_until(lambda namespace=namespace: self.ask(mark, namespace=namespace, host="echo.default")[0] == 302,
                            "the routes are in force")

    def fresh(self):
        Gateway.identity += 1
        return f"id-{Gateway.identity}"

    def ask(self, path="/", method="GET", host="echo", namespace="default", **fields):
        """(status, what the app saw or None)."""
        connection = http.client.HTTPConnection(HOST, self.outbound[namespace], timeout=mesh.WAIT)
        try:
            connection.request(method, path, headers={"Host": host, **{name.replace("_", "-"): v for name, v in fields.items()}})
            answer = connection.getresponse()
            body = answer.read()
            self.answer = answer
            try:
                return answer.status, json.loads(body)
            except ValueError:
                return answer.status, None
        finally:
            connection.close()

    def seen_by(self, backend, path):
        with self.apps[backend].server.lock:
            return self.apps[backend].server.paths[path]

    def goes_to(self, backend, *request, **more):
        status, seen = self.ask(*request, **more)
        self.assertEqual((status, seen and seen["backend"]), (200, backend), (request, more))

    def answers(self, status, *request, **more):
        self.assertEqual(self.ask(*request, **more)[0], status, (request, more))

    def sees(self, path, sent, expected):
        """`expected`: {name: what the app sees, joined, or None}."""
        connection = http.client.HTTPConnection(HOST, self.outbound["default"], timeout=mesh.WAIT)
        connection.request("GET", path, headers={"Host": "echo", **sent})
        seen = json.loads(connection.getresponse().read())["fields"]
        connection.close()
        for name, value in expected.items():
            values = [v for n, v in seen if n.lower() == name.lower()]
            self.assertEqual(",".join(values) if values else None, value, (path, name))

    def location(self, path, status, host="example.org", port=None, scheme="http", at=None, asked="echo"):
        self.answers(status, path, host=asked)
        self.assertEqual(self.answer.getheader("location"), f"{scheme}://{host}{f':{port}' if port else ''}{at or path}")
