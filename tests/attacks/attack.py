"""What attacks on a real sidecar share: the sidecar, its neighbour, and how floods are sent."""
import resource

import mesh
from http2_frames import *  # noqa: F403

ROUTES = [{"match": {"prefix": "/direct"}, "direct_response": {"status": 200, "body": {"inline_string": "hi"}}},
          {"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "0s"}}]
FLOOD_FRAMES = 10_000  # Limits::max_idle_frames
EARLY_RESETS = 2048    # Limits::max_early_resets
SLACK = 1_000          # frames that are under way when the connection ends, and what time has earned
MEMORY = 12 << 20      # a sidecar may keep so much of a burst for the next


class Attack(mesh.MeshTest):
    hcm = {}
    flags = ()

    def setUp(self):
        super().setUp()
        self.port = mesh.free_port()
        self.sidecar = self.make_sidecar()
        self.made = [self.sidecar]
        self.neighbour = Peer(self.client())
        self.assertTrue(self.neighbour.serves())
        self.before = self.sidecar.resident_bytes()

    def make_sidecar(self):
        return mesh.Sidecar([mesh.listener("outbound", self.port, "app", routes=ROUTES, hcm=self.hcm)],
                            [mesh.cluster("app", [self.app.address])], admin=True, flags=self.flags)

    def counter(self, series):
        return self.sidecar.metrics()["pillion_" + series]

    def others_are_served(self):
        self.assertTrue(self.neighbour.serves())
        fresh = self.get(path="/direct")
        self.assertEqual(fresh.head().status, 200)
        fresh.close()
        self.clients.remove(fresh)

    def memory_is_back(self):
        if not mesh.sanitized():
            self.assertLess(self.sidecar.resident_bytes() - self.before, MEMORY)

    def flood(self, make, limit, batch=100, read=True):
        """Sends make(i) for i = 0, 1 ... until the connection is ended; returns how many were sent and the GOAWAY's code."""
        attacker = Peer(self.client())
        attacker.until(lambda one: one.kind == SETTINGS and not one.flags & ACK)  # its ACK would come in between
        sent = 0
        try:
            while sent < limit:
                attacker.send(b"".join(make(i) for i in range(sent, sent + batch)))
                sent += batch
                if read:
                    while not attacker.conversation.silent(0.001):
                        attacker.read()
            self.fail("%d were sent and nothing happened" % sent)
        except (OSError, Closed):
            pass
        goaways = [one.word(4) for one in attacker.seen if one.kind == GOAWAY]
        try:
            while True:
                one = attacker.read()
                if one.kind == GOAWAY:
                    goaways.append(one.word(4))
        except Closed:
            pass
        attacker.conversation.close()
        return sent, goaways

    def check_flood(self, make, allowed, series, batch=100):
        before = self.counter(series)
        sent, goaways = self.flood(make, 4 * (allowed + SLACK), batch)
        self.assertLessEqual(sent, allowed + SLACK)
        self.assertTrue(set(goaways) <= {ENHANCE_YOUR_CALM}, goaways)  # a reset may have eaten it
        self.assertEqual(self.counter(series), before + 1)
        self.others_are_served()
        self.memory_is_back()

    @staticmethod
    def answer_much(app, most=64 << 20):
        """What the sidecar takes of an answer without end; at most about `most` bytes."""
        app.sock.settimeout(0.02)
        sent = 0
        try:
            app.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            while sent < most:
                sent += app.sock.send(b"x" * 65536)
        except OSError:
            pass
        app.sock.settimeout(mesh.WAIT)
        return sent

    def needs_descriptors(self, count):
        """Before setUp: the sidecar inherits the limit."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < count:
            self.skipTest("needs %d descriptors" % count)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
