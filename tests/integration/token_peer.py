"""A caller's sidecar as a test plays it, stream by stream, towards a real one of a service that makes sure of tokens."""

import collections
import os
import socket
import struct
import time

import h2.config
import h2.connection
import h2.errors
import h2.events

import mesh
from mesh import HOST

DOMAIN = 7
HELLO = 0xF7  # the type of the frame

Answer = collections.namedtuple("Answer", "status fields body")


def verdict(answer):
    return answer.fields.get("pillion-dedup", "(none)").split(";")[0]


def domain(**more):
    """What a listener of the service enforces."""
    return mesh.typed("pillion.sidecar.v1.Idempotency", domains=[{"id": str(DOMAIN), **more}])


def stamping(**more):
    """What a listener of callers is told: its `filters`, and its `per_filter`."""
    policy = mesh.typed("pillion.sidecar.v1.TokenPolicy", domain=str(DOMAIN), **more)
    return {"filters": [("pillion.idempotency", mesh.typed("pillion.sidecar.v1.Idempotency"))], "per_filter": {"pillion.idempotency": policy}}


class Peer:
    """A caller's sidecar, played: one HTTP/2 connection, and what came of its streams."""

    def __init__(self, port):
        self.sock = socket.create_connection((HOST, port), timeout=mesh.WAIT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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

    def post(self, token, order, *do, body=b"pay", path="/pay", method="POST", fields=(), first=None, domain=DOMAIN, finish=True):
        """Begins a stream; its number."""
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "pay"), ("x-order", order)]
        head += [("x-do", one) for one in do] + list(fields)
        if token:
            head += [("pillion-token", token), ("pillion-attempt", "1"), ("pillion-first", (first or self.incarnation).hex()),
                     ("pillion-domain", "%016x" % domain), ("pillion-h1", "2")]
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
