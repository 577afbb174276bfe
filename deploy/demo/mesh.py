"""The demo's processes: applications, sidecars, control plane, collector, each on a loopback address of its own."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.join(TOP, "deploy", "demo")
PYTHON = "/usr/bin/python3"
CONTROL_PLANE = "127.0.0.1:15010"
OUTBOUND = "127.0.0.1:15001"

# name: (service, inbound listener, app, admin port)
SIDECARS = {
    "client": ("shop", None, None, 15901),
    "web": ("web", "127.0.1.1:15006", "127.0.1.1:8080", 15902),
    "orders-v1": ("orders-v1", "127.0.2.1:15006", "127.0.2.1:8080", 15903),
    "orders-v2": ("orders-v2", "127.0.2.2:15006", "127.0.2.2:8080", 15904),
    "greeter": ("greeter", "127.0.3.1:15006", "127.0.3.1:50051", 15905),
    "payments": ("payments", "127.0.4.1:15006", "127.0.4.1:8080", 15906),
}
LOSSY = "127.0.4.2:15006"  # what others know the payments sidecar by

NGINX = """daemon off; worker_processes 1; pid {run}/nginx.pid; error_log {run}/nginx.err;
events {{ worker_connections 4096; }}
http {{
  log_format seen '$server_protocol $request';
  access_log {run}/nginx-seen.log seen buffer=64k flush=200ms;
  client_body_temp_path {run}/body; proxy_temp_path {run}/proxy; fastcgi_temp_path {run}/fastcgi;
  uwsgi_temp_path {run}/uwsgi; scgi_temp_path {run}/scgi;
  keepalive_requests 1000000; keepalive_timeout 1h;
  server {{ listen 127.0.1.1:8080; location / {{ root {run}/www; }} }}
}}
"""


def split(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


def split_words(address):
    return address.rsplit(":", 1)


def listening(address):
    try:
        with socket.create_connection(split(address), timeout=0.2):
            return True
    except OSError:
        return False


def wait_for(what, condition, seconds=10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise RuntimeError(f"{what}: not within {seconds:g} s")


class Mesh:
    def __init__(self, run):
        self.run = run
        self.processes = {}
        self.ledger = os.path.join(run, "ledger")
        shutil.rmtree(run, ignore_errors=True)
        os.makedirs(os.path.join(run, "www"))
        shutil.copytree(os.path.join(HERE, "mesh"), os.path.join(run, "mesh"))
        with open(os.path.join(run, "www", "index.html"), "w", encoding="utf-8") as page:
            page.write("A page from nginx, through two sidecars.\n")

    def start(self, name, command):
        log = open(os.path.join(self.run, name + ".log"), "ab")
        self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=TOP)
        return self.processes[name]

    def pid(self, name):
        return self.processes[name].pid

    def stop(self, name, sig=signal.SIGTERM, seconds=15):
        process = self.processes.pop(name)
        process.send_signal(sig)
        return process.wait(timeout=seconds)

    def stop_all(self):
        for name in list(self.processes):
            try:
                self.processes[name].send_signal(signal.SIGTERM)
            except OSError:
                pass
        for name in list(self.processes):
            try:
                self.processes[name].wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.processes[name].kill()
                self.processes[name].wait()
        self.processes.clear()

    def start_apps(self):
        with open(os.path.join(self.run, "nginx.conf"), "w", encoding="utf-8") as conf:
            conf.write(NGINX.format(run=self.run))
        self.start("nginx", ["nginx", "-e", os.path.join(self.run, "nginx.err"), "-c", os.path.join(self.run, "nginx.conf")])
        app = os.path.join(HERE, "apps")
        self.start("orders-app-v1", [PYTHON, f"{app}/orders.py", "127.0.2.1", "8080", "v1"])
        self.start("orders-app-v2", [PYTHON, f"{app}/orders.py", "127.0.2.2", "8080", "v2"])
        self.start("payments-app", [PYTHON, f"{app}/payments.py", "127.0.4.1", "8080", self.ledger])
        self.start("lossy-network", [PYTHON, f"{app}/lossy.py", *split_words(LOSSY), *split_words(SIDECARS["payments"][1]), "20"])
        self.start("greeter-app", [PYTHON, f"{app}/greeter.py", "serve", "127.0.3.1:50051"])
        protos = os.path.join(self.run, "protos")
        os.makedirs(protos)
        names = [f"opentelemetry/proto/{p}" for p in (
            "common/v1/common.proto", "resource/v1/resource.proto", "trace/v1/trace.proto",
            "collector/trace/v1/trace_service.proto")]
        subprocess.run(["protoc", "-Iprotos", "--python_out=" + protos, *names], cwd=TOP, check=True)
        self.start("collector", [PYTHON, f"{app}/collector.py", "127.0.9.1:4317", os.path.join(self.run, "spans.jsonl"), protos])
        for address in ("127.0.1.1:8080", "127.0.2.1:8080", "127.0.2.2:8080", "127.0.3.1:50051", "127.0.4.1:8080", LOSSY, "127.0.9.1:4317"):
            wait_for("the app at " + address, lambda a=address: listening(a))

    def start_control_plane(self):
        self.start("control-plane", ["bazel-bin/control-plane/pillion-control-plane", "--config-dir",
                                     os.path.join(self.run, "mesh"), "--listen", CONTROL_PLANE])
        wait_for("the control plane", lambda: listening(CONTROL_PLANE))

    def bootstrap(self, name):
        service, inbound, app, admin = SIDECARS[name]
        metadata = {"namespace": "default", "service": service, "explain": "true"}
        if inbound:
            metadata.update(inbound_listener=inbound, app=app, outbound_listener="none")
            if name == "payments":
                metadata.update(inbound_address=LOSSY)
        else:
            metadata.update(outbound_listener=OUTBOUND)
        host, port = split(CONTROL_PLANE)
        ads = {"ads": {}, "resource_api_version": "V3"}
        http2 = {"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                 "explicit_http_config": {"http2_protocol_options": {}}}
        return {
            "node": {"id": name, "cluster": service, "metadata": metadata},
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}},
            "dynamic_resources": {
                "lds_config": ads, "cds_config": ads,
                "ads_config": {"api_type": "GRPC", "transport_api_version": "V3",
                               "grpc_services": [{"envoy_grpc": {"cluster_name": "control-plane"}}]}},
            "static_resources": {"clusters": [{
                "name": "control-plane", "type": "STATIC", "connect_timeout": "1s",
                "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
                "load_assignment": {"cluster_name": "control-plane", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}]}]}}]},
        }

    def start_sidecar(self, name):
        state = os.path.join(self.run, "state-" + name)
        os.makedirs(state, exist_ok=True)
        path = os.path.join(self.run, name + ".json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.bootstrap(name), file, indent=2)
        self.start("sidecar-" + name, ["bazel-bin/sidecar/pillion-sidecar", "-c", path, "--concurrency", "1",
                                       "--state-dir", state, "--drain-time-s", "5"])

    def admin(self, name, page):
        port = SIDECARS[name][3]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=2) as answer:
            return answer.read().decode()

    def ready(self, name):
        try:
            return self.admin(name, "/ready").startswith("ready")
        except OSError:
            return False

    def wait_ready(self, names):
        for name in names:
            wait_for(f"sidecar {name} to be ready (see {self.run}/sidecar-{name}.log)", lambda n=name: self.ready(n))

    def metric(self, name, metric, **labels):
        """Sum of all series of `metric` that carry these labels."""
        total = 0.0
        for line in self.admin(name, "/metrics").splitlines():
            if not line.startswith(metric + "{") and not line.startswith(metric + " "):
                continue
            if all(f'{k}="{v}"' in line for k, v in labels.items()):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def cpu_seconds(self, name):
        with open(f"/proc/{self.pid(name)}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def require_free_ports():
    taken = [a for a in [CONTROL_PLANE, OUTBOUND, "127.0.9.1:4317"] +
             [f"127.0.0.1:{s[3]}" for s in SIDECARS.values()] + [s[1] for s in SIDECARS.values() if s[1]] + [LOSSY] if listening(a)]
    if taken:
        sys.exit("quickstart: these addresses are in use, is a demo running already? " + ", ".join(taken))
