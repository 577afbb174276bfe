"""Real sidecars on loopback, between a scripted client and a scripted app.

  client --> outbound sidecar --HTTP/1.1--> app                                      (mesh of one)
  client --> outbound sidecar ==HTTP/2==> inbound sidecar --HTTP/1.1--> app          (mesh of two)

The client and the app are plain sockets that the test itself drives, in one thread and byte for byte: a test reads
as the conversation it checks. Sidecars are real processes with a static bootstrap; each is ended by SIGTERM and must
exit 0 with nothing on stderr. Every wait has an end (WAIT) and nothing sleeps where it can poll.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

WAIT = 20.0  # seconds: no single step of a test takes longer, also under sanitizers

# A loopback address of this process's own: ports found free here stay free, whatever other tests do.
HOST = "127.%d.%d.%d" % (random.SystemRandom().randrange(10, 250), random.SystemRandom().randrange(256),
                         random.SystemRandom().randrange(1, 255))

_SIDECAR = os.path.join(os.environ.get("TEST_SRCDIR", "."), os.environ.get("TEST_WORKSPACE", ""),
                        "sidecar/pillion-sidecar")
SIDECAR = os.environ.get("PILLION_SIDECAR", _SIDECAR)

_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "envoy.extensions.filters.http.router.v3.Router"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TLS = "envoy.extensions.transport_sockets.tls.v3."


def sanitized():
    """Sanitizers keep freed memory, and need descriptors of their own."""
    with open(SIDECAR, "rb") as file:
        data = file.read()
    return b"__asan_init" in data or b"__tsan_init" in data or b"__ubsan_handle" in data


def typed(name, **fields):
    return {"@type": "type.googleapis.com/" + name, **fields}


_given = []  # descriptors


def free_port():
    """A port that nobody has. A socket of ours stays bound to it and never listens: no other test's server that lets the
    kernel choose is given it (not even one of all addresses), and one that asks for it with SO_REUSEADDR gets it."""
    probe = socket.socket()
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        probe.setsockopt(socket.SOL_SOCKET, option, 1)
    probe.bind((HOST, 0))
    port = probe.getsockname()[1]
    _given.append(probe.detach())
    return port


def wait_until(condition, what):
    """Polls until `condition()` is true; fails with `what` when it never is."""
    end = time.monotonic() + WAIT
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("never happened: " + what)
        time.sleep(0.005)


# --- configuration ---------------------------------------------------------------------------------------------


def listener(name, port, cluster, direction="OUTBOUND", peer=False, explain=False, route=None, hcm=None,
             routes=None, filters=(), per_filter=None, pass_upgrades=True, **more):
    """`filters`: (name, typed config) pairs; `per_filter`: what the virtual host says of them, by name."""
    filters = [{"name": one, "typed_config": config} for one, config in filters]
    filters.append({"name": "pillion.peering",
                    "typed_config": typed("pillion.sidecar.v1.Peering", accept_peer_headers=peer,
                                          allow_explain=explain, pass_upgrades=pass_upgrades)})
    filters.append({"name": "envoy.filters.http.router", "typed_config": typed(_ROUTER)})
    action = {"cluster": cluster, "timeout": "0s", **(route or {})}
    # As our control plane writes it: what Envoy would do by default is not what an app must see.
    manager = typed(_HCM, **{
        "stat_prefix": name, "generate_request_id": False, "http_filters": filters,
        "proxy_100_continue": True, "server_header_transformation": "PASS_THROUGH",
        "http_protocol_options": {"accept_http_10": True},
        "route_config": {"name": name, "virtual_hosts": [{
            "name": "all", "domains": ["*"], "typed_per_filter_config": per_filter or {},
            "routes": routes or [{"match": {"prefix": "/"}, "route": action}]}]},
        **(hcm or {})})
    return {"name": name, "traffic_direction": direction,
            "address": {"socket_address": {"address": HOST, "port_value": port}},
            "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager",
                                            "typed_config": manager}]}], **more}


def cluster(name, addresses, sidecar=False, http2=False, **more):
    """`addresses`: (host, port) pairs."""
    endpoints = []
    for host, port in addresses:
        endpoint = {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
        if sidecar:
            endpoint["metadata"] = {"filter_metadata": {"pillion": {"sidecar": True}}}
        endpoints.append(endpoint)
    made = {"name": name, "type": "STATIC", "connect_timeout": "5s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}}
    if http2:
        made["typed_extension_protocol_options"] = {
            _HTTP_OPTIONS: typed(_HTTP_OPTIONS, explicit_http_config={"http2_protocol_options": {}})}
    made.update(more)
    return made


_TCP = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
INSPECTORS = {name: {"name": name, "typed_config": typed(
    "envoy.extensions.filters.listener.%s.v3.%s" % (name, name.title().replace("_", "")))}
    for name in ("tls_inspector", "http_inspector", "proxy_protocol")}


def tcp_chain(cluster, match=None, **more):
    config = typed(_TCP, stat_prefix="tcp", cluster=cluster, **more)
    return {"filter_chain_match": match or {}, "filters": [{"name": "tcp", "typed_config": config}]}


def server_tls(common, **more):
    return {"name": "envoy.transport_sockets.tls",
            "typed_config": typed(_TLS + "Down" + "streamTlsContext", common_tls_context=common, **more)}


def client_tls(common, **more):
    return {"name": "envoy.transport_sockets.tls",
            "typed_config": typed(_TLS + "UpstreamTlsContext", common_tls_context=common, **more)}


def with_tls(made, socket_config):
    """That listener with this at its first chain."""
    made["filter_chains"][0]["transport_socket"] = socket_config
    return made


# --- processes -------------------------------------------------------------------------------------------------


class Sidecar:
    """One pillion-sidecar process; ready when the constructor returns."""

    def __init__(self, listeners, clusters, drain_s=10, concurrency=1, admin=False, flags=(), more=None):
        self.directory = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        config = os.path.join(self.directory, "bootstrap.json")
        with open(config, "w") as file:
            bootstrap = {"node": {"id": "test", "cluster": "test"},
                         "static_resources": {"listeners": listeners, "clusters": clusters}}
            bootstrap.update(more or {})
            if admin:
                self.admin_port = free_port()
                bootstrap["admin"] = {"address": {"socket_address": {"address": HOST, "port_value": self.admin_port}}}
            json.dump(bootstrap, file)
        self.ports = [one["address"]["socket_address"]["port_value"] for one in listeners]
        self._stderr = open(os.path.join(self.directory, "stderr"), "w+")
        self.command = [SIDECAR, "-c", config, "--concurrency", str(concurrency), "--drain-time-s", str(drain_s), *flags]
        self.start()
        self.wait_until_it_listens()

    def start(self):
        """Again, when it was killed; `wait_until_it_listens` says when it is there."""
        self.process = subprocess.Popen(self.command, stderr=self._stderr, stdin=subprocess.DEVNULL)

    def wait_until_it_listens(self):
        for port in self.ports:
            wait_until(lambda: self._listens(port), "the sidecar listens; its stderr: " + self.stderr())

    def kill(self):
        self.process.kill()
        self.process.wait()

    def _listens(self, port):
        if self.process.poll() is not None:
            raise AssertionError("the sidecar ended with %d: %s" % (self.process.returncode, self.stderr()))
        return listens(port)

    def stderr(self):
        self._stderr.seek(0)
        return self._stderr.read()

    def page(self, path):
        """What the admin page of that path says."""
        admin = Conversation(socket.create_connection((HOST, self.admin_port), timeout=WAIT))
        admin.send("GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % path)
        text = admin.rest().decode().split("\r\n\r\n", 1)[1]
        admin.close()
        return text

    def metrics(self):
        """{series: value} of the admin page."""
        lines = self.page("/metrics").splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines
                if " " in line and not line.startswith("#")}

    def resident_bytes(self):
        with open("/proc/%d/statm" % self.process.pid) as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def sockets(self):
        """What its descriptors are; of TCP both ends and the state, as the kernel writes them."""
        folder = "/proc/%d/" % self.process.pid
        with open(folder + "net/tcp") as file:
            known = {line.split()[9]: " ".join(line.split()[1:4]) for line in file.readlines()[1:]}
        links = [os.readlink(folder + "fd/" + number) for number in os.listdir(folder + "fd")]
        return sorted(known.get(link[8:-1], link) if link.startswith("socket:[") else link for link in links)

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self):
        return self.process.wait(timeout=WAIT)

    def stop(self):
        """SIGTERM; the process must end well."""
        try:
            if self.process.poll() is None:
                self.terminate()
            code = self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the sidecar did not end on SIGTERM: " + self.stderr())
        errors = self.stderr()
        self._stderr.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        if code != 0 or errors:
            raise AssertionError("the sidecar ended with %d: %s" % (code, errors))


def listens(port, host=None):
    try:
        socket.create_connection((host or HOST, port), timeout=WAIT).close()
        return True
    except ConnectionResetError:
        return True  # it was taken, and ended at once
    except ConnectionRefusedError:
        return False


# --- scripted peers --------------------------------------------------------------------------------------------


class Conversation:
    """One end of a TCP connection, read and written byte for byte."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(WAIT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def _fill(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def until(self, mark):
        """Everything up to and with `mark`."""
        searched = 0
        while True:
            at = self.buffer.find(mark, max(0, searched - len(mark)))
            if at >= 0:
                taken, self.buffer = self.buffer[:at + len(mark)], self.buffer[at + len(mark):]
                return taken
            searched = len(self.buffer)
            if not self._fill():
                raise AssertionError("the connection ended after %r, before %r" % (self.buffer, mark))

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self._fill():
                raise AssertionError("the connection ended after %r" % self.buffer)
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def head(self):
        return Head(self.until(b"\r\n\r\n"))

    def rest(self):
        """Everything until the peer closes its side. A reset is an error."""
        while self._fill():
            pass
        taken, self.buffer = self.buffer, b""
        return taken

    def rest_or_reset(self):
        """Everything that came until the peer closed, in whatever way."""
        try:
            return self.rest()
        except ConnectionResetError:
            taken, self.buffer = self.buffer, b""
            return taken

    def chunks(self):
        """A chunked body and its trailers as (content, trailer lines)."""
        content = b""
        while True:
            size = int(self.until(b"\r\n"), 16)
            if size == 0:
                break
            content += self.exactly(size)
            if self.exactly(2) != b"\r\n":
                raise AssertionError("a chunk does not end where its size says")
        trailers = b""
        while not trailers.endswith(b"\r\n") or not (trailers == b"\r\n" or trailers.endswith(b"\r\n\r\n")):
            trailers += self.until(b"\r\n")
        return content, trailers[:-2].decode().splitlines()

    def silent(self, seconds=0.05):
        """True when nothing comes for a short while (proves no more than that)."""
        if self.buffer:
            return False
        self.sock.settimeout(seconds)
        try:
            data = self.sock.recv(65536)
            self.buffer += data
            return False
        except socket.timeout:
            return True
        finally:
            self.sock.settimeout(WAIT)

    def closed(self):
        """The peer closes: an end or a reset, without a further byte."""
        try:
            return self.rest() == b""
        except ConnectionResetError:
            return True

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Head:
    """The head of a message: `first` line and `fields` in their order, as written."""

    def __init__(self, data):
        self.text = data.decode("latin-1")
        lines = self.text[:-4].split("\r\n")
        self.first = lines[0]
        self.fields = [tuple(line.split(": ", 1)) for line in lines[1:]]
        self.status = int(self.first.split(" ")[1]) if self.first.startswith("HTTP/") else None

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None

    def names(self):
        return [key for key, _ in self.fields]

    def __repr__(self):
        return self.text


class App:
    """A listening socket; `accept()` gives the next connection that a sidecar makes."""

    def __init__(self, backlog=128):
        self.sock = socket.socket()
        self.sock.bind((HOST, 0))
        self.sock.listen(backlog)
        self.sock.settimeout(WAIT)
        self.address = self.sock.getsockname()
        self.connections = []

    def accept(self):
        self.connections.append(Conversation(self.sock.accept()[0]))
        return self.connections[-1]

    def no_connection(self, seconds=0.05):
        self.sock.settimeout(seconds)
        try:
            self.accept()
            return False
        except socket.timeout:
            return True
        finally:
            self.sock.settimeout(WAIT)

    def close(self):
        for connection in self.connections:
            connection.close()
        self.sock.close()


def stop_all(test, sidecars):
    """Stops each, also when another did not end well."""
    failures = []
    for sidecar in sidecars:
        try:
            sidecar.stop()
        except AssertionError as error:
            failures.append(str(error))
    if failures:
        test.fail("\n".join(failures))


class MeshTest(unittest.TestCase):
    """`start()` makes the mesh; what it made is ended after the test, and sidecars must have ended well."""

    sidecars = 1

    def setUp(self):
        self.app = App()
        self.made = []  # sidecars, in the order in which requests meet them
        self.clients = []
        self.addCleanup(self._end)

    def start(self, addresses=None, http2_app=False, out=None, inbound=None, out_cluster=None, app_cluster=None,
              drain_s=10, concurrency=1, admin=False):
        """`out`, `inbound`: more arguments of listener(); `out_cluster`, `app_cluster`: of cluster()."""
        addresses = addresses or [self.app.address]
        self.port = free_port()
        if self.sidecars == 1:
            self.made = [Sidecar([listener("outbound", self.port, "app", **(out or {}))],
                                 [cluster("app", addresses, http2=http2_app,
                                          **{**(app_cluster or {}), **(out_cluster or {})})],
                                 drain_s, concurrency, admin)]
            return
        between = free_port()
        settings = {"peer": True, "explain": True, **(inbound or {})}
        far = Sidecar([listener("inbound", between, "app", direction="INBOUND", **settings)],
                      [cluster("app", addresses, http2=http2_app, **(app_cluster or {}))], drain_s, concurrency, admin)
        self.made = [far]
        near = Sidecar([listener("outbound", self.port, "next", **(out or {}))],
                       [cluster("next", [(HOST, between)], sidecar=True, **(out_cluster or {}))],
                       drain_s, concurrency, admin)
        self.made = [near, far]

    def client(self):
        self.clients.append(Conversation(socket.create_connection((HOST, self.port), timeout=WAIT)))
        return self.clients[-1]

    def ask(self, text, client=None):
        """Sends a request; returns the client's end."""
        client = client or self.client()
        client.send(text)
        return client

    def get(self, client=None, path="/", fields=""):
        return self.ask("GET %s HTTP/1.1\r\nHost: shop\r\n%s\r\n" % (path, fields), client)

    def accept_request(self, connection=None):
        """The app's end and the head it was sent."""
        connection = connection or self.app.accept()
        return connection, connection.head()

    def _end(self):
        for client in self.clients:
            client.close()
        self.app.close()
        stop_all(self, self.made)


class AtTwo:
    """Mixed in before a class of cases: the same at two sidecars."""

    sidecars = 2


OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def digest(data):
    return hashlib.sha256(data).hexdigest()
