"""A mesh of three apps as processes under load, of which something befalls one; what must hold whatever it is."""

import collections
import os
import threading
import unittest

import load
import mesh

SECONDS = int(os.environ.get("PILLION_FAULT_SECONDS", "4"))  # that each story lasts, at least 4
RETRIES = {"retry_on": "5xx,reset,connect-failure,refused-stream", "num_retries": 3, "per_try_timeout": "1s"}
# One who failed so often is left alone for a moment; of three one may be.
OUTLIERS = {"consecutive_5xx": 5, "interval": "1s", "base_ejection_time": "1s", "max_ejection_percent": 50}
_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
MEBIBYTE = 1 << 20


def short_lived(version):
    """Connections that nobody uses are closed soon, so that what is still open was leaked."""
    return {"typed_extension_protocol_options": {_OPTIONS: mesh.typed(
        _OPTIONS, common_http_protocol_options={"idle_timeout": "1s"}, explicit_http_config={version + "_protocol_options": {}})}}


class Faults(unittest.TestCase):
    """`self.apps`, sidecars in front of them (one for all, or each with one of its own as well), and a story for `under_load`."""

    sidecars = 1
    posters = 4

    def setUp(self):
        self.made = []
        self.apps = []
        self.addCleanup(self.end)
        for number in range(3):
            self.apps.append(self.make_app(number))
        for app in self.apps:
            app.wait()
        ends = [app.address for app in self.apps]
        if self.sidecars == 2:
            ends = []
            for app in self.apps:
                port = mesh.free_port()
                self.made.append(mesh.Sidecar(
                    [mesh.listener("inbound", port, "app", direction="INBOUND", peer=True)],
                    [mesh.cluster("app", [app.address], **short_lived("http"))], concurrency=2, admin=True))
                ends.append((mesh.HOST, port))
        self.port = mesh.free_port()
        self.near = mesh.Sidecar(
            [mesh.listener("outbound", self.port, "apps", route={"timeout": "15s", "retry_policy": RETRIES})],
            [mesh.cluster("apps", ends, sidecar=self.sidecars == 2, connect_timeout="1s", outlier_detection=OUTLIERS,
                          **short_lived("http"))], concurrency=2, admin=True)
        self.made.insert(0, self.near)
        self.posts = []

    def make_app(self, _):
        return load.CountingApp()

    def end(self):
        for app in self.apps:
            app.stop()
        mesh.stop_all(self, self.made)

    def wait(self, seconds):
        threading.Event().wait(seconds)

    def descriptors(self):
        return [sidecar.descriptors() for sidecar in self.made]

    def resident(self):
        return [sidecar.resident_bytes() for sidecar in self.made]

    def run_load(self, seconds, story=lambda: None):
        """(GETs, bad ones)"""
        tools = [load.Wrk(self.port, seconds), load.H2load(self.port, seconds)]
        posts = [load.Posts(self.port) for _ in range(self.posters)]
        try:
            story()
        finally:
            results = [tool.result() for tool in tools]
            self.posts += [one.stop() for one in posts]
        return sum(done for done, _ in results), sum(bad for _, bad in results)

    def under_load(self, what, story, lost_posts, success=0.9999):
        """`story` happens while wrk, h2load and POSTs go on. `lost_posts`: that may get no good answer."""
        for sidecar in self.made:
            sidecar.metrics()  # it has all that it opens in the beginning
        idle = self.descriptors()
        self.run_load(1)
        resident = self.resident()
        self.posts.clear()
        gets, bad = self.run_load(max(SECONDS, 4), story)
        statuses = {path: status for client in self.posts for path, status in client.items()}
        runs = collections.Counter(path for app in self.apps for path in app.executed())
        twice = [path for path, count in runs.items() if count > 1]
        lost = collections.Counter(status for status in statuses.values() if status != 200)
        attempts = {k.split('outcome="')[1].rstrip('"}'): int(v) for k, v in self.near.metrics().items()
                    if k.startswith("pillion_attempt_outcomes_total")}
        print("%s, %d sidecars on the way: %d GETs, %d bad; %d POSTs, %d twice, not 200: %s; attempts %s" % (
            what, self.sidecars, gets, bad, len(statuses), len(twice), dict(lost), attempts), flush=True)
        self.assertEqual(twice, [])
        self.assertEqual([path for path, status in statuses.items() if status == 200 and runs[path] != 1], [])
        self.assertGreater(gets, 0)
        self.assertLessEqual(bad, (1 - success) * gets)
        self.assertEqual([why for why in lost if not isinstance(why, int)], [], "each POST was answered")
        self.assertLessEqual(sum(lost.values()), lost_posts)
        try:
            mesh.wait_until(lambda: all(now <= before + 2 for now, before in zip(self.descriptors(), idle)), "few descriptors")
        except AssertionError:
            self.fail("descriptors before the load: %s; now: %s" % (idle, [sidecar.sockets() for sidecar in self.made]))
        if not mesh.sanitized():
            mesh.wait_until(lambda: all(now <= before + 8 * MEBIBYTE for now, before in zip(self.resident(), resident)),
                            "as much memory as under load without faults: %s, %s" % (resident, self.resident()))
