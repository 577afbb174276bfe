"""The rows of the test matrix of specs/idempotency.md 4.4 in mode `shared`, by their numbers: real Redis servers with replicas, and
what token_matrix_test.py has. Its rows are run again here, those that read differently written anew."""

import collections
import hashlib
import json
import threading
import time
import unittest

import mesh
import token_matrix_test as rows
import token_redis
import token_rig
from mesh import HOST
from token_rig import DOMAIN, verdict
from token_shared_rig import Shared


class AtTheService(Shared, rows.AtTheService):
    def test_row_03_a_duplicate_at_another_replica(self):
        peer, order = self.start(), self.order()
        other = self.start_another()
        token = peer.mint()
        first = peer.ask(token, order, "field set-cookie:a=b")
        self.expect(first, 201, "executed")
        again = other.ask(token, order)
        self.expect(again, 201, "replayed")
        self.assertEqual(again.body, first.body)
        self.assertEqual(again.fields["set-cookie"], "a=b")
        self.ran(order)

    def test_row_05_a_duplicate_while_it_runs_elsewhere(self):
        peer, order = self.start(), self.order()
        other = self.start_another()
        token = peer.mint()
        first = peer.post(token, order, "delay 0.4")
        mesh.wait_until(lambda: self.app.executions(order) == 1, "it runs")
        second = other.ask(token, order, "delay 0.4")
        self.expect(second, 201, "coalesced")
        self.expect(peer.answer(first), 201, "executed")
        self.assertEqual(second.body, peer.answer(first).body)
        self.ran(order)

    def test_row_06_a_hundred_duplicates_at_once(self):
        peer, order = self.start(concurrency=2), self.order()
        other = self.start_another(concurrency=2)
        peers = [peer, other] + [self.connect() for _ in range(8)]
        token = peer.mint()
        streams = [(one, one.post(token, order, "delay 0.5")) for one in peers for _ in range(10)]
        said = collections.Counter((answer.status, verdict(answer)) for answer in (one.answer(stream) for one, stream in streams))
        self.assertEqual(said[201, "executed"], 1)
        self.assertEqual(sum(said.values()), 100)
        waited = said[201, "coalesced"]
        self.assertTrue(4 <= waited <= 16, "4 at each of four workers: %s" % said)
        self.assertEqual(said[409, "in-flight"] + said[201, "replayed"], 99 - waited, said)
        self.ran(order)

    def test_row_14_the_sidecar_is_killed_between_claim_and_forwarding(self):
        peer, order = self.start(app=self.taker_of_none(), store={"lease": "1s"}), self.order()
        token = peer.mint()
        peer.post(token, order)
        mesh.wait_until(lambda: self.count("claimed") == 1, "claimed")
        self.kill()
        self.start_sidecar(store={"lease": "1s"})
        other = self.connect()
        told = self.until_not("in-flight", lambda: other.ask(token, order, first=peer.incarnation, fields=[("x-pillion-deadline", "200")]))
        self.expect(told, 500, "unknown")
        self.ran(order, 0)

    def test_row_15_the_sidecar_is_killed_after_forwarding(self):
        peer, order = self.start(store={"lease": "1s"}), self.order()
        other = self.start_another(store={"lease": "1s"})
        self.made.insert(1, self.made.pop(0))  # the first is killed
        token = peer.mint()
        peer.post(token, order, "delay 0.3")
        mesh.wait_until(lambda: self.app.executions(order) == 1, "it runs")
        self.kill()
        told = self.until_not("in-flight", lambda: other.ask(token, order, fields=[("x-pillion-deadline", "200")]))
        self.expect(told, 500, "unknown")
        self.ran(order)

    def test_row_16_killed_with_the_answer_saved_in_memory_alone(self):
        """In mode `shared` it is not in memory alone."""
        peer, order = self.start(), self.order()
        token = peer.mint()
        self.expect(peer.ask(token, order), 201, "executed")
        self.kill()
        self.start_sidecar()
        self.expect(self.connect().ask(token, order, first=peer.incarnation), 201, "replayed")
        self.ran(order)

    def test_row_18_the_sidecar_stands_still_for_longer_than_its_lease(self):
        peer, order = self.start(store={"lease": "1s"}), self.order()
        other = self.start_another(store={"lease": "1s"})
        token = peer.mint()
        stream = peer.post(token, order, "delay 0.2")
        mesh.wait_until(lambda: self.app.executions(order) == 1, "it runs")
        paused = self.made[0].process
        paused.send_signal(mesh.signal.SIGSTOP)
        self.addCleanup(lambda: paused.poll() is None and paused.send_signal(mesh.signal.SIGCONT))
        told = self.until_not("in-flight", lambda: other.ask(token, order, fields=[("x-pillion-deadline", "200")]))
        self.expect(told, 500, "unknown")
        self.made[0].process.send_signal(mesh.signal.SIGCONT)
        self.expect(peer.answer(stream), 201, "executed")
        self.expect(other.ask(token, order), 201, "replayed")
        self.ran(order)

    def test_row_72_by_policy_another_runs_it_and_who_did_before_tells_nothing(self):
        terms = {"store": {"lease": "1s"}, "on_unknown": "RUN_AGAIN"}
        peer, order = self.start(**terms), self.order()
        other = self.start_another(**terms)
        token = peer.mint()
        stream = peer.post(token, order, "delay 0.2")
        mesh.wait_until(lambda: self.app.executions(order) == 1, "it runs")
        paused = self.made[0].process
        paused.send_signal(mesh.signal.SIGSTOP)
        self.addCleanup(lambda: paused.poll() is None and paused.send_signal(mesh.signal.SIGCONT))
        again = self.until_not("in-flight", lambda: other.ask(token, order, "delay 0.2", fields=[("x-pillion-deadline", "900")]))
        self.expect(again, 201, "executed")
        self.ran(order, 2)
        paused.send_signal(mesh.signal.SIGCONT)
        late = peer.answer(stream)
        self.expect(late, 500, "unknown")
        self.assertEqual(json.loads(late.body)["type"], "urn:pillion:idempotency:outcome-unknown")
        told = other.ask(token, order, "delay 0.2")
        self.expect(told, 201, "replayed")
        self.assertEqual(told.body, again.body)
        self.ran(order, 2)
        suspected = 'pillion_token_double_execution_suspected_total{domain="%016x"}' % DOMAIN
        self.assertEqual(self.made[0].metrics()[suspected], 1)

    def test_row_40_the_stores_clock_jumps(self):
        peer, order = self.start(), self.order()
        token = peer.mint()
        self.expect(peer.ask(token, order), 201, "executed")
        ahead = int(time.time() * 1000) + 3_600_000
        for shard in range(token_redis.SHARDS):  # it has been an hour ahead, and is back
            self.servers.primary.ask("HSET", "p:{%s:%d}:epoch" % (token_redis.SERVICE, shard), "high", ahead)
        self.expect(peer.ask(token, order), 412, "expired")
        self.expect(peer.ask(peer.mint(), order), 412, "expired")
        self.ran(order)
        self.servers.primary.do("FLUSHALL")

    def test_row_44_everything_is_lost_between_attempts(self):
        peer, order = self.start(), self.order()
        token = peer.mint()
        self.expect(peer.ask(token, order), 201, "executed")
        self.servers.primary.do("FLUSHALL")
        self.ready = False
        other = self.start_another()
        self.wait_for_store()
        self.expect(other.ask(token, order), 503, "doubt")
        self.ran(order)

    def test_row_45_an_attempt_overtakes_the_first_and_is_lost(self):
        peer, order = self.start(), self.order()
        token = peer.mint()
        self.expect(peer.ask(token, order, first=b"\1" * 16), 201, "executed")
        self.servers.primary.do("FLUSHALL")
        self.ready = False
        other = self.start_another()
        self.wait_for_store()
        self.expect(other.ask(token, order), 503, "doubt")
        self.ran(order)

    def test_row_49_the_server_is_out_of_memory(self):
        peer, order = self.start(), self.order()
        known, running = peer.mint(), peer.mint()
        self.expect(peer.ask(known, order), 201, "executed")
        stream = peer.post(running, order, "delay 0.3")
        mesh.wait_until(lambda: self.app.executions(order) == 2, "it runs")
        self.servers.primary.do("CONFIG", "SET", "maxmemory", "1")
        try:
            refused = peer.ask(peer.mint(), order)
            self.expect(refused, 503, "not-executed")
            self.assertIn(b"urn:pillion:idempotency:full", refused.body)
            self.expect(peer.answer(stream), 201, "executed")
            self.expect(peer.ask(running, order), 201, "replayed")
            self.expect(peer.ask(known, order), 201, "replayed")
        finally:
            self.servers.primary.do("CONFIG", "SET", "maxmemory", "0")
        self.ran(order, 2)

    # Room is the server's (row 49), and not divided among callers.
    test_row_51_the_table_is_full = None
    test_row_52_answers_give_way_the_largest_first = None
    test_row_52_where_memory_is_short_answers_give_way = None
    test_row_73_one_caller_leaves_room = None

    def test_descriptors_and_records_come_back(self):
        self.servers.primary.do("FLUSHALL")
        peer = self.start(validity="1s", skew="0s", max_execution="1s")
        self.expect(peer.ask(peer.mint(), "many"), 201, "executed")
        descriptors = self.made[-1].descriptors()
        for _ in range(200):
            self.expect(peer.ask(peer.mint(), "many"), 201, "executed")
        self.assertGreater(len(self.servers.primary.records()), 0)
        mesh.wait_until(lambda: len(self.servers.primary.records()) == 0, "their time is over")
        mesh.wait_until(lambda: self.made[-1].descriptors() <= descriptors + 1, "and so are their connections")

    def test_people_find_what_a_process_runs_by_the_tokens_hash(self):
        peer, order = self.start(concurrency=2), self.order()
        token = peer.mint()
        stream = peer.post(token, order, "delay 0.3")
        mesh.wait_until(lambda: self.app.executions(order) == 1, "it runs")
        shown = hashlib.sha256(bytes.fromhex(token.replace("-", ""))).hexdigest()[:16]

        def find():
            return json.loads(self.made[-1].page("/tokens?hash=" + shown))

        self.assertEqual([(one["domain"], one["state"]) for one in find()], [("%016x" % DOMAIN, "in_flight")])
        self.expect(peer.answer(stream), 201, "executed")
        self.assertEqual([(one["state"], one["status"]) for one in find()], [("completed", 201)])
        self.assertEqual(json.loads(self.made[-1].page("/tokens?hash=" + "0" * 16)), [])

    def test_answers_are_not_to_be_read_in_the_store(self):
        peer, order = self.start(), self.order()
        self.expect(peer.ask(peer.mint(), order, body=b"secret-request"), 201, "executed")
        held = [word for key in self.servers.primary.records() for word in self.servers.primary.ask("HGETALL", key)]
        self.assertTrue(held)
        self.assertFalse([word for word in held if "ran " in word or "secret-request" in word])


class WhileServersFail(Shared, token_rig.AtTheService):
    """Each has servers of its own."""

    REPLICAS = 2

    @classmethod
    def setUpClass(cls):
        cls.servers = None

    @classmethod
    def tearDownClass(cls):
        pass

    def setUp(self):
        super().setUp()
        self.servers = token_redis.Servers(self.REPLICAS)
        self.addCleanup(self.servers.stop)

    def fail_over(self):
        """The primary is dead, the first of the replicas takes its place."""
        self.servers.primary.kill()
        self.servers.all.remove(self.servers.primary)
        self.servers.promote(self.servers.replicas[0])

    def test_row_41_the_primary_fails_before_a_claim_is_replicated(self):
        peer, order = self.start(store={"replica_wait": "0.05s"}, skew="0s"), self.order()
        for one in self.servers.replicas:
            one.pause()
        token = peer.mint()
        self.expect(peer.ask(token, order), 503, "not-executed")
        self.assertEqual(self.count("unconfirmed"), 1)
        for one in self.servers.replicas:
            one.resume()
        self.fail_over()
        # Nothing has run, so that its caller may have it run by another token.
        said = []
        mesh.wait_until(lambda: said.append(verdict(peer.ask(peer.mint(), order))) or said[-1] == "executed", "it runs")
        self.assertLessEqual(set(said), {"not-executed", "doubt", "executed"})
        self.assertIn(verdict(peer.ask(token, order)), ("not-executed", "doubt"))
        self.ran(order)

    def test_row_42_nobody_waits_for_replicas(self):
        peer, order = self.start(store={"replicas": 0}), self.order()
        for one in self.servers.replicas:
            one.pause()
        token = peer.mint()
        self.expect(peer.ask(token, order), 201, "executed")
        for one in self.servers.replicas:
            one.resume()
            one.do("REPLICAOF", "NO", "ONE")  # before it hears of it
        self.servers.primary.kill()
        self.servers.all.remove(self.servers.primary)
        self.servers.promote(self.servers.replicas[0])
        again = self.until_not("not-executed", lambda: peer.ask(token, order))
        self.assertIn((again.status, verdict(again)), {(503, "doubt"), (201, "replayed")})
        self.ran(order)

    def test_row_43_a_completion_is_lost_with_the_primary_and_said_again(self):
        peer, order = self.start(), self.order()
        token = peer.mint()
        stream = peer.post(token, order, "delay 0.5")
        mesh.wait_until(lambda: self.app.executions(order) == 1, "it runs")
        for one in self.servers.replicas:
            one.pause()
        answer = peer.answer(stream)
        self.expect(answer, 201, "executed")
        for one in self.servers.replicas:
            one.resume()
        self.fail_over()
        self.wait_for_store()
        again = self.until_not("not-executed", lambda: peer.ask(token, order))
        self.expect(again, 201, "replayed")
        self.assertEqual(again.body, answer.body)
        self.ran(order)

    def test_row_43_and_its_owner_is_dead(self):
        peer, order = self.start(store={"lease": "1s"}), self.order()
        token = peer.mint()
        peer.post(token, order, "delay 0.2")
        mesh.wait_until(lambda: self.app.executions(order) == 1, "it runs")
        self.kill()
        self.fail_over()
        self.start_sidecar(store={"lease": "1s"})
        other = self.connect()
        told = self.until_not("in-flight", lambda: other.ask(token, order, fields=[("x-pillion-deadline", "200")]))
        self.expect(told, 500, "unknown")
        self.ran(order)

    def test_row_47_the_server_is_gone(self):
        peer, order = self.start(), self.order()
        known = peer.mint()
        self.expect(peer.ask(known, order), 201, "executed")
        for one in self.servers.all:
            one.kill()
        refused = peer.ask(peer.mint(), order)
        self.expect(refused, 503, "not-executed")
        self.assertIn(b"urn:pillion:idempotency:store-down", refused.body)
        self.expect(peer.ask(known, order), 503, "not-executed")
        self.ran(order)

    def test_row_47_by_policy_it_runs_unprotected(self):
        peer, order = self.start(store={"on_down": "BYPASS", "replica_wait": "0.2s"}), self.order()
        self.expect(self.first(peer, peer.mint(), order), 201, "executed")
        for one in self.servers.replicas:
            one.pause()
        self.expect(self.first(peer, peer.mint(), order), 503, "not-executed")
        mesh.wait_until(lambda: self.trouble() == "it does not write: too few replicas have confirmed", "it says why")
        for one in self.servers.replicas:
            one.resume()
        # A later attempt of what nobody knows may have run without a record.
        self.assertEqual(verdict(peer.ask(peer.mint(), order, first=b"\1" * 16)), "doubt")
        for one in self.servers.all:
            one.kill()
        mesh.wait_until(lambda: verdict(peer.ask(peer.mint(), "lost", first=b"\1" * 16)) == "not-executed", "it is noticed")
        lost, other = peer.mint(), self.order()
        self.expect(self.first(peer, lost, other), 201, "bypass")
        self.expect(peer.ask(lost, other), 503, "not-executed")
        self.ran(other)

    def first(self, peer, token, order):
        """What says nothing of where its first attempt went: it is the first."""
        return peer.ask(token, order, is_first=True)

    def test_row_48_a_server_that_forgets_is_not_used(self):
        for one in self.servers.all:
            one.do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        self.ready = False
        peer, order = self.start(), self.order()
        self.expect(peer.ask(peer.mint(), order), 503, "not-executed")
        mesh.wait_until(lambda: "maxmemory-policy: found allkeys-lru, expected noeviction" in self.trouble(), "it says why")
        self.ran(order, 0)

    def test_row_50_two_primaries(self):
        peer, order = self.start(store={"replica_wait": "0.05s"}), self.order()
        old = self.servers.primary
        self.servers.promote(self.servers.replicas[0])
        self.servers.all.remove(old)
        self.addCleanup(old.kill)
        token = peer.mint()
        first = peer.ask(token, order)
        self.expect(first, 503, "not-executed")
        other = self.start_another()
        self.expect(other.ask(token, order), 201, "executed")
        self.expect(self.until_not("not-executed", lambda: other.ask(token, order)), 201, "replayed")
        self.ran(order)


class BetweenTwo(Shared, rows.BetweenTwo):
    def start(self, policy=None, **more):
        super().start(policy={"shared": True, **(policy or {})}, **more)

    def test_row_60_another_process_does_not_run_what_the_first_may_have(self):
        order, head = self.after_another_has_taken_its_place()
        self.assertEqual(head.status, 201, "it knows what became of it")
        self.assertIn("verdict=replayed", head.get("x-pillion-explain"))
        self.ran(order)

    def test_row_72_by_policy_another_process_runs_it(self):
        order, head = self.after_another_has_taken_its_place(on_unknown="RUN_AGAIN")
        self.assertEqual(head.status, 201, "nothing is unknown")
        self.assertIn("verdict=replayed", head.get("x-pillion-explain"))
        self.ran(order)

    def test_row_15_the_services_sidecar_is_killed_and_comes_back(self):
        self.start(store={"lease": "1s"}, route={"timeout": "10s", "retry_policy": {
            "retry_on": "5xx", "num_retries": 10, "retry_back_off": {"base_interval": "0.2s", "max_interval": "1s"}}})
        order = self.order()
        answers = []
        caller = threading.Thread(target=lambda: answers.append(self.ask(order, "delay 0.5")))
        caller.start()
        mesh.wait_until(lambda: self.app.executions(order) == 1, "it runs")
        self.made[0].process.kill()
        self.made.pop(0).process.wait()
        self.start_sidecar(store={"lease": "1s"})
        caller.join()
        self.assertEqual(answers[0].status, 500)
        self.assertIn("verdict=unknown", answers[0].get("x-pillion-explain"))
        self.ran(order)

    def test_row_60_all_attempts_go_to_the_process_that_the_first_went_to(self):
        """With shared records they need not."""
        self.inbound = mesh.free_port()
        self.start_sidecar()
        port, second = self.make_network()
        self.start(more=[port])
        said = collections.Counter()
        for _ in range(8):
            order = self.order()
            self.lose(1)
            self.lose(1, network=second)
            head = self.ask(order)
            self.assertEqual(head.status, 201)
            said[head.get("x-pillion-explain").split("verdict=")[1].split(";")[0].split()[0]] += 1
            self.ran(order)
            time.sleep(0.7)  # what the budget gives back
        self.assertEqual(said, {"replayed": 8})

    def test_row_46_the_only_attempt_is_doubtful(self):
        self.start(skew="0s", route={"timeout": "10s", "retry_policy": {
            "retry_on": "5xx", "num_retries": 10, "retry_back_off": {"base_interval": "0.2s", "max_interval": "0.2s"}}})
        order = self.order()
        until = int(time.time() * 1000) + 400
        for shard in range(token_redis.SHARDS):
            self.servers.primary.ask("HSET", "p:{%s:%d}:epoch" % (token_redis.SERVICE, shard), "start", until)
        head = self.ask(order)
        self.assertEqual(head.status, 201, self.body)
        self.assertIn("verdict=executed", head.get("x-pillion-explain"))
        self.assertGreater(self.count("doubt", self.made[0]), 0)
        self.ran(order)


if __name__ == "__main__":
    unittest.main(verbosity=2)
