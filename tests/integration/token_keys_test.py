"""The rows of the test matrix of specs/idempotency.md 4.4 that keys of applications have (Idempotency-Key), and those of gRPC, by their
numbers, as token_matrix_test.py. Row 61 and policies in YAML are //tests/conformance:tokens_test."""

import collections
import json
import socket
import ssl
import threading
import unittest

import grpc

import certificates
import grpc_service
import mesh
import token_rig
from mesh import HOST, server_tls, with_tls
from token_rig import verdict

KEYS = {"key_source": "APP", "keys": "8"}
EITHER = {"key_source": "APP_OR_MINT", "keys": "8"}
CHARGE = "/pay.Pay/Charge"


def problem(answer):
    """Of a body, or of grpc-status-details-bin: the name of what is told."""
    return json.loads(answer)["type"].rsplit(":", 1)[1]


class KeysAtTheService(token_rig.AtTheService):
    def begin(self, peer, key, order, *do, stamped=False, fields=(), **more):
        own = [("idempotency-key", key)] if key is not None else []
        if not stamped:
            own.append(("pillion-h1", "2"))  # of a caller's sidecar that has no policy
        return peer.post("app" if stamped else None, order, *do, fields=[*own, *fields], **more)

    def ask(self, peer, *arguments, **more):
        return peer.answer(self.begin(peer, *arguments, **more))

    def directly(self, order, lines, *do, body="pay", context=None):
        """The head of the answer to an HTTP/1.1 client that has no sidecar; `self.body` is its content."""
        sock = socket.create_connection((HOST, self.inbound), timeout=mesh.WAIT)
        conversation = mesh.Conversation(context.wrap_socket(sock, server_hostname=HOST) if context else sock)
        self.peers.append(conversation)
        head = b"POST /pay HTTP/1.1\r\nHost: pay\r\nx-order: %s\r\nContent-Length: %d\r\n" % (order.encode(), len(body))
        for line in [*lines, *(b"x-do: " + one.encode() for one in do)]:
            head += line + b"\r\n"
        conversation.send(head + b"\r\n" + body.encode())
        answer = conversation.head()
        self.body = conversation.exactly(int(answer.get("content-length"))).decode() if answer.get("content-length") else ""
        return answer

    def test_row_02_a_key_that_comes_again(self):
        peer, order = self.start(**KEYS), self.order()
        first = self.ask(peer, "k", order)
        self.expect(first, 201, "executed")
        self.assertNotIn("idempotent-replayed", first.fields)
        for stamped in (False, True):
            again = self.ask(peer, "k", order, stamped=stamped)
            self.expect(again, 201, "replayed")
            self.assertEqual(again.body, first.body)
            self.assertEqual(again.fields["idempotent-replayed"], "true")
        self.ran(order)

    def test_row_02_of_a_client_that_has_no_sidecar(self):
        self.start(**KEYS)
        order = self.order()
        seen = []
        for _ in range(2):
            head = self.directly(order, [b"Idempotency-Key: \"k\""])
            self.assertEqual(head.status, 201)
            self.assertIsNone(head.get("pillion-dedup"), "it is for sidecars alone")
            seen.append((self.body, head.get("idempotent-replayed")))
        self.assertEqual(seen, [(seen[0][0], None), (seen[0][0], "true")])
        self.ran(order)

    def test_row_04_a_key_that_comes_while_the_first_runs(self):
        peer, order = self.start(**KEYS), self.order()
        first = self.begin(peer, "k", order, "delay 0.3")
        second = self.ask(peer, "k", order, "delay 0.3")
        self.expect(second, 201, "coalesced")
        self.assertEqual(second.fields["idempotent-replayed"], "true")
        self.expect(peer.answer(first), 201, "executed")
        self.ran(order)

    def test_row_08_by_policy_nobody_waits(self):
        peer, order = self.start(on_concurrent="CONFLICT", **KEYS), self.order()
        first = self.begin(peer, "k", order, "delay 0.3")
        second = self.ask(peer, "k", order, "delay 0.3")
        self.expect(second, 409, "in-flight")
        self.assertEqual(second.fields["retry-after"], "1")
        self.expect(peer.answer(first), 201, "executed")
        self.ran(order)

    def test_row_09_the_client_leaves_and_asks_again(self):
        peer, order = self.start(**KEYS), self.order()
        first = self.begin(peer, "k", order, "delay 0.3")
        mesh.wait_until(lambda: self.app.executions(order) == 1, "it runs")
        peer.cancel(first)
        self.assertIn(verdict(self.ask(peer, "k", order, "delay 0.3")), ("coalesced", "replayed"))
        self.ran(order)

    def test_row_26_and_27_another_request_with_the_key(self):
        peer, order = self.start(**KEYS), self.order()
        self.expect(self.ask(peer, "k", order), 201, "executed")
        for more in ({"body": b"other"}, {"path": "/other"}, {"method": "PATCH"}):
            answer = self.ask(peer, "k", order, **more)
            self.expect(answer, 422, "mismatch")
            self.assertEqual(answer.fields["content-type"], "application/problem+json")
            self.assertEqual(problem(answer.body), "mismatch")
        self.ran(order)

    def test_row_30_another_workload_has_keys_of_its_own(self):
        authority = certificates.Authority()
        files = authority.issue("server", "IP:" + HOST)
        self.inbound = mesh.free_port()
        made = mesh.listener("inbound", self.inbound, "app", direction="INBOUND", peer=True,
                             filters=[self.filter(**KEYS)])
        self.made.append(mesh.Sidecar(
            [with_tls(made, server_tls({"tls_certificates": [files], "validation_context": authority.trusted()},
                                       require_client_certificate=True))],
            [mesh.cluster("app", [(HOST, self.app.port)]), *self.clusters()], drain_s=1, admin=True))
        self.settle()
        order = self.order()
        bodies = collections.defaultdict(list)
        for name in ("a", "b", "a", "b"):
            context = ssl.create_default_context(cafile=authority.ca)
            if name not in bodies:
                authority.issue(name, "URI:spiffe://td/" + name)
            context.load_cert_chain(authority.path(name), authority.key(name))
            self.assertEqual(self.directly(order, [b"Idempotency-Key: k"], context=context).status, 201)
            bodies[name].append(self.body)
        self.assertEqual(bodies["a"][0], bodies["a"][1])
        self.assertEqual(bodies["b"][0], bodies["b"][1])
        self.assertNotEqual(bodies["a"][0], bodies["b"][0], "none is told the other's answer")
        self.ran(order, 2)

    def test_row_32_credentials_that_were_renewed_meanwhile(self):
        peer, order = self.start(**KEYS), self.order()
        self.expect(self.ask(peer, "k", order, fields=[("authorization", "Bearer a")]), 201, "executed")
        self.expect(self.ask(peer, "k", order, fields=[("authorization", "Bearer b")]), 201, "replayed")
        self.ran(order)

    def test_row_34_no_key_where_there_must_be_one(self):
        peer, order = self.start(require=True, grpc_methods=[CHARGE], **KEYS), self.order()
        answer = self.ask(peer, None, order)
        self.expect(answer, 400, "bad-token")
        self.assertEqual(problem(answer.body), "key-required")
        call = self.ask(peer, None, order, path=CHARGE, fields=[("content-type", "application/grpc")])
        self.assertEqual((call.status, call.fields["grpc-status"]), (200, "3"))
        self.ran(order, 0)
        self.expect(self.ask(peer, "k", order), 201, "executed")
        self.assertEqual(self.ask(peer, None, order, method="PUT").status, 201, "other methods need none")
        self.ran(order, 2)

    def test_row_34_or_a_token_where_sidecars_may_make_them(self):
        peer, order = self.start(require=True, **EITHER), self.order()
        self.expect(self.ask(peer, None, order), 400, "bad-token")
        self.expect(peer.ask(peer.mint(), order), 201, "executed")
        self.expect(self.ask(peer, "k", order), 201, "executed")
        self.ran(order, 2)

    def test_row_35_quoted_and_bare_are_one_key(self):
        peer, order = self.start(**KEYS), self.order()
        self.expect(self.ask(peer, "8e03978e-40d5-43dd-bc93-6894a57f9324", order), 201, "executed")
        self.expect(self.ask(peer, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', order), 201, "replayed")
        self.ran(order)

    def test_row_36_what_is_no_key(self):
        self.start(**KEYS)
        order = self.order()
        for bad in (b"", b"\"\"", b"k" * 256, b"\"" + b"k" * 256 + b"\"", b"a b", b"\"a", b"a, b", b"\"a\";p=1", "ключ".encode(),
                    "\"é\"".encode(), b"\"\xff\""):
            head = self.directly(order, [b"Idempotency-Key: " + bad])
            self.assertEqual((head.status, head.get("content-type")), (400, "application/problem+json"), bad)
            self.assertEqual(problem(self.body), "bad-key")
        for bad in (b"a\x01", b"\"a\x7f\"", b"\"a\x00\""):
            self.assertEqual(self.directly(order, [b"Idempotency-Key: " + bad]).status, 400, bad)
        self.assertEqual(self.directly(order, [b"Idempotency-Key: k", b"idempotency-key: k"]).status, 400)
        self.ran(order, 0)
        self.assertEqual(self.directly(order, [b"Idempotency-Key: " + b"k" * 255]).status, 201)
        self.ran(order)

    def test_row_54_a_large_request_with_a_key_is_not_run(self):
        peer, order = self.start(**KEYS), self.order()
        answer = self.ask(peer, "k", order, body=b"x" * 65537)
        self.expect(answer, 413, "not-executed")
        self.ran(order, 0)
        self.expect(self.ask(peer, None, order, body=b"x" * 65537), 201, "(none)")
        self.ran(order)

    def test_row_61_keys_that_another_process_knows(self):
        peer, order = self.start(keys_elsewhere=True, **EITHER), self.order()
        answer = self.ask(peer, "k", order)
        self.expect(answer, 503, "not-executed")
        self.assertEqual((problem(answer.body), answer.fields["retry-after"]), ("keys-elsewhere", "5"))
        self.ran(order, 0)
        self.expect(peer.ask(peer.mint(), order), 201, "executed")
        self.ran(order)

    def test_row_65_the_key_reaches_the_app_as_it_came(self):
        peer, order = self.start(**KEYS), self.order()
        for key, stamped in (('"a \\"b\\""', False), ("bare", True)):
            answer = self.ask(peer, key, order, "echo idempotency-key", stamped=stamped)
            self.expect(answer, 201, "executed")
            self.assertEqual(answer.fields["x-echo"], key)
            self.assertEqual([name for name in answer.body.decode().rsplit(" ", 1)[1].split(",") if name.startswith("pillion-")], [])

    def test_row_66_cookies_are_told_to_one_client_alone(self):
        peer, order = self.start(**EITHER), self.order()
        do = ["field set-cookie:session=1", "field location:/there"]
        first = self.ask(peer, "k", order, *do)
        self.assertEqual(first.fields["set-cookie"], "session=1")
        again = self.ask(peer, "k", order, *do)
        self.expect(again, 201, "replayed")
        self.assertNotIn("set-cookie", again.fields)
        self.assertEqual(again.fields["location"], "/there")
        self.assertEqual(self.made[-1].metrics()["pillion_token_cookies_dropped_total"], 1)
        token = peer.mint()
        for said in ("executed", "replayed"):
            answer = peer.ask(token, order, *do)
            self.expect(answer, 201, said)
            self.assertEqual(answer.fields["set-cookie"], "session=1", "of a token: the client has not had the first")
            self.assertNotIn("idempotent-replayed", answer.fields)
        self.ran(order, 2)

    def test_a_stamp_without_a_key_is_none(self):
        peer, order = self.start(**KEYS), self.order()
        self.expect(self.ask(peer, None, order, stamped=True), 400, "bad-token")
        self.expect(peer.ask(peer.mint(), order), 400, "bad-token")
        self.ran(order, 0)

    def test_a_stamp_that_names_another_process_never_runs(self):
        peer, order = self.start(**KEYS), self.order()
        self.expect(self.ask(peer, "k", order, stamped=True, first=b"\x01" * 16), 500, "unknown")
        self.ran(order, 0)
        self.expect(self.ask(peer, "k", order), 201, "executed")
        self.expect(self.ask(peer, "k", order, stamped=True, first=b"\x01" * 16), 201, "replayed")
        self.ran(order)


class KeysBetweenTwo(token_rig.BetweenTwo):
    def start_with_keys(self, terms=KEYS, policy=None, **more):
        self.warm = 0
        self.start(policy={"key_source": terms["key_source"], **(policy or {})}, stamps=False, **terms, **more)

        def stamped():
            self.warm += 1
            return self.token_of(self.with_key("warm-%d" % self.warm, "warm"))

        mesh.wait_until(stamped, "keys are stamped")

    def with_key(self, key, order, *do, **more):
        return self.ask(order, *do, fields=[("Idempotency-Key", key)], **more)

    def test_row_10_an_answer_is_lost(self):
        self.start_with_keys()
        order = self.order()
        self.lose(1)
        head = self.with_key("k", order)
        self.assertEqual(head.status, 201)
        self.assertIn("verdict=replayed", head.get("x-pillion-explain"))
        self.assertIn("attempts=2", head.get("x-pillion-explain"))
        self.assertEqual([name for name in head.names() if name.startswith("pillion-")], [])
        self.ran(order)

    def test_row_10_and_the_app_asks_again(self):
        self.start_with_keys()
        order = self.order()
        self.lose(1, 2, 3)
        head = self.with_key("k", order)
        self.assertEqual(head.status, 500)
        self.assertEqual(problem(self.body), "outcome-unknown")
        self.lose()
        self.assertEqual(self.with_key("k", order).status, 201, "it is told what was answered")
        self.ran(order)

    def test_row_71_an_app_that_sends_its_request_again(self):
        self.start_with_keys()
        order = self.order()
        tokens = set()
        for replayed in (None, "true", "true"):
            head = self.with_key('"k"', order)
            self.assertEqual((head.status, head.get("idempotent-replayed")), (201, replayed))
            tokens.add(self.token_of(head)[1])
        self.assertEqual(len(tokens), 1, "the key's hash")
        self.ran(order)
        for _ in range(2):
            self.assertIsNone(self.token_of(self.ask(order)), "without a key it has no token")
        self.ran(order, 3)

    def test_row_71_with_keys_or_tokens(self):
        self.start_with_keys(EITHER)
        order = self.order()
        for _ in range(2):
            self.assertIsNotNone(self.token_of(self.ask(order)))
        self.ran(order, 2)
        for _ in range(2):
            self.assertEqual(self.with_key("k", order).status, 201)
        self.ran(order, 3)
        self.lose(1)
        self.assertEqual(self.ask(order).status, 201)
        self.ran(order, 4)

    def test_row_26_another_request_with_the_key(self):
        self.start_with_keys()
        order = self.order()
        self.assertEqual(self.with_key("k", order).status, 201)
        head = self.with_key("k", order, body="other")
        self.assertEqual((head.status, problem(self.body)), (422, "mismatch"))
        self.assertIn("attempts=1", head.get("x-pillion-explain"))
        self.ran(order)

    def test_row_08_another_request_of_the_apps_that_still_runs(self):
        self.start_with_keys(on_concurrent="CONFLICT")
        order = self.order()
        answers = []
        first = threading.Thread(target=lambda: answers.append(self.with_key("k", order, "delay 0.5").status))
        first.start()
        mesh.wait_until(lambda: self.app.executions(order) == 1, "it runs")
        head = self.with_key("k", order, "delay 0.5")
        self.assertEqual((head.status, head.get("retry-after")), (409, "1"))
        self.assertIn("attempts=1", head.get("x-pillion-explain"), "to ask again is the app's")
        first.join()
        self.assertEqual(answers, [201])
        self.ran(order)

    def test_row_07_what_runs_for_longer_than_is_asked_for_it(self):
        self.start_with_keys(on_concurrent="CONFLICT", route={
            "timeout": "5s", "retry_policy": {"retry_on": "5xx", "num_retries": 2, "per_try_timeout": "0.2s",
                                              "retry_back_off": {"base_interval": "0.001s"}}})
        order = self.order()
        head = self.with_key("k", order, "delay 1")
        self.assertEqual((head.status, head.get("retry-after")), (409, "1"), "it runs: its app may ask again")
        self.assertEqual(problem(self.body), "in-flight")
        mesh.wait_until(lambda: self.with_key("k", order, "delay 1").status == 201, "its answer is told")
        self.ran(order)

    def test_row_36_what_is_no_key_is_told_by_the_services_side(self):
        self.start_with_keys()
        order = self.order()
        head = self.with_key("a b", order)
        self.assertEqual((head.status, problem(self.body)), (400, "bad-key"))
        self.assertIsNone(head.get("pillion-dedup"))
        self.ran(order, 0)

    def test_passed_through_the_app_is_asked_again_with_its_key(self):
        self.start(policy={"key_source": "PASSTHROUGH", "domain": "0"}, stamps=False)
        order = self.order()
        self.lose(1)
        head = self.with_key("k", order, "echo idempotency-key")
        self.assertEqual((head.status, head.get("x-echo")), (201, "k"))
        self.assertIn("attempts=2", head.get("x-pillion-explain"))
        self.assertIsNone(self.token_of(head))
        self.ran(order, 2)  # this app does not look at its keys
        other = self.order()
        self.lose(1)
        self.assertEqual(self.ask(other).status, 502, "without a key nobody could tell")
        self.ran(other)


class Calls(token_rig.BetweenTwo):
    """gRPC, with its own library at both ends."""

    def setUp(self):
        super().setUp()
        self.counts = collections.Counter()

        def charge(request, context):
            self.counts[request] += 1
            context.send_initial_metadata((("x-first", "1"),))
            context.set_trailing_metadata((("x-trail", "t"), ("x-trail-bin", b"\0\xff")))
            return b"charged " + request

        def refuse(request, context):
            self.counts[request] += 1
            context.set_trailing_metadata((("x-why", "poor"),))
            context.abort(grpc.StatusCode.NOT_FOUND, "no such account: é")

        handlers = {"Charge": grpc.unary_unary_rpc_method_handler(charge), "Refuse": grpc.unary_unary_rpc_method_handler(refuse)}
        server, self.address = grpc_service.serve(handlers, service="pay.Pay")
        self.addCleanup(lambda: server.stop(0).wait())
        self.channels = []
        self.addCleanup(lambda: [channel.close() for channel in self.channels])

    def call(self, method, request, *metadata):
        """Its result or error, and the call."""
        channel = grpc.insecure_channel("%s:%d" % (HOST, self.outbound), options=[("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)])
        self.channels.append(channel)
        multi = channel.unary_unary("/pay.Pay/" + method)
        try:
            result, call = multi.with_call(request, timeout=mesh.WAIT, metadata=[("x-pillion-explain", "1"), *metadata])
            return result, call
        except grpc.RpcError as error:
            return None, error

    def fields(self, metadata):
        return {name: value for name, value in metadata if name != "x-pillion-explain"}

    def start_calls(self, terms, source, **more):
        methods = {"grpc_methods": [CHARGE, "/pay.Pay/Refuse"]}
        self.start(app=self.address, http2=True, stamps=False, policy={"key_source": source, **methods}, **terms,
                   **(methods if terms else {}), **more)

        def stamped():
            _, call = self.call("Charge", b"warm", ("idempotency-key", "warm"))
            return "token=" in dict(call.initial_metadata() or ()).get("x-pillion-explain", "")

        mesh.wait_until(stamped, "calls have tokens")

    def test_row_56_trailers_are_told_again(self):
        self.start_calls({}, "MINT")
        whole, plain = self.call("Charge", b"plain")
        self.lose(1)
        result, call = self.call("Charge", b"lost")
        self.assertEqual((whole, result), (b"charged plain", b"charged lost"))
        self.assertIn("verdict=replayed", dict(call.initial_metadata())["x-pillion-explain"])
        self.assertEqual(self.fields(call.trailing_metadata()), self.fields(plain.trailing_metadata()))
        self.assertEqual(self.fields(call.trailing_metadata())["x-trail-bin"], b"\0\xff")
        self.assertEqual(self.fields(call.initial_metadata())["x-first"], "1")
        self.assertEqual(self.counts[b"lost"], 1)

    def test_row_57_an_error_is_told_again(self):
        self.start_calls({}, "MINT")
        self.lose(1)
        _, error = self.call("Refuse", b"lost")
        self.assertEqual((error.code(), error.details()), (grpc.StatusCode.NOT_FOUND, "no such account: é"))
        self.assertEqual(self.fields(error.trailing_metadata())["x-why"], "poor")
        self.assertEqual(self.counts[b"lost"], 1)

    def test_row_10_what_nobody_knows_is_unknown_with_its_details(self):
        self.start_calls({}, "MINT")
        self.lose(*range(1, 20))  # trailers count too
        _, error = self.call("Charge", b"lost")
        self.assertEqual(error.code(), grpc.StatusCode.UNKNOWN)
        self.expect_details(error, b"OUTCOME_UNKNOWN")
        self.assertEqual(self.counts[b"lost"], 1)

    def expect_details(self, error, reason):
        details = dict(error.trailing_metadata())["grpc-status-details-bin"]
        self.assertIn(b"type.googleapis.com/google.rpc.ErrorInfo", details)
        self.assertIn(reason, details)
        self.assertIn(b"pillion", details)

    def test_row_34_to_36_keys_are_metadata(self):
        self.start_calls({**KEYS, "require": True}, "APP")
        for key in ("k", '"k"'):
            result, call = self.call("Charge", b"keyed", ("idempotency-key", key))
            self.assertEqual(result, b"charged keyed")
        self.assertEqual(self.fields(call.initial_metadata())["idempotent-replayed"], "true")
        self.assertEqual(self.fields(call.trailing_metadata())["x-trail"], "t")
        self.assertEqual(self.counts[b"keyed"], 1)
        for metadata, reason in (((), b"KEY_REQUIRED"), ((("idempotency-key", "a b"),), b"BAD_KEY"),
                                 ((("idempotency-key", "k"), ("idempotency-key", "k")), b"BAD_KEY")):
            _, error = self.call("Charge", b"none", *metadata)
            self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
            self.expect_details(error, reason)
        _, error = self.call("Charge", b"other", ("idempotency-key", "k"))
        self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.expect_details(error, b"MISMATCH")
        self.assertEqual(self.counts[b"none"] + self.counts[b"other"], 0)

    def test_row_10_a_call_with_a_key_whose_answer_is_lost(self):
        self.start_calls(KEYS, "APP")
        self.lose(1)
        result, _ = self.call("Charge", b"lost", ("idempotency-key", "k"))
        self.assertEqual((result, self.counts[b"lost"]), (b"charged lost", 1))


if __name__ == "__main__":
    unittest.main(verbosity=2)
