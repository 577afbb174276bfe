"""Everything happens to a mesh whose POSTs have tokens: sidecars and apps are killed, stopped and started again, connections are cut
at any byte, duplicates come a hundred at once. No POST runs twice, and what was answered 200 has run. PILLION_FAULT_SECONDS=n: for so
long; PILLION_SEED=n: the same faults again, as far as processes let them be the same."""

import collections
import os
import random
import signal
import socket
import threading
import time
import unittest

import load
import lossy
import mesh
from mesh import HOST
from token_rig import Peer, domain, stamping, verdict

SECONDS = int(os.environ.get("PILLION_FAULT_SECONDS", "12"))
SEED = int(os.environ.get("PILLION_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
POSTERS = 12
DUPLICATES = 100


class Network(lossy.Relay):
    """Cuts connections where it is told to."""

    def __init__(self, to):
        self.port = mesh.free_port()
        self.cut_at = None  # of the next connection: (direction, bytes that still pass); direction 0: what the client sends
        self.was_cut = False
        super().__init__((HOST, self.port), to)

    def watches(self):
        cut, self.cut_at = self.cut_at, None
        passes = super().watches()
        if cut is None:
            return passes
        direction, left = cut

        def watch(data):
            nonlocal left
            data = data[:left]
            left -= len(data)
            self.was_cut = self.was_cut or left == 0
            return data, left > 0
        return (watch, passes[1]) if direction == 0 else (passes[0], watch)


class Replica:
    """An app, its sidecar, and the network before them. `terms`, `clusters`: of the domain, and beside the app."""

    def __init__(self, milliseconds, terms=None, clusters=()):
        self.app = load.CountingApp(milliseconds)
        self.app.wait()
        self.sidecar_port = mesh.free_port()
        self.sidecar = mesh.Sidecar(
            [mesh.listener("inbound", self.sidecar_port, "app", direction="INBOUND", peer=True,
                           filters=[("pillion.idempotency", domain(max_execution="5s", **(terms or {})))])],
            [mesh.cluster("app", [self.app.address]), *clusters], concurrency=2, admin=True, drain_s=1)
        self.network = Network((HOST, self.sidecar_port))

    def stop(self):
        self.network.close()
        self.app.stop()
        self.sidecar.stop()


def posts_of(sidecar):
    """What was said of attempts."""
    return {series.split('verdict="')[1].split('"')[0]: count for series, count in sidecar.metrics().items()
            if series.startswith("pillion_token_verdicts_total") and count}


class Chaos(unittest.TestCase):
    FAULTS = ["cut", "cut", "cut", "sidecar killed", "app killed", "sidecar stopped", "app stopped", "app resets"]
    POLICY = {}

    def make_replica(self, milliseconds):
        return Replica(milliseconds)

    def start(self, replicas, milliseconds=40, **route):
        self.replicas = [self.make_replica(milliseconds) for _ in range(replicas)]
        for replica in self.replicas:
            self.addCleanup(replica.stop)
        self.outbound = mesh.free_port()
        budget = {"thresholds": [{"retry_budget": {"budget_percent": {"value": 100}, "min_retry_concurrency": 100}}]}
        self.near = mesh.Sidecar(
            [mesh.listener("outbound", self.outbound, "pay", explain=True, route={"timeout": "15s", **route}, **stamping(**self.POLICY))],
            [mesh.cluster("pay", [(HOST, one.network.port) for one in self.replicas], sidecar=True, connect_timeout="1s",
                          circuit_breakers=budget)], concurrency=2, admin=True, drain_s=1)
        self.addCleanup(self.near.stop)

    def executions(self):
        return collections.Counter(path for replica in self.replicas for path in replica.app.executed())

    def ask(self, path):
        """The status; 0: the connection broke."""
        conversation = mesh.Conversation(socket.create_connection((HOST, self.outbound), timeout=mesh.WAIT))
        try:
            conversation.send("POST %s HTTP/1.1\r\nHost: pay\r\nx-pillion-explain: 1\r\nContent-Length: 3\r\n\r\nabc" % path)
            self.head = conversation.head()
            return self.head.status
        finally:
            conversation.close()

    def test_a_connection_between_sidecars_is_cut_at_each_byte(self):
        self.start(1, milliseconds=0)
        network = self.replicas[0].network
        mesh.wait_until(lambda: self.ask("/warm") == 200 and "token=" in (self.head.get("x-pillion-explain") or ""), "tokens are given")
        said, positions = collections.Counter(), []
        for direction in (0, 1):
            at = 0
            while True:
                network.break_all()
                network.cut_at, network.was_cut = (direction, at), False
                path = "/cut-%d-%d" % (direction, at)
                said[self.ask(path), self.executions()[path]] += 1
                if not network.was_cut:
                    break
                at += 1
            positions.append(at)
        print("cut at each of %d and %d bytes; (status, executions): %s" % (*positions, dict(said)), flush=True)
        self.assertEqual(set(self.executions().values()), {1})
        # But where its answer had begun to be told each POST is answered.
        self.assertGreater(said[200, 1], 0.9 * sum(said.values()))
        self.assertGreater(min(positions), 50)

    def test_everything_happens_at_once(self):
        print("seed %d" % SEED, flush=True)
        self.chance = random.Random(SEED)
        self.start(3, retry_policy={"retry_on": "reset,connect-failure", "num_retries": 3, "per_try_timeout": "1s"})
        self.over = threading.Event()
        self.duplicates = {}  # by path: what was told, (status, verdict)
        copies = threading.Thread(target=self.send_duplicates, daemon=True)
        copies.start()
        posters = [load.Posts(self.outbound) for _ in range(POSTERS)]
        happened = collections.Counter()
        clock = threading.Event()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            clock.wait(self.chance.uniform(0.05, 0.6))
            happened[self.befall(self.chance.choice(self.replicas))] += 1
        self.over.set()
        statuses = {path: status for one in posters for path, status in one.stop().items()}
        copies.join()
        self.judge(statuses, happened)

    def befall(self, replica, what=None):
        """One fault, and its end; what it was."""
        chance, pause = self.chance, threading.Event().wait
        what = what or chance.choice(self.FAULTS)
        if what == "cut":
            replica.network.cut_at = (chance.randrange(2), chance.randrange(3000))
            replica.network.break_all()
        elif what == "app resets":
            replica.app.signal(signal.SIGUSR1)
        elif what == "sidecar killed":
            replica.sidecar.kill()
            pause(chance.uniform(0, 0.5))
            replica.sidecar.start()
            replica.sidecar.wait_until_it_listens()
        elif what == "app killed":
            replica.app.kill()
            pause(chance.uniform(0, 0.5))
            replica.app.start()
            replica.app.wait()
        else:
            process = replica.sidecar.process if what == "sidecar stopped" else replica.app.process
            process.send_signal(signal.SIGSTOP)
            # Now and then for longer than an execution may last.
            pause(chance.choice([0.2, 0.5, 1.5, min(6, SECONDS / 4)]))
            process.send_signal(signal.SIGCONT)
        return what

    def send_duplicates(self):
        """A hundred streams of one token at once, from two connections, to one replica after the other."""
        number = 0
        while not self.over.is_set():
            path = "/copies-%d" % number
            told = self.duplicates[path] = []
            peers = []
            try:
                peers = self.peers(number)
                token = peers[0].mint()
                streams = [(peer, peer.post(token, "copies", path=path)) for _ in range(DUPLICATES // 2) for peer in peers]
                for peer, stream in streams:
                    answer = peer.answer(stream)
                    told.append((answer.status, verdict(answer)) if answer else "reset")
            except (OSError, AssertionError) as error:
                told.append(type(error).__name__)
            for peer in peers:
                peer.close()
            number += 1

    def peers(self, number):
        replica = self.replicas[number % len(self.replicas)]
        return [Peer(replica.sidecar_port) for _ in range(2)]

    def judge(self, statuses, happened):
        runs = self.executions()
        twice = {path: count for path, count in runs.items() if count > 1}
        posts = collections.Counter(status if isinstance(status, int) else "broken" for status in statuses.values())
        copies = collections.Counter(one for told in self.duplicates.values() for one in told)
        attempts = posts_of(self.near)
        share = {what: "%.2f%%" % (100 * count / max(sum(attempts.values()), 1)) for what, count in attempts.items()}
        print("%d s: %s\n%d POSTs, answered %s; ran twice: %d\nwhat was said of their attempts: %s\n%d tokens of %d streams each, told %s" % (
            SECONDS, dict(happened), len(statuses), dict(posts), len(twice), share, len(self.duplicates), DUPLICATES, dict(copies)), flush=True)
        self.assertEqual(twice, {})
        for path, status in statuses.items():
            if status == 200:
                self.assertEqual(runs[path], 1, path)
        self.assertGreater(posts[200], len(statuses) / 2)
        self.assertGreater(copies[200, "executed"], 0)
        # All who are told that it ran are told of one execution.
        for path, told in self.duplicates.items():
            if any(one[0] == 200 for one in told if isinstance(one, tuple)):
                self.assertEqual(runs[path], 1, path)


if __name__ == "__main__":
    unittest.main()
