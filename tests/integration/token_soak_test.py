"""Row 74 of the matrix of specs/idempotency.md 4.4: tokens on all paths that a verdict has, for long. Memory and descriptors of the
service's sidecar stay where they are, its records are those of the tokens that may still come, and no token runs twice.
PILLION_SOAK_SECONDS=n: for so long; 86400 is the row's day. A short one shows that all verdicts come, and that records go again."""

import collections
import os
import statistics
import threading
import time
import unittest

import mesh
import token_rig
from token_rig import DOMAIN, verdict

SECONDS = float(os.environ.get("PILLION_SOAK_SECONDS", "12"))
PEERS = 4
ROUNDS_PER_CONNECTION = 50
LIVES = 1 + 3 * 0.2 + 1  # seconds: validity, three times the skew, the longest execution
LONG = 120  # seconds from which on memory is judged: before, it is still being taken
VERDICTS = {"executed", "replayed", "coalesced", "tombstone", "not-executed", "in-flight", "unknown", "mismatch", "expired", "bad-token",
            "bypass"}


class Caller(threading.Thread):
    """One connection after the other, and rounds of requests on each; what they were told."""

    def __init__(self, number, connect, stop):
        super().__init__(daemon=True)
        self.number, self.connect, self.stop = number, connect, stop
        self.told, self.tokens, self.failure = collections.Counter(), 0, None

    def run(self):
        try:
            while not self.stop.is_set():
                peer = self.connect()
                for _ in range(ROUNDS_PER_CONNECTION):
                    if self.stop.is_set():
                        break
                    self.round(peer)
                    for kept in (peer.heads, peer.bodies, peer.ended, peer.resets):
                        kept.clear()
                peer.close()
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error

    def expect(self, peer, asked):
        """`asked`: (stream, status, verdicts that it may be told)."""
        for stream, status, said in asked:
            answer = peer.answer(stream)
            word = verdict(answer)
            if (answer.status, word) != (status, word) or word not in said:
                raise AssertionError("expected %d %s, found %s" % (status, said, answer))
            self.told[word] += 1

    def token(self, peer, **more):
        self.tokens += 1
        return peer.mint(**more), "%d-%d" % (self.number, self.tokens)

    def round(self, peer):
        known = [self.token(peer) for _ in range(12)]
        broken, slow, busy, large, over = (self.token(peer) for _ in range(5))
        self.expect(peer, [(peer.post(*one), 201, {"executed"}) for one in known] +
                    [(peer.post(*broken, "reset"), 500, {"unknown"}),
                     (peer.post(*large, "size 300000"), 201, {"executed"}),
                     (peer.post(*over, body=b"x" * 70000), 201, {"bypass"}),
                     (peer.post(*self.token(peer), "status 429"), 429, {"not-executed"}),
                     (peer.post(*self.token(peer, age_ms=60_000)), 412, {"expired"}),
                     (peer.post(*self.token(peer, age_ms=-60_000)), 400, {"bad-token"})])
        # A duplicate of the one that waits leaves before its execution ends; the other is told what it came to.
        first, last = peer.post(*slow, "delay 0.05"), peer.post(*busy, "delay 0.2")
        self.expect(peer, [(peer.post(*slow, "delay 0.05"), 201, {"coalesced", "replayed"}),
                           (peer.post(*busy, "delay 0.2", fields=[("x-pillion-deadline", "80")]), 409, {"in-flight"}),
                           (first, 201, {"executed"}), (last, 201, {"executed"})])
        again = [(peer.post(*one), 201, {"replayed"}) for one in known[:6]]
        again += [(peer.post(*known[6], body=b"other"), 422, {"mismatch"}), (peer.post(*broken, "reset"), 500, {"unknown"}),
                  (peer.post(*large, "size 300000"), 409, {"tombstone"})]
        self.expect(peer, again)


class Soak(token_rig.AtTheService):
    def records(self):
        states = {series: value for series, value in self.made[-1].metrics().items() if series.startswith("pillion_token_records{")}
        return sum(states.values())

    def sample(self, callers):
        sidecar = self.made[-1]
        return {"records": self.records(), "memory": sidecar.resident_bytes(), "descriptors": sidecar.descriptors(),
                "tokens": sum(caller.tokens for caller in callers), "at": time.monotonic()}

    def test_row_74_tokens_on_all_paths_for_long(self):
        self.start(concurrency=2, validity="1s", skew="0.2s", max_execution="1s").close()
        stop = threading.Event()
        callers = [Caller(number, lambda: token_rig.Peer(self.inbound), stop) for number in range(PEERS)]
        for caller in callers:
            caller.start()
        begin, samples = time.monotonic(), []
        while time.monotonic() < begin + SECONDS and not any(caller.failure for caller in callers):
            time.sleep(1)
            samples.append(self.sample(callers))
        stop.set()
        for caller in callers:
            caller.join()
            if caller.failure:
                raise caller.failure
        told = sum((caller.told for caller in callers), collections.Counter())
        tokens = sum(caller.tokens for caller in callers)
        print("%d tokens in %.0f s: %s" % (tokens, time.monotonic() - begin, dict(told)))
        self.assertEqual(set(told), VERDICTS)
        self.judge_records(samples)
        self.judge_memory(samples)
        mesh.wait_until(lambda: self.records() == 0, "their time is over")
        self.assertEqual(self.made[-1].metrics()['pillion_token_bytes{domain="%016x"}' % DOMAIN], 0)
        self.judge_executions()

    def judge_records(self, samples):
        """There are never more than tokens were made while the oldest of them lived, and a second in which records are dropped."""
        worst = 0
        for i, sample in enumerate(samples):
            before = [one for one in samples[:i] if one["at"] < sample["at"] - LIVES - 2]
            came = sample["tokens"] - (before[-1]["tokens"] if before else 0)
            self.assertLessEqual(sample["records"], came + PEERS * 30, "at %d of %d" % (i, len(samples)))
            worst = max(worst, sample["records"])
        print("records at once: %d at most" % worst)
        self.assertGreater(worst, 0)

    def judge_memory(self, samples):
        quarter = max(len(samples) // 4, 1)
        early, late = samples[quarter:2 * quarter] or samples, samples[-quarter:]
        for what in ("memory", "descriptors"):
            before, after = (statistics.median(one[what] for one in part) for part in (early, late))
            print("%s: %d in the second quarter, %d in the last" % (what, before, after))
            if SECONDS >= LONG and not (what == "memory" and mesh.sanitized()):
                self.assertLessEqual(after, before * 1.02 + (1 << 20 if what == "memory" else PEERS), what)

    def judge_executions(self):
        with open(self.app.file, encoding="utf-8") as file:
            ran = collections.Counter(file.read().split())
        self.assertGreater(len(ran), 100)
        self.assertEqual([order for order, times in ran.items() if times > 1][:5], [])


if __name__ == "__main__":
    unittest.main()
