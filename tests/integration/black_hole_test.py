"""An app vanishes from the network while wrk, h2load and POSTs run: nothing is refused and nothing reset, packets to it are lost,
and those that it sends. For that it has a network of its own, and the whole test is run again in namespaces of its own: it needs no
privilege, and leaves nothing behind. PILLION_FAULT_SECONDS=n: the story lasts so long."""

import os
import subprocess
import sys
import unittest

import faults
import load
import mesh

INSIDE = "PILLION_IN_NAMESPACE"
HERE, THERE, LENGTH = "10.77.0.1", "10.77.0.2", "/30"


def ip(*words, at=None):
    """`at`: a process in whose network it happens."""
    enter = ("nsenter", "--target", str(at), "--net") if at else ()
    return subprocess.run([*enter, "ip", *words], check=True, stdout=subprocess.PIPE).stdout.decode()


class BlackHole(faults.Faults):
    def make_app(self, number):
        if number != 0:
            return load.CountingApp()
        app = load.CountingApp(host=THERE, port=8000, prefix=("unshare", "--net"))
        network = "/proc/%d/ns/net"
        mesh.wait_until(lambda: os.readlink(network % app.process.pid) != os.readlink(network % os.getpid()), "it has a network")
        ip("link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(app.process.pid))
        ip("addr", "add", HERE + LENGTH, "dev", "here")
        ip("link", "set", "here", "up")
        ip("addr", "add", THERE + LENGTH, "dev", "there", at=app.process.pid)
        ip("link", "set", "there", "up", at=app.process.pid)
        # Else the kernel would notice that nobody answers for the address, and say so.
        ethernet = ip("-brief", "link", "show", "there", at=app.process.pid).split()[2]
        ip("neigh", "replace", THERE, "lladdr", ethernet, "dev", "here", "nud", "permanent")
        return app

    def test_an_app_vanishes_and_comes_back(self):
        rounds = max(faults.SECONDS // 4, 1)
        process = self.apps[0].process.pid

        def story():
            for _ in range(rounds):
                self.wait(0.7)
                ip("addr", "del", THERE + LENGTH, "dev", "there", at=process)
                self.wait(3)
                ip("addr", "add", THERE + LENGTH, "dev", "there", at=process)
        self.under_load("black hole", story, lost_posts=rounds * 4 * self.posters)


if __name__ == "__main__":
    if INSIDE in os.environ:
        ip("link", "set", "lo", "up")
        unittest.main()
    inside = ("unshare", "--user", "--map-root-user", "--net")
    possible = subprocess.run([*inside, "ip", "link", "set", "lo", "up"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if possible.returncode != 0:
        print("skipped: no namespaces here:", possible.stdout.decode())
        sys.exit(0)
    os.execvpe(inside[0], [*inside, sys.executable, *sys.argv], {**os.environ, INSIDE: "yes"})
