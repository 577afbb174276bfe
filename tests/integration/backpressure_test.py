"""A slow reader stops a fast writer, and what a sidecar holds meanwhile stays within what ARCHITECTURE.md states.

  fast writers  --64 MiB each-->  sidecar(s)  -->  readers that do not read
  a neighbour   <--------- served on the same HTTP/2 connection --------->

The readers then go on and must get every byte.
"""

import random
import selectors
import socket
import threading
import time
import unittest

import mesh

STREAMS = 20
OFFERED = 64 << 20  # bytes per stream
KIB = 1024

# ARCHITECTURE.md, "What a stream may hold", one way.
WAITING_FOR_READER = (256 + 64) * KIB  # the stream's window or buffer, and one read block
NOT_TAKEN_BY_KERNEL = 64 * KIB
KEPT_FOR_RETRY = 64 * KIB
PER_STREAM = WAITING_FOR_READER + NOT_TAKEN_BY_KERNEL
# Not per stream: frames gathered for one write of the shared connection, the worker's read blocks, and what the
# allocator keeps between them.
ALLOWANCE = 6 << 20

STILL = 0.5  # seconds without a byte taken from any writer: they are stopped, or the machine is busy, which only
             # makes the test weaker
ALL_OF_IT = 240.0  # seconds for everything that was offered

_BLOCK = random.Random(1).randbytes(1 << 20)
_TWICE = _BLOCK + _BLOCK


def content(stream, offset, count):
    """`count` bytes of what that stream carries, at most a block."""
    start = (offset + stream * 40961) % len(_BLOCK)
    return _TWICE[start:start + min(count, len(_BLOCK))]


class Writer:
    def __init__(self, stream, conversation):
        self.stream, self.sock, self.sent = stream, conversation.sock, 0
        self.sock.setblocking(False)

    @property
    def done(self):
        return self.sent == OFFERED

    def step(self):
        try:
            self.sent += self.sock.send(content(self.stream, self.sent, min(256 * KIB, OFFERED - self.sent)))
        except BlockingIOError:
            pass


class Reader:
    def __init__(self, stream, conversation):
        self.stream, self.sock, self.got = stream, conversation.sock, 0
        self._take(conversation.buffer)
        conversation.buffer = b""
        self.sock.setblocking(False)

    @property
    def done(self):
        return self.got == OFFERED

    def _take(self, data):
        for at in range(0, len(data), len(_BLOCK)):
            part = data[at:at + len(_BLOCK)]
            if part != content(self.stream, self.got, len(part)):
                raise AssertionError("stream %d: other bytes than were sent behind %d" % (self.stream, self.got))
            self.got += len(part)

    def step(self):
        try:
            data = self.sock.recv(min(256 * KIB, OFFERED - self.got))
        except BlockingIOError:
            return
        if not data:
            raise AssertionError("stream %d ended after %d bytes" % (self.stream, self.got))
        self._take(data)


def run_until_still(writers):
    """Writes what goes until nothing goes any more."""
    with selectors.DefaultSelector() as selector:
        for writer in writers:
            selector.register(writer.sock, selectors.EVENT_WRITE, writer)
        end = time.monotonic() + ALL_OF_IT
        while True:
            ready = selector.select(STILL)
            if not ready:
                return
            if time.monotonic() > end:
                raise AssertionError("the writers are never stopped")
            for key, _ in ready:
                key.data.step()
                if key.data.done:
                    raise AssertionError("stream %d was taken in whole with nobody reading it" % key.data.stream)


def run_to_the_end(writers, readers):
    with selectors.DefaultSelector() as selector:
        for writer in writers:
            selector.register(writer.sock, selectors.EVENT_WRITE, writer)
        for reader in readers:
            selector.register(reader.sock, selectors.EVENT_READ, reader)
        end = time.monotonic() + ALL_OF_IT
        while selector.get_map():
            ready = selector.select(mesh.WAIT)
            if not ready or time.monotonic() > end:
                raise AssertionError("stuck: %s" % [reader.got for reader in readers])
            for key, _ in ready:
                key.data.step()
                if key.data.done:
                    selector.unregister(key.fileobj)
    for one in writers + readers:
        one.sock.settimeout(mesh.WAIT)


class Backpressure(mesh.MeshTest):
    def setUp(self):
        super().setUp()
        self.start()
        self.serve_a_neighbour()  # connections and blocks that are there in any case
        self.before = [sidecar.resident_bytes() for sidecar in self.made]

    def serve_a_neighbour(self):
        client = self.get(path="/neighbour")
        app, head = self.accept_request()
        self.assertEqual(head.first.split(" ")[1], "/neighbour")
        app.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
        app.close()
        self.assertEqual(client.head().status, 200)
        self.assertEqual(client.exactly(2), b"hi")

    def check_memory(self, per_stream):
        limit = STREAMS * per_stream + ALLOWANCE
        for number, (sidecar, before) in enumerate(zip(self.made, self.before)):
            grown = sidecar.resident_bytes() - before
            said = "sidecar %d holds %d KiB more, %d are allowed" % (number, grown // KIB, limit // KIB)
            if mesh.sanitized():
                print("not judged, the sanitizer's memory is in it: " + said)
                continue
            print(said)
            self.assertLessEqual(grown, limit, said)

    def check_shared_connection(self):
        """The streams share one HTTP/2 connection, or the neighbour would prove nothing."""
        if self.sidecars == 1:
            return
        wanted = "%s:%04X" % ("".join("%02X" % int(part) for part in reversed(mesh.HOST.split("."))),
                              self.made[1].ports[0])
        with open("/proc/net/tcp") as file:
            rows = [line.split() for line in file]
        self.assertEqual(len([row for row in rows if row[2] == wanted and row[3] == "01"]), 1)

    def open_streams(self, request):
        """Requests and, in the same order, the app's ends of them."""
        clients, apps = [], []
        for stream in range(STREAMS):
            clients.append(self.ask(request % stream))
            app, head = self.accept_request()
            self.assertEqual(head.first.split(" ")[1], "/%d" % stream)
            apps.append(app)
        return clients, apps

    def test_a_client_that_does_not_read_stops_the_app(self):
        clients, apps = self.open_streams("GET /%d HTTP/1.1\r\nHost: shop\r\n\r\n")
        for client, app in zip(clients, apps):
            app.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % OFFERED)
            self.assertEqual(client.head().status, 200)
        writers = [Writer(stream, app) for stream, app in enumerate(apps)]
        run_until_still(writers)
        self.check_memory(PER_STREAM)
        self.check_shared_connection()
        self.serve_a_neighbour()
        run_to_the_end(writers, [Reader(stream, client) for stream, client in enumerate(clients)])

    def test_an_app_that_does_not_read_stops_the_client(self):
        clients, apps = self.open_streams("PUT /%%d HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n" % OFFERED)
        writers = [Writer(stream, client) for stream, client in enumerate(clients)]
        run_until_still(writers)
        self.check_memory(PER_STREAM + KEPT_FOR_RETRY)
        self.check_shared_connection()
        self.serve_a_neighbour()
        run_to_the_end(writers, [Reader(stream, app) for stream, app in enumerate(apps)])
        for client, app in zip(clients, apps):
            app.send(mesh.OK)
            self.assertEqual(client.head().status, 200)


class BackpressureAtTwo(mesh.AtTwo, Backpressure):
    pass


class LongPause(unittest.TestCase):
    """TCP_USER_TIMEOUT would end a connection whose peer lives and has closed its window for that long."""
    PAUSE = 35.0  # seconds; more than a peer that is gone gets
    CONTENT = 24 << 20  # more than all buffers together

    def test_an_app_that_reads_nothing_for_long_gets_everything_in_the_end(self):
        app = mesh.App()
        self.addCleanup(app.close)
        http, tcp = mesh.free_port(), mesh.free_port()
        relay = {"name": "tcp", "traffic_direction": "OUTBOUND", "filter_chains": [mesh.tcp_chain("app")],
                 "address": {"socket_address": {"address": mesh.HOST, "port_value": tcp}}}
        sidecar = mesh.Sidecar([mesh.listener("http", http, "app"), relay], [mesh.cluster("app", [app.address])])
        self.addCleanup(sidecar.stop)
        app.accept().close()  # the probe whether the relay listens was relayed
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % self.CONTENT
        uploads = []
        for port in (http, tcp):
            client = socket.create_connection((mesh.HOST, port), timeout=ALL_OF_IT)
            self.addCleanup(client.close)
            thread = threading.Thread(target=lambda c=client: c.sendall(head + b"x" * self.CONTENT), daemon=True)
            thread.start()
            uploads.append((app.accept(), thread))
        time.sleep(self.PAUSE)
        for taken, thread in uploads:
            taken.head()
            taken.exactly(self.CONTENT)
            thread.join(ALL_OF_IT)
            self.assertFalse(thread.is_alive())


if __name__ == "__main__":
    unittest.main()
