"""Attacks on relays (tcp_proxy) and on the inspection before them. What must hold is what attacks_test.py says: the attacker is
cut off by a limit or a time-out, a counter says so, others are served during and after it, memory and descriptors return.

  attacker  --+--> "attacked", an idle time-out, inspectors --+
  neighbour --+--> "calm", none of that ----------------------+--> Server"""
import os
import random
import resource
import select
import socket
import ssl
import struct
import subprocess
import threading
import time
import unittest
import unittest.mock

import certificates
import mesh

MEMORY = 12 << 20     # a sidecar may keep so much of a burst for the next
HELD = 400_000        # a relay: 256 KiB that wait, a read block of 64 KiB, and itself (ARCHITECTURE.md)
INSPECTED = 16 << 10  # kMaxClientHelloBytes, kMaxSniffedBytes, kMaxProxyHeaderBytes
IDLE_SECONDS = 1.0    # of the attacked listener
INSPECTION_SECONDS = 1.0


class Server:
    """Does what the first line of a connection says: "echo", "flood" without end, or "deaf": reads no further, closes at the end.
    Another line ends the connection."""

    def __init__(self):
        self.sock = socket.create_server((mesh.HOST, 0), backlog=1024)
        self.address = self.sock.getsockname()
        self.over = threading.Event()
        self.flooded = 0
        self.open = set()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.sock.accept()
            except OSError:
                return
            self.open.add(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            line = b""
            while not line.endswith(b"\n"):
                byte = connection.recv(1)
                if not byte:
                    return
                line += byte
            if line == b"deaf\n":
                self.over.wait(10 * mesh.WAIT)
            while line == b"flood\n":
                self.flooded += connection.send(b"x" * 65536)
            while line == b"echo\n" and (data := connection.recv(65536)):
                connection.sendall(data)
        except OSError:
            pass
        finally:
            connection.close()
            self.open.discard(connection)

    def close(self):
        self.over.set()
        self.sock.close()


def relay(port, name, chains=None, filters=(), idle="0s", **more):
    config = mesh.typed("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", stat_prefix=name, cluster="server",
                        idle_timeout=idle)
    chain = {"filters": [{"name": "tcp", "typed_config": config}]}
    inspectors = [{"name": one, "typed_config": mesh.typed("envoy.extensions.filters.listener.%s.v3.%s" % (
        one, one.title().replace("_", "")))} for one in filters]
    return {"name": name, "traffic_direction": "OUTBOUND", "listener_filters": inspectors,
            "address": {"socket_address": {"address": mesh.HOST, "port_value": port}},
            "filter_chains": [{**chain, **one} for one in (chains or [{}])], **more}


class RelayAttack(unittest.TestCase):
    """`attacked`: more arguments of relay()."""
    attacked = {}

    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.close)
        self.port, self.calm = mesh.free_port(), mesh.free_port()
        self.start()
        self.addCleanup(self.sidecar.stop)
        self.neighbour = self.echoing()
        self.others_are_served()
        self.only_the_neighbour_is_left("what others asked is over")
        self.before = self.sidecar.resident_bytes()
        self.descriptors = self.sidecar.descriptors()

    def start(self):
        self.start_with(relay(self.port, "attacked", **{"idle": "%ds" % IDLE_SECONDS, **self.attacked}))

    def start_with(self, attacked):
        self.sidecar = mesh.Sidecar([relay(self.calm, "calm"), attacked], [mesh.cluster("server", [self.server.address])],
                                    admin=True)

    def connect(self, port=None, said=b"", small=False):
        sock = socket.socket()
        self.addCleanup(sock.close)
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sock.settimeout(mesh.WAIT)
        sock.connect((mesh.HOST, port or self.port))
        client = mesh.Conversation(sock)
        client.send(said)
        return client

    def echoing(self, port=None):
        return self.connect(port or self.calm, b"echo\n")

    def counter(self, series):
        return self.sidecar.metrics()["pillion_" + series]

    def only_the_neighbour_is_left(self, why):
        """And the connection that asks."""
        mesh.wait_until(lambda: self.counter("client_connections_active") == 2, why)

    def relayed(self, what):
        """Of the attacked listener: a family of series that begins with its first relay."""
        return self.sidecar.metrics().get('pillion_tcp_%s{listener="attacked",cluster="server"}' % what, 0)

    def others_are_served(self):
        for client in (self.neighbour, self.echoing()):
            client.send(b"hello")
            self.assertEqual(client.exactly(5), b"hello")
        client.close()

    def all_is_back(self):
        """Once the attackers are gone, whoever ended them. Memory is given back every few seconds (HeapTrimmer)."""
        mesh.wait_until(lambda: self.sidecar.descriptors() <= self.descriptors, "the descriptors are back")
        self.others_are_served()
        if not mesh.sanitized():
            mesh.wait_until(lambda: self.sidecar.resident_bytes() - self.before < MEMORY, "the memory is back")

    def cut_off(self, clients, already=b""):
        """Each is ended by the sidecar."""
        for client in clients:
            self.assertEqual(client.rest_or_reset(), already)


class WhoDoesNotRead(RelayAttack):
    """Back-pressure bounds what a relay holds; nothing moves then, and the idle time-out ends it."""

    def check(self, attack):
        """`attack()` makes the attackers; it returns them, and a function that tells how many bytes have been given to the
        sidecar so far: when they stand still the buffers are full."""
        attackers, stuck = attack()
        seen = [-1]

        def still():
            before, seen[0] = seen[0], stuck()
            self.others_are_served()
            return before == seen[0]
        mesh.wait_until(still, "back-pressure stops the flood")
        if not mesh.sanitized():
            self.assertLess(self.sidecar.resident_bytes() - self.before, len(attackers) * HELD + MEMORY)
        self.only_the_neighbour_is_left("the idle time-out ends them")
        self.assertLess(stuck(), len(attackers) * (16 << 20))  # what kernels' buffers hold
        self.all_is_back()

    def test_clients(self):
        def attack():
            self.server.flooded = 0
            return [self.connect(said=b"flood\n", small=True) for _ in range(40)], lambda: self.server.flooded
        self.check(attack)

    def test_servers(self):
        def attack():
            attackers = [self.connect(said=b"deaf\n") for _ in range(40)]
            sent = 0
            for one in attackers:
                one.sock.setblocking(False)

            def flood():
                nonlocal sent
                for one in attackers:
                    try:
                        while True:
                            sent += one.sock.send(b"x" * 65536)
                    except OSError:
                        pass
                return sent
            return attackers, flood
        self.check(attack)

    def test_servers_to_whom_single_bytes_are_sent(self):
        """What is small is packed: it is not the number of pieces that is held."""
        def attack():
            attackers = [self.connect(said=b"deaf\n") for _ in range(4)]
            for _ in range(10000):
                for one in attackers:
                    one.send(b"x")
            return attackers, lambda: 0
        self.check(attack)


class OverTls(WhoDoesNotRead):
    """The same, with TLS ended here."""

    def start(self):
        authority = certificates.Authority()
        attacked = relay(self.port, "attacked", idle="%ds" % IDLE_SECONDS)
        mesh.with_tls(attacked, mesh.server_tls({"tls_certificates": [authority.issue("server", "DNS:a.example")]}))
        self.context = ssl.create_default_context(cafile=authority.ca)
        self.start_with(attacked)

    def connect(self, port=None, said=b"", small=False):
        if port is not None:
            return super().connect(port, said)
        raw = super().connect(small=small).sock
        sock = self.context.wrap_socket(raw, server_hostname="a.example")
        self.addCleanup(sock.close)
        client = mesh.Conversation(sock)
        client.send(said)
        return client


class WhoSaysNothing(RelayAttack):
    def test_clients_that_connect_and_wait(self):
        began = time.monotonic()
        attackers = [self.connect() for _ in range(200)]
        self.others_are_served()
        self.cut_off(attackers)
        self.assertGreaterEqual(time.monotonic() - began, IDLE_SECONDS)
        self.assertEqual(self.relayed("connections_active"), 0)
        mesh.wait_until(lambda: len(self.server.open) == 1, "the server is rid of them, too")
        self.all_is_back()

    def test_clients_that_close_their_half_and_do_not_go(self):
        attackers = []
        for _ in range(100):
            attackers.append(self.connect(said=b"deaf\n"))
            attackers[-1].half_close()
        self.others_are_served()
        self.cut_off(attackers)
        self.all_is_back()

    def test_servers_that_close_their_half_and_do_not_go(self):
        """Of one that has closed, and a client that has not, it is the same."""
        attackers = [self.connect(said=b"other\n") for _ in range(100)]
        self.cut_off(attackers)  # to them it is an end
        self.others_are_served()
        self.only_the_neighbour_is_left("the idle time-out ends them")
        self.all_is_back()


class Floods(RelayAttack):
    attacked = {"idle": "60s"}

    def start(self):
        """100 connections of clients are the limit: (264 - 64) / 2."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 264:
            self.skipTest("needs 264 descriptors")
        original = subprocess.Popen
        try:  # for the child alone: it raises its own to the hard one
            subprocess.Popen = lambda *a, **k: original(
                *a, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (264, 264)), **k)
            super().start()
        finally:
            subprocess.Popen = original

    def test_connections_up_to_the_limit_and_beyond(self):
        attackers = [self.connect() for _ in range(150)]
        mesh.wait_until(lambda: len(self.ended(attackers)) == 51, "those over the limit are refused: the neighbour has one, too")
        self.neighbour.send(b"hello")
        self.assertEqual(self.neighbour.exactly(5), b"hello")
        for one in attackers:
            one.close()
        mesh.wait_until(lambda: self.sidecar.descriptors() <= self.descriptors, "the descriptors are back")
        self.assertEqual(self.counter("client_connections_refused_total"), 51)
        self.all_is_back()

    @staticmethod
    def ended(clients):
        poll = select.poll()
        for one in clients:
            poll.register(one.sock, select.POLLIN)
        return poll.poll(0)

    def test_connections_that_are_made_and_closed_again(self):
        for _ in range(2000):
            socket.create_connection((mesh.HOST, self.port), timeout=mesh.WAIT).close()
        self.neighbour.send(b"hello")
        self.assertEqual(self.neighbour.exactly(5), b"hello")
        self.all_is_back()


class Resets(RelayAttack):
    attacked = {"idle": "600s"}  # it is the resets that end them

    def setUp(self):
        super().setUp()
        mesh.wait_until(lambda: len(self.server.open) == 1, "only the neighbour is there")
        self.neighbour_at = next(iter(self.server.open)).getpeername()

    def reset_a_server(self, rng):
        """The thread that serves it closes it, at an end that is none; the neighbour's is spared."""
        server = rng.choice(list(self.server.open))
        if server.getpeername() != self.neighbour_at:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            server.shutdown(socket.SHUT_RD)

    def attack(self, rng):
        """True: the client is kept for later."""
        client = self.connect()
        moment = rng.randrange(7)
        said = rng.choice((b"echo\n", b"flood\n", b"deaf\n", b"ec", b"other\n"))
        try:
            if moment >= 1:
                client.send(said)
            if moment >= 2:
                client.send(b"x" * rng.randrange(1, 50_000))
            if moment == 3:
                client.half_close()
            if moment == 4:
                client.sock.settimeout(0.01)
                client.sock.recv(rng.randrange(1, 65536))
            if moment == 5:
                self.reset_a_server(rng)
        except OSError:
            pass
        if moment != 6:
            client.reset()
        return client if moment == 6 else None

    def test_resets_at_random_moments(self):
        seed = int(os.environ.get("PILLION_SEED", random.SystemRandom().randrange(1 << 30)))
        rng = random.Random(seed)
        with self.subTest(seed=seed):
            held = [self.attack(rng) for _ in range(600)]
            for client in held:
                if client:
                    client.reset()
            self.all_is_back()

    # Where neither a read nor a write would tell.

    @unittest.mock.patch.object(mesh, "WAIT", 5.0)
    def test_a_reset_behind_a_half_close(self):
        client = self.connect(said=b"deaf\n")
        client.half_close()
        self.all_read(client)
        client.reset()
        self.all_is_back()

    @unittest.mock.patch.object(mesh, "WAIT", 5.0)
    def test_a_reset_of_a_client_whose_server_does_not_read(self):
        client = self.connect(said=b"deaf\n")
        client.sock.settimeout(0.2)
        with self.assertRaises(OSError):
            while True:
                client.sock.send(b"x" * 65536)
        client.reset()
        self.all_is_back()

    def all_read(self, client):
        """The sidecar's kernel has the client's end, and the sidecar's relay has been through a turn since."""
        mesh.wait_until(lambda: len(self.server.open) == 2, "it is relayed")
        self.others_are_served()


class InspectionAttack(RelayAttack):
    """`undetected`: what was not known in time, or malformed."""
    filters = ()
    chains = None

    @property
    def attacked(self):
        return {"filters": self.filters, "chains": self.chains, "listener_filters_timeout": "%ds" % INSPECTION_SECONDS,
                "idle": "600s"}

    def setUp(self):
        super().setUp()
        self.undetected = self.counter("client_connections_undetected_total")

    def byte_by_byte(self, data):
        """They are cut off however they go on: `data` would take many times as long as they have."""
        attackers = [self.connect() for _ in range(20)]
        began = time.monotonic()
        living = list(attackers)
        for byte in data:
            for one in list(living):
                try:
                    one.send(bytes([byte]))
                except OSError:
                    living.remove(one)
            if not living:
                break
            time.sleep(0.05)
        self.assertEqual(living, [])
        self.assertGreaterEqual(time.monotonic() - began, INSPECTION_SECONDS)
        self.assertEqual(self.counter("client_connections_undetected_total") - self.undetected, 20)
        self.all_is_back()

    def halves(self, data):
        """Many that stop in the midst: they hold no more than what was sent, and go when their time is over."""
        attackers = [self.connect(said=data) for _ in range(100)]
        self.others_are_served()
        if not mesh.sanitized():
            self.assertLess(self.sidecar.resident_bytes() - self.before, 100 * 2 * INSPECTED + MEMORY)
        self.cut_off(attackers)
        self.assertEqual(self.counter("client_connections_undetected_total") - self.undetected, 100)
        self.all_is_back()

    def endless(self, start, more, series):
        """Ended by a count of bytes, long before its time is over; what it sends after that is not read."""
        before = self.counter(series)
        attacker = self.connect()
        sent = 0
        try:
            attacker.send(start)
            while sent < 64 << 20:
                attacker.send(more)
                sent += len(more)
            self.fail("all was taken")
        except OSError:
            pass
        self.assertEqual(attacker.rest_or_reset(), b"")
        self.assertEqual(self.counter(series) - before, 1)
        self.all_is_back()


def client_hello(padding=0):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.set_alpn_protocols(["a" * 250] * (padding // 251))
    tls = context.wrap_bio(incoming, outgoing, server_hostname="a.example")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class ClientHellos(InspectionAttack):
    """Relayed by the name they ask for; others are for no chain."""
    filters = ("tls_inspector",)
    chains = [{"filter_chain_match": {"server_names": ["a.example"]}}]

    def test_byte_by_byte(self):
        self.byte_by_byte(client_hello())

    def test_halves(self):
        hello = client_hello(15000)
        self.assertGreater(len(hello), 14000)
        self.halves(hello[:-1])

    def test_one_that_is_longer_than_it_may_be(self):
        """It says 16 MiB, and means it."""
        record = b"\x16\x03\x01\x40\x00"
        self.endless(record + b"\x01\xff\xff\xff\x03\x03" + b"x" * (16384 - 6), record + b"x" * 16384,
                     "client_connections_unmatched_total")

    def test_one_of_records_of_one_byte(self):
        """Six bytes for each of it: the limit is that of what is read, not that of what it says."""
        hello = b"\x01\x00\x3f\xff\x03\x03" + b"\0" * 32
        start = b"".join(b"\x16\x03\x01\x00\x01" + bytes([one]) for one in hello)
        self.endless(start, b"\x16\x03\x01\x00\x01x" * 1000, "client_connections_unmatched_total")


class ProxyHeaders(InspectionAttack):
    filters = ("proxy_protocol",)
    VERSION_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11"  # TCP over IPv4; the length of the rest follows
    ADDRESSES = b"\x7f\0\0\1" * 2 + b"\0\1\0\1"

    def test_byte_by_byte(self):
        self.byte_by_byte(b"PROXY TCP6 " + b"1111:2222:3333:4444:5555:6666:7777:8888 " * 2 + b"11111 22222\r\n")

    def test_halves(self):
        self.halves(self.VERSION_2 + (15000).to_bytes(2, "big") + self.ADDRESSES + b"\4\0\1x" * 3600)

    def test_one_of_version_1_without_end(self):
        self.endless(b"PROXY TCP4 1.1.1.1 ", b"1" * 1000, "client_connections_undetected_total")

    def test_one_of_version_2_that_is_longer_than_it_may_be(self):
        self.endless(self.VERSION_2 + b"\xff\xff" + self.ADDRESSES, b"x" * 65536, "client_connections_undetected_total")

    def test_who_has_told_who_he_is_and_says_nothing_more(self):
        """As without a header: the time-out of an idle connection is for him, not that of the inspection."""
        client = self.connect(said=b"PROXY TCP4 127.0.0.1 127.0.0.1 1000 2000\r\n")
        mesh.wait_until(lambda: self.relayed("connections_total") == 1, "it is relayed")
        client.send(b"echo\nhello")
        self.assertEqual(client.exactly(5), b"hello")


class HttpPrefaces(InspectionAttack):
    """HTTP/1 is for one chain; what is none is for no chain."""
    filters = ("http_inspector",)
    chains = [{"filter_chain_match": {"application_protocols": ["http/1.1", "http/1.0", "h2c"]}}]

    def test_byte_by_byte(self):
        self.byte_by_byte(b"GET /" + b"x" * 1000)

    def test_empty_lines_and_a_long_method_byte_by_byte(self):
        self.byte_by_byte(b"\r\n" * 4 + b"G" * 32 + b" /" + b"x" * 1000)

    def test_halves(self):
        self.halves(b"GET /" + b"x" * 15000)

    def test_halves_of_the_http2_preface(self):
        self.halves(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r")

    def test_a_method_without_end(self):
        self.endless(b"GET", b"T" * 1000, "client_connections_unmatched_total")

    def test_a_target_without_end_that_is_no_path(self):
        self.endless(b"GET x", b"x" * 1000, "client_connections_unmatched_total")

    def test_a_path_without_end_is_taken_for_http(self):
        """A request line may be longer than what is looked at."""
        client = self.connect(said=b"GET /" + b"x" * INSPECTED)
        mesh.wait_until(lambda: self.relayed("received_bytes_total") == INSPECTED + 5, "it is relayed")
        client.close()


if __name__ == "__main__":
    unittest.main()
