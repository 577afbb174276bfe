"""What the tests of idempotency tokens share: an app that is a process of its own and counts executions, callers' sidecars that are
played, stream by stream, a sidecar of the service, and one of the caller with a network between them that can be broken."""

import collections
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import h2.config
import h2.connection
import h2.errors
import h2.events

import mesh
import pushed
from lossy import Lossy
from mesh import HOST

APP = os.path.join(os.path.dirname(os.path.realpath(__file__)), "token_app.py")
DOMAIN = 7
HELLO = 0xF7  # the type of the frame

Answer = collections.namedtuple("Answer", "status fields body")


class Process:
    """The app."""

    def __init__(self, port=None):
        self.folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        self.file = os.path.join(self.folder, "executions")
        self.port = port or mesh.free_port()
        self.start()

    def start(self):
        self.process = subprocess.Popen([sys.executable, APP, HOST, str(self.port), self.file], stdin=subprocess.DEVNULL)
        mesh.wait_until(lambda: mesh.listens(self.port), "the app")

    def executions(self, order):
        try:
            with open(self.file, encoding="utf-8") as file:
                return file.read().split("\n").count(order)
        except FileNotFoundError:
            return 0

    def stop(self):
        self.process.kill()
        self.process.wait()


class Peer:
    """A caller's sidecar, played: one HTTP/2 connection, and what came of its streams."""

    def __init__(self, port, context=None):
        self.sock = socket.create_connection((HOST, port), timeout=mesh.WAIT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self.sock = context.wrap_socket(self.sock)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8", validate_outbound_headers=False))
        self.h2.initiate_connection()
        self.heads, self.bodies, self.ended, self.resets = {}, collections.defaultdict(bytes), set(), set()
        self.incarnation, self.domains, self.clock = None, [], None
        self.flush()
        while self.incarnation is None:
            self.read()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def read(self):
        data = self.sock.recv(65536)
        if not data:
            raise AssertionError("the connection has ended")
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.UnknownFrameReceived) and event.frame.type == HELLO:
                payload = event.frame.body
                self.incarnation = payload[1:17]
                self.domains = [number for number, _ in struct.iter_unpack(">QQ", payload[17:])]
                self.clock = struct.unpack(">Q", payload[25:33])[0] - int(time.time() * 1000)
            elif isinstance(event, h2.events.ResponseReceived):
                self.heads[event.stream_id] = list(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.resets.add(event.stream_id)
        self.flush()

    def mint(self, age_ms=0):
        now = int(time.time() * 1000) + self.clock - age_ms
        digits = "%012x7%03x%04x%012x" % (now, int.from_bytes(os.urandom(2), "big") & 0xFFF,
                                           0x8000 | int.from_bytes(os.urandom(2), "big") & 0x3FFF, int.from_bytes(os.urandom(6), "big"))
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def post(self, token, order, *do, body=b"pay", path="/pay", method="POST", fields=(), first=None, domain=DOMAIN, finish=True,
             is_first=False):
        """Begins a stream; its number. `is_first`: as the first attempt of its token, which says nothing of others."""
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "pay"), ("x-order", order)]
        head += [("x-do", one) for one in do] + list(fields)
        if token:
            head += [("pillion-token", token), ("pillion-domain", "%016x" % domain), ("pillion-h1", "2")]
            if not is_first:
                head += [("pillion-attempt", "2"), ("pillion-first", (first or self.incarnation).hex())]
        head.append(("content-length", str(len(body))))
        self.h2.send_headers(stream, head)
        while body:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room == 0:
                self.flush()
                self.read()
                continue
            part, body = body[:room], body[room:]
            self.h2.send_data(stream, part)
        if finish:
            self.h2.end_stream(stream)
        self.flush()
        return stream

    def has_ended(self, stream):
        return stream in self.ended or stream in self.resets

    def answer(self, stream):
        """None: it was reset."""
        while not self.has_ended(stream):
            self.read()
        if stream in self.resets:
            return None
        fields = dict(self.heads[stream])
        return Answer(int(fields[":status"]), fields, self.bodies[stream])

    def ask(self, *arguments, **more):
        return self.answer(self.post(*arguments, **more))

    def cancel(self, stream):
        self.h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
        self.flush()

    def close(self):
        self.sock.close()


def verdict(answer):
    return answer.fields.get("pillion-dedup", "(none)").split(";")[0]


def domain(**more):
    """What a listener of the service enforces."""
    return mesh.typed("pillion.sidecar.v1.Idempotency", domains=[{"id": str(DOMAIN), **more}])


def allowing(*principals):
    """A filter that lets these ask for anything, and nobody else."""
    rules = {"policies": {"all": {"permissions": [{"any": True}], "principals": list(principals)}}} if principals else {}
    return "envoy.filters.http.rbac", mesh.typed("envoy.extensions.filters.http.rbac.v3.RBAC", rules=rules)


def proven(name):
    """The principal whose certificate says this."""
    return {"authenticated": {"principal_name": {"exact": name}}}


def stamping(**more):
    """What a listener of callers is told: its `filters`, and its `per_filter`."""
    policy = mesh.typed("pillion.sidecar.v1.TokenPolicy", **{"domain": str(DOMAIN), **more})
    return {"filters": [("pillion.idempotency", mesh.typed("pillion.sidecar.v1.Idempotency"))], "per_filter": {"pillion.idempotency": policy}}


class AtTheService(unittest.TestCase):
    """One sidecar, of the service; its callers' are played."""

    orders = 0

    def setUp(self):
        self.app = Process()
        self.addCleanup(self.app.stop)
        self.made, self.peers = [], []
        self.addCleanup(lambda: mesh.stop_all(self, self.made))
        self.addCleanup(lambda: [peer.close() for peer in self.peers])

    def start(self, app=None, concurrency=1, flags=(), **terms):
        self.inbound = mesh.free_port()
        self.start_sidecar(app, concurrency, flags, **terms)
        return self.connect()

    def start_sidecar(self, app=None, concurrency=1, flags=(), http2=False, **terms):
        self.made.append(mesh.Sidecar(
            [mesh.listener("inbound", self.inbound, "app", direction="INBOUND", peer=True, filters=[self.filter(**terms)])],
            [mesh.cluster("app", [app or (HOST, self.app.port)], http2=http2), *self.clusters()],
            concurrency=concurrency, drain_s=1, admin=True, flags=flags))
        self.settle(concurrency)

    def start_pushed(self, *principals, certificates=None, **terms):
        """A sidecar of the service whose listener is pushed: `allow` lets others ask. `certificates`: of an authority; it speaks TLS."""
        plane = pushed.ControlPlane()
        self.addCleanup(plane.stop)
        self.inbound = mesh.free_port()
        self.made.append(mesh.Sidecar([], [mesh.cluster("app", [(HOST, self.app.port)]), plane.cluster(), *self.clusters()],
                                      drain_s=1, admin=True, more=plane.bootstrap()))

        def allow(*principals):
            made = mesh.listener("inbound", self.inbound, "app", direction="INBOUND", peer=True,
                                 filters=[allowing(*principals), self.filter(**terms)])
            if certificates is not None:
                mesh.with_tls(made, mesh.server_tls({"tls_certificates": [certificates.files("server")],
                                                     "validation_context": certificates.trusted(), "alpn_protocols": ["h2"]}))
            plane.push(made)

        self.allow = allow
        self.allow(*principals)
        mesh.wait_until(lambda: mesh.listens(self.inbound), "the pushed listener")
        self.settle()

    def filter(self, **terms):
        return "pillion.idempotency", domain(**terms)

    def clusters(self):
        """Beside the app's."""
        return []

    def settle(self, workers=1):
        """The sidecar that was made last serves tokens."""

    def connect(self, context=None):
        self.peers.append(Peer(self.inbound, context))
        return self.peers[-1]

    def taker_of_none(self):
        """The address of an app that takes no connection: its backlog is full."""
        full = socket.socket()
        full.bind((HOST, 0))
        full.listen(0)
        made = [full]
        for _ in range(4):
            made.append(socket.socket())
            made[-1].setblocking(False)
            made[-1].connect_ex(full.getsockname())
        self.addCleanup(lambda: [one.close() for one in made])
        return full.getsockname()

    def order(self):
        AtTheService.orders += 1
        return "order-%d" % self.orders

    def expect(self, answer, status, said):
        self.assertEqual((answer.status, verdict(answer)), (status, said), answer)

    def ran(self, order, times=1):
        self.assertEqual(self.app.executions(order), times)

    def kill(self):
        """The sidecar, without a word."""
        self.made[-1].process.kill()
        self.made.pop().process.wait()


class BetweenTwo(AtTheService):
    """And a sidecar of the caller, with a network between them that can be broken."""

    def make_network(self):
        """Its port, and it; to the sidecar of the service that was started last."""
        port = mesh.free_port()
        made = Lossy((HOST, port), (HOST, self.inbound), lambda _: False)
        self.addCleanup(made.close)
        return port, made

    def start(self, route=None, policy=None, endpoints=None, more=(), stamps=True, allowed=None, **terms):
        """`more`: ports of networks to other sidecars of the service; `stamps`: that requests have tokens is waited for; `allowed`:
        principals that may ask, of a listener that is pushed."""
        self.inbound = mesh.free_port()
        if allowed is None:
            self.start_sidecar(**terms)
        else:
            self.start_pushed(*allowed, **terms)
        self.network_port, self.network = self.make_network()
        self.outbound = mesh.free_port()
        self.made.append(mesh.Sidecar(
            [mesh.listener("outbound", self.outbound, "next", explain=True, route=route, **stamping(**(policy or {})))],
            [mesh.cluster("next", endpoints or [(HOST, port) for port in (self.network_port, *more)], sidecar=True)], drain_s=1, admin=True))
        if stamps:
            mesh.wait_until(lambda: "token=" in (self.ask("warm").get("x-pillion-explain") or ""), "tokens are given")

    def ask(self, order, *do, fields=(), method="POST", body="pay"):
        """The head of the answer; `self.body` is its content."""
        lines = ["%s: %s" % one for one in fields] + ["x-do: " + one for one in do]
        conversation = mesh.Conversation(socket.create_connection((HOST, self.outbound), timeout=mesh.WAIT))
        self.peers.append(conversation)
        conversation.send("%s /pay HTTP/1.1\r\nHost: pay\r\nx-order: %s\r\nx-pillion-explain: 1\r\nContent-Length: %d\r\n%s\r\n%s" % (
            method, order, len(body), "".join(line + "\r\n" for line in lines), body))
        head = conversation.head()
        self.body = conversation.exactly(int(head.get("content-length"))).decode() if head.get("content-length") else ""
        return head

    def lose(self, *times, network=None):
        """The answers of these numbers, from 1, are lost with their connections."""
        network = network or self.network
        network.answers, network.lose = 0, lambda number: number in times

    def token_of(self, head):
        return re.search("token=([0-9a-f]{16})", head.get("x-pillion-explain") or "")
