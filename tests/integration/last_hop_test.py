"""The last hop, to an app that ends connections at every moment: a POST runs once or, told so, not at all or once; never twice.
Each comes on a connection on which the app has answered before."""

import collections
import os
import subprocess
import sys
import unittest

import last_hop_app
import mesh

APP = last_hop_app.__file__
# In microseconds, after the first answer of the app: the next request comes in between. Those that wait for it have no moment.
MOMENTS = [*range(0, 1200, 60)]
WAITS = {"close_on_sight", "reset_on_sight", "run_and_close", "run_and_reset", "run_and_die"}
# Without reading what came: the kernel resets the connection, or has told the end of the app's side before it came.
UNREAD = {"close", "die"}
EACH = 5


class LastHop(mesh.MeshTest):
    def setUp(self):
        super().setUp()
        self.port_of_app = mesh.free_port()
        self.ran = os.path.join(os.environ.get("TEST_TMPDIR", "/tmp"), "last-hop-ran.%d" % os.getpid())
        process = subprocess.Popen([sys.executable, APP, mesh.HOST, str(self.port_of_app), self.ran])
        self.addCleanup(os.unlink, self.ran)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        mesh.wait_until(lambda: mesh.listens(self.port_of_app), "the app listens")
        self.start([(mesh.HOST, self.port_of_app)], out={"explain": True})
        self.asked = None

    def ask(self, request):
        """(status, explanation); on the connection that there is, or a new one."""
        if self.asked is None:
            self.asked = self.client()
        self.asked.send(request)
        head = self.asked.head()
        self.asked.exactly(int(head.get("content-length")))
        if (head.get("connection") or "").lower() == "close":
            self.asked = None
        return head.status, head.get("x-pillion-explain")

    def test_a_post_never_runs_twice(self):
        told = {}
        number = 0
        for manner in last_hop_app.MANNERS:
            for moment in [0] * 4 if manner in WAITS else MOMENTS:
                for _ in range(EACH):
                    number += 1
                    self.assertEqual(self.ask("GET /arm/%s/%d HTTP/1.1\r\nHost: shop\r\n\r\n" % (manner, moment))[0], 200)
                    told[number] = (manner, *self.ask(
                        "POST /%d HTTP/1.1\r\nHost: shop\r\nX-Pillion-Explain: 1\r\nContent-Length: 100\r\n\r\n%s" % (number, "b" * 100)))
        with open(self.ran, encoding="ascii") as file:
            ran = collections.Counter(int(line[1:]) for line in file)
        self.assertEqual([one for one in ran if ran[one] > 1], [], "these ran twice")
        sums = collections.defaultdict(collections.Counter)
        for one, (manner, status, why) in told.items():
            self.assertIn(status, (200, 502, 503))
            if status == 200:
                self.assertEqual(ran[one], 1, "it was answered, and has not run: " + manner)
            failed = "after a reset" if "reset" in why else "after an end"
            sums[manner]["answered" if status == 200 else failed] += 1
            if manner in UNREAD and status != 200:
                self.assertEqual((ran[one], failed), (0, "after a reset"), (manner, why))
        for manner in last_hop_app.MANNERS:
            print("%-15s %s" % (manner, dict(sums[manner])))
        unread = sum((sums[manner] for manner in UNREAD), collections.Counter())
        print("of %d POSTs in the face of a connection that ends unread %.1f %% were answered by another, the others told of the "
              "reset" % (unread.total(), 100 * unread["answered"] / unread.total()))
        self.assertGreater(unread["answered"], 0, "those whose connection had ended before are proven not to have run")
        for manner in ("run_and_close", "run_and_reset", "run_and_die"):
            self.assertEqual(sums[manner]["answered"], 0, manner)


if __name__ == "__main__":
    unittest.main()
