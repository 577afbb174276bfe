"""What fills the memory of a real sidecar: it sheds, its others are served again, and the memory comes back."""
import socket
import unittest

import mesh
from attack import Attack, MEMORY
from http2_frames import *  # noqa: F403

MUCH = 5 << 20


def half_head(stream):
    """One string of 64 000 bytes, which HPACK decodes as a whole; its end does not come."""
    data = block(get("/never")) + b"\0\1x" + integer(64_000, 7) + b"v" * 62_000
    parts = [data[at:at + 16_000] for at in range(0, len(data), 16_000)]
    return frame(HEADERS, END_STREAM, stream, parts[0]) + b"".join(frame(CONTINUATION, 0, stream, one) for one in parts[1:])


def heads_from_nothing(count):
    """A connection of so many requests: HPACK makes 55 KiB of the 75 bytes of each."""
    large = b"\x40" + literal("x", "v" * 3900)[1:]
    copies = block(get("/never")) + b"\xbe" * 14
    return PREFACE + settings() + frame(HEADERS, END_HEADERS | END_STREAM, 1, block(get("/never")) + large) + b"".join(
        frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * i, copies) for i in range(1, count))


@unittest.skipIf(mesh.sanitized(), "measures what sanitizers change")
class Memory(Attack):
    """The guard for real: readers that never read hold more than there is."""
    LIMIT_MIB = 96
    flags = ("--memory-limit-mib", str(LIMIT_MIB))

    def setUp(self):
        self.needs_descriptors(12_000)
        super().setUp()

    def test_it_sheds_and_recovers(self):
        held = []
        highest = 0
        for _ in range(500):
            try:
                client = mesh.Conversation(socket.create_connection((mesh.HOST, self.port), timeout=mesh.WAIT))
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            except OSError:
                continue
            held.append(client)
            if self.app.no_connection(0.02):
                continue  # it was shed
            app = self.app.connections[-1]
            try:
                app.head()
            except (AssertionError, OSError):
                continue  # it was shed since
            self.answer_much(app, MUCH)
            highest = max(highest, self.sidecar.resident_bytes())
        self.assertIsNone(self.sidecar.process.poll())
        self.assertLess(highest, self.LIMIT_MIB << 20)
        self.assertGreater(self.counter('shed_total{what="request"}'), 0)
        for one in held:
            one.close()
        for app in self.app.connections:
            app.close()
        self.app.connections.clear()
        self.all_is_back()

    def test_it_resets_what_holds_most_and_recovers(self):
        """All have been let in before any of their answers comes."""
        held = []
        for _ in range(400):
            held.append(self.client())
            held[-1].sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self.get(held[-1])
            self.accept_request()
        highest = 0
        for app in self.app.connections:
            self.answer_much(app, MUCH)
            highest = max(highest, self.sidecar.resident_bytes())
        self.assertIsNone(self.sidecar.process.poll())
        self.assertLess(highest, self.LIMIT_MIB << 20)
        self.assertGreater(self.counter('shed_total{what="stream"}'), 0)
        for one in held + self.app.connections:
            one.close()
        self.app.connections.clear()
        self.all_is_back()

    def all_is_back(self):
        def recovered():
            client = mesh.Conversation(socket.create_connection((mesh.HOST, self.port), timeout=mesh.WAIT))
            try:
                client.send("GET /direct HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                return b" 200 " in client.rest_or_reset()[:20]
            except OSError:
                return False
            finally:
                client.close()
        mesh.wait_until(recovered, "requests are served again")
        self.assertTrue(self.neighbour.serves())
        mesh.wait_until(lambda: self.sidecar.resident_bytes() - self.before < MEMORY, "memory is back")


@unittest.skipIf(mesh.sanitized(), "measures what sanitizers change")
class Full(Memory):
    """What is held is connections that say nothing: there is nothing to give up but new ones."""

    def make_sidecar(self):
        """With 6 MiB more than the program itself and its libraries take; at 80 % of all it takes connections again."""
        self.flags = ()
        free = super().make_sidecar()
        self.flags = ("--memory-limit-mib", str((free.resident_bytes() >> 20) + 6))
        free.stop()
        return super().make_sidecar()

    def test_it_refuses_connections_and_recovers(self):
        refused = 'shed_total{what="connection"}'
        held = []
        for _ in range(110):
            if self.counter(refused):
                break
            for _ in range(100):
                try:
                    held.append(self.client())
                except OSError:
                    pass  # it was refused
        self.assertGreater(self.counter(refused), 0)
        for _ in range(10):
            before = self.counter(refused)
            self.assertEqual(self.client().rest_or_reset(), b"")
            self.assertGreater(self.counter(refused), before)
        self.assertEqual(self.neighbour.status(self.neighbour.ask()), "503")  # who is here is answered, if not served
        for one in held:
            one.close()
        self.all_is_back()

    test_it_sheds_and_recovers = test_it_resets_what_holds_most_and_recovers = None


@unittest.skipIf(mesh.sanitized(), "measures what sanitizers change")
class Held(Attack):
    """What a sidecar holds and has not looked at yet: the guard finds it, and others are served when it is over."""
    FIELDS = b"".join(b"a%d: %s\r\n" % (i, b"v" * 1000) for i in range(55))
    LIMIT_MIB = 96
    SLACK_MIB = 0
    flags = ("--memory-limit-mib", str(LIMIT_MIB))

    def setUp(self):
        self.needs_descriptors(8192)
        self.crowd = []
        self.addCleanup(lambda: [one.close() for one in self.crowd])
        super().setUp()

    def peak(self):
        """The most that was ever resident."""
        with open("/proc/%d/status" % self.sidecar.process.pid, encoding="ascii") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))

    def connect(self, says=b""):
        try:
            one = socket.create_connection((mesh.HOST, self.port), timeout=mesh.WAIT)
            self.crowd.append(one)
            one.sendall(says)
        except OSError:
            pass  # it was shed

    def shed(self):
        return sum(value for key, value in self.sidecar.metrics().items() if key.startswith("pillion_shed_total"))

    def serves(self):
        """A client that comes now."""
        try:
            client = mesh.Conversation(socket.create_connection((mesh.HOST, self.port), timeout=mesh.WAIT))
            client.send("GET /direct HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            served = b" 200 " in client.rest_or_reset()[:20]
            client.close()
            return served
        except OSError:
            return False

    def check_held(self):
        """Others are served again while the crowd is still there."""
        mesh.wait_until(lambda: self.shed() > 0, "the guard sheds")
        mesh.wait_until(lambda: self.sidecar.resident_bytes() < self.LIMIT_MIB << 20, "it has become enough")
        mesh.wait_until(self.serves, "requests are served again")
        self.assertLess(self.peak(), self.LIMIT_MIB + self.SLACK_MIB << 20)

    def test_heads_that_are_not_complete(self):
        """Connected before memory is short."""
        for _ in range(2000):
            self.connect(b"G")
        for one in self.crowd:
            try:
                one.sendall(b"ET / HTTP/1.1\r\nHost: a\r\n" + self.FIELDS)
            except OSError:
                pass
        self.check_held()

    def test_so_many_that_they_bring_503_for_everybody_and_no_more(self):
        """It is not the guard's last word: what lasts is ended."""
        while self.serves():
            for _ in range(10):
                self.connect(PREFACE + settings() + half_head(1))
        self.check_held()

    def test_heads_that_unpack_from_nothing(self):
        """A thousand of them on each of a few connections, sent at once."""
        for _ in range(3):
            self.connect(heads_from_nothing(1000))
        mesh.wait_until(lambda: self.counter('client_limits_total{limit="heads"}') > 0, "what is too much is refused")
        self.assertLess(self.peak(), self.LIMIT_MIB << 20)
        self.others_are_served()

    def test_heads_that_unpack_from_nothing_on_many_connections(self):
        """What the connections bring together in a turn, and keep unread until the next, is limited too."""
        heads = heads_from_nothing(600)
        for _ in range(500):
            self.connect()
        for one in self.crowd:
            try:
                one.sendall(heads)
            except OSError:
                pass  # it was shed
        self.check_held()


@unittest.skipIf(mesh.sanitized(), "measures what sanitizers change")
class Pinned(Held):
    """Half a head on a connection that has another request under way."""
    LIMIT_MIB = 64
    # They come as fast as the machine takes them, and of so little memory the last step is 2 MiB.
    SLACK_MIB = 10
    flags = ("--memory-limit-mib", str(LIMIT_MIB))

    def under_way(self):
        return sum(value for key, value in self.sidecar.metrics().items() if key.startswith("pillion_requests_active"))

    def test_heads_that_are_not_complete(self):
        self.app.sock.listen(4096)
        for _ in range(1000):
            self.connect(PREFACE + settings() + headers(1, get("/never", method="POST"), end=False))
        mesh.wait_until(lambda: self.under_way() == 1000, "all are under way")
        for one in self.crowd:
            try:
                one.sendall(half_head(3))
            except OSError:
                pass  # it was shed
        self.check_held()

    test_heads_that_unpack_from_nothing = test_heads_that_unpack_from_nothing_on_many_connections = None
    test_so_many_that_they_bring_503_for_everybody_and_no_more = None


if __name__ == "__main__":
    unittest.main()
