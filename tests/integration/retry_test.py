"""What is tried again, and above all what is not."""

import select
import socket
import threading
import time
import unittest

import mesh
from mesh import OK

POST = "POST /pay HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\nabc"
BUSY = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"


def policy(on, retries=2, **more):
    return {"out": {"route": {"retry_policy": {"retry_on": on, "num_retries": retries,
                                               "retry_back_off": {"base_interval": "0.002s"}, **more}}}}


class Elsewhere(mesh.MeshTest):
    def test_after_a_back_off_the_endpoint_that_failed_is_still_avoided(self):
        other = mesh.App()
        self.addCleanup(other.close)
        self.start(addresses=[self.app.address, other.address], out={"route": {"retry_policy": {
            "retry_on": "5xx", "num_retries": 1, "retry_back_off": {"base_interval": "0.4s", "max_interval": "0.4s"}}}})
        seen = []
        for app in (self.app, other):
            threading.Thread(target=self.serve, args=(app, seen), daemon=True).start()
        first = self.get(path="/first")
        mesh.wait_until(lambda: seen, "the first attempt")
        # Round robin's next turn is the other's; this one takes it, so that the retry's would be the failed one's.
        self.assertEqual(self.get(path="/second").head().status, 200)
        self.assertEqual(first.head().status, 200)
        tried = [app for app, path in seen if path == "/first"]
        self.assertEqual(len(tried), 2)
        self.assertIsNot(tried[0], tried[1])

    def test_only_an_apps_own_sidecar_believes_that_it_has_not_run_a_request(self):
        """Who answers may pass on what another said to it."""
        other = mesh.App()
        self.addCleanup(other.close)
        self.start(addresses=[self.app.address, other.address])
        client = self.ask(POST)
        first = select.select([self.app.sock, other.sock], [], [], mesh.WAIT)[0][0]
        asked, spared = (self.app, other) if first is self.app.sock else (other, self.app)
        connection = asked.accept()
        connection.head()
        connection.send("HTTP/1.1 503 No\r\nPillion-Not-Executed: 1\r\nContent-Length: 0\r\n\r\n")
        head = client.head()
        self.assertEqual((head.status, head.all("pillion-not-executed")), (503, []))
        self.assertTrue(connection.exactly(3) == b"abc" and spared.no_connection())

    def serve(self, app, seen):
        """Answers /first with 503 the first time it comes anywhere, and all else with 200."""
        try:
            while True:
                connection = app.accept()
                path = connection.head().first.split(" ")[1]
                busy = path == "/first" and not seen
                seen.append((app, path))
                connection.send((BUSY if busy else OK).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
                connection.close()
        except (OSError, AssertionError):  # the test is over
            pass


class Retry(mesh.MeshTest):
    def test_a_503_and_then_a_200_is_a_200(self):
        self.start(**policy("5xx"))
        client = self.get()
        app, _ = self.accept_request()
        app.send(BUSY)
        app, _ = self.accept_request(app)
        app.send(OK)
        self.assertEqual(client.head().status, 200)
        self.assertEqual(client.exactly(2), b"hi")

    def test_a_grpc_status_counts_for_grpc_alone(self):
        self.start(**policy("unavailable", 1))
        unavailable = OK.replace("\r\n", "\r\nGrpc-Status: 14\r\n", 1)
        client = self.get()
        app, _ = self.accept_request()
        app.send(unavailable)
        self.assertEqual(client.head().get("grpc-status"), "14")
        self.assertEqual(client.exactly(2), b"hi")
        self.get(client, fields="Content-Type: application/grpc\r\n")
        app, _ = self.accept_request(app)
        app.send(unavailable)
        app, _ = self.accept_request(app)
        app.send(OK)
        self.assertIsNone(client.head().get("grpc-status"))

    def test_when_the_retries_are_used_up_the_apps_own_answer_is_delivered(self):
        self.start(**policy("gateway-error", 1))
        client = self.get()
        app = None
        for _ in range(2):
            app, _ = self.accept_request(app)
            app.send(BUSY)
        self.assertEqual(client.head().status, 503)
        self.assertEqual(client.exactly(4), b"busy")
        self.assertTrue(app.silent())

    def test_status_codes_that_the_policy_does_not_name_are_delivered(self):
        self.start(**policy("retriable-status-codes", retriable_status_codes=[502]))
        client = self.get()
        app, _ = self.accept_request()
        app.send(BUSY)
        self.assertEqual(client.head().status, 503)

    def test_a_put_is_tried_again_with_its_body(self):
        self.start(**policy("5xx"))
        client = self.ask("PUT / HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello")
        app, _ = self.accept_request()
        self.assertEqual(app.exactly(5), b"hello")
        app.send(BUSY)
        app, head = self.accept_request(app)
        self.assertEqual(head.first, "PUT / HTTP/1.1")
        self.assertEqual(app.exactly(5), b"hello")
        app.send(OK)
        self.assertEqual(client.head().status, 200)

    def test_a_body_too_large_to_hold_is_not_tried_again(self):
        self.start(**policy("5xx"))
        client = self.ask("PUT / HTTP/1.1\r\nHost: shop\r\nContent-Length: 100000\r\n\r\n" + "x" * 100000)
        app, _ = self.accept_request()
        app.exactly(100000)
        app.send(BUSY)
        self.assertEqual(client.head().status, 503)

    def test_a_reset_get_is_tried_again_by_policy(self):
        self.start(**policy("reset,gateway-error"))  # at two the near one sees the far one's 502
        client = self.get()
        app, _ = self.accept_request()
        app.reset()
        app, _ = self.accept_request()
        app.send(OK)
        self.assertEqual(client.head().status, 200)

    def test_a_post_never_runs_again_after_an_ambiguous_failure(self):
        self.start(**policy("5xx,reset,gateway-error,connect-failure,refused-stream", 5))
        for end in (lambda app: app.reset(), lambda app: app.close(), lambda app: (app.send("HTTP/1"), app.close())):
            client = self.ask(POST)
            app, _ = self.accept_request()
            self.assertEqual(app.exactly(3), b"abc")
            end(app)
            self.assertEqual(client.head().status, 502)
            self.assertTrue(self.app.no_connection())

    def test_a_policy_may_say_that_its_requests_may_run_twice(self):
        self.start(**policy("reset,gateway-error", 1, retry_options_predicates=[
            {"name": "p", "typed_config": mesh.typed("pillion.sidecar.v1.Idempotent")}]))
        client = self.ask(POST)
        app, _ = self.accept_request()
        self.assertEqual(app.exactly(3), b"abc")
        app.reset()
        app, _ = self.accept_request()
        self.assertEqual(app.exactly(3), b"abc")
        app.send(OK)
        self.assertEqual(client.head().status, 200)

    def test_a_post_is_not_tried_again_for_a_status(self):
        self.start(**policy("5xx", 5))
        client = self.ask(POST)
        app, _ = self.accept_request()
        self.assertEqual(app.exactly(3), b"abc")
        app.send(BUSY)
        self.assertEqual(client.head().status, 503)
        self.assertTrue(app.silent())

    def test_a_post_is_not_tried_again_after_a_per_try_timeout(self):
        self.start(**policy("5xx,reset", 5, per_try_timeout="0.1s"))
        client = self.ask(POST)
        self.accept_request()
        self.assertEqual(client.head().status, 504)
        self.assertTrue(self.app.no_connection())

    def test_a_get_is_tried_again_after_a_per_try_timeout(self):
        self.start(**policy("5xx", 5, per_try_timeout="0.1s"))
        client = self.get()
        self.accept_request()
        app, _ = self.accept_request()
        app.send(OK)
        self.assertEqual(client.head().status, 200)

    def test_without_a_policy_an_ambiguous_failure_is_delivered(self):
        self.start()
        client = self.get()
        app, _ = self.accept_request()
        app.reset()
        self.assertEqual(client.head().status, 502)
        self.assertTrue(self.app.no_connection())

    def test_an_endpoint_that_refuses_connections_is_passed_over_for_another(self):
        self.start(addresses=[(mesh.HOST, mesh.free_port()), self.app.address])
        for request in (POST, POST, POST, POST):
            client = self.ask(request)
            connection = self.app.connections[-1] if self.app.connections else None
            app, _ = self.accept_request(connection)
            app.exactly(3)
            app.send(OK)
            self.assertEqual(client.head().status, 200)

    def test_a_connection_that_the_app_closed_meanwhile_costs_nobody_an_error(self):
        self.start()
        client = self.client()
        for request in ("GET / HTTP/1.1\r\nHost: shop\r\n\r\n", POST, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n", POST):
            self.ask(request, client)
            app, head = self.accept_request()
            app.exactly(3 if head.first.startswith("POST") else 0)
            app.send(OK)
            self.assertEqual(client.head().status, 200)
            client.exactly(2)
            app.close()  # kept alive, and yet closed

    def test_a_lingering_close_in_the_face_of_a_post_is_answered_or_told_and_runs_at_most_once(self):
        """The keep-alive race: the app ends a connection while the next request comes, and drops what it reads."""
        self.start()
        client = self.client()
        answered = 0
        for i in range(100):
            client.send("POST /first%d HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n" % i)
            app, _ = self.accept_request()
            app.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            self.assertEqual(client.head().status, 200)
            client.send("POST /second%d HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n" % i)
            app.half_close()
            app.rest_or_reset()
            ready, _, _ = select.select([self.app.sock, client.sock], [], [], mesh.WAIT)
            if self.app.sock in ready:
                again, head = self.accept_request()
                self.assertEqual(head.first, "POST /second%d HTTP/1.1" % i)
                again.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                again.rest()
                again.close()
                answered += 1
            head = client.head()
            self.assertEqual(head.status, 200 if self.app.sock in ready else 502)
            client.exactly(int(head.get("content-length")))
            app.close()
            self.assertTrue(self.app.no_connection(0.001))
        print("%d of 100 were answered after all, the others told" % answered)


    def again(self, fields, sent="", **more):
        """Whether a 503 with these fields to a request with those is followed by another attempt; the app's end, the client's."""
        if not self.made:
            self.start(**policy("5xx", 1, **more))
        client = self.get(fields=sent)
        app, _ = self.accept_request()
        app.send(BUSY.replace("\r\n", "\r\n" + fields, 1).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
        app.close()
        if select.select([client.sock, self.app.sock], [], [], mesh.WAIT)[0] == [client.sock]:
            self.assertEqual(client.head().status, 503)
            return False
        app, _ = self.accept_request()
        app.send(OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
        app.close()
        self.assertEqual(client.head().status, 200)
        return True

    def test_who_asks_for_a_longer_wait_is_not_asked_again_at_once(self):
        self.assertFalse(self.again("Retry-After: 5\r\n"))
        self.assertTrue(self.again("Retry-After: 0\r\n"))
        self.assertTrue(self.again("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n"))

    def test_a_wait_that_the_policy_takes_is_waited_for(self):
        self.start(**policy("5xx", 1, rate_limited_retry_back_off={"reset_headers": [{"name": "retry-after"}]}))
        began = time.monotonic()
        self.assertTrue(self.again("Retry-After: 1\r\n"))
        self.assertGreaterEqual(time.monotonic() - began, 1)

    def test_a_grpc_servers_push_back(self):
        grpc = "Content-Type: application/grpc\r\n"
        self.assertFalse(self.again("Grpc-Retry-Pushback-Ms: -1\r\n", grpc))
        self.assertTrue(self.again("Grpc-Retry-Pushback-Ms: 5\r\n", grpc))

    def test_a_policy_for_some_requests(self):
        wanted = [{"name": "x-safe"}]
        self.assertFalse(self.again("", "X-Other: 1\r\n", retriable_request_headers=wanted))
        self.assertTrue(self.again("", "X-Safe: 1\r\n"))

    def test_answers_with_a_field_of_the_policys(self):
        self.start(**policy("retriable-headers", 1, retriable_headers=[
            {"name": "x-again", "string_match": {"exact": "yes"}}]))
        self.assertFalse(self.again("X-Again: no\r\n"))
        self.assertTrue(self.again("X-Again: yes\r\n"))

    def test_an_attempt_on_which_nothing_moves_is_followed_by_another(self):
        self.start(**policy("5xx", 1, per_try_idle_timeout="0.1s"))
        client = self.get()
        self.accept_request()
        app, _ = self.accept_request()
        app.send(OK)
        self.assertEqual(client.head().status, 200)

    def test_an_answer_that_stands_still_is_broken_off(self):
        self.start(**policy("5xx", 1, per_try_idle_timeout="0.2s"))
        client = self.get()
        app, _ = self.accept_request()
        app.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        self.assertEqual(client.head().status, 200)
        self.assertEqual(client.rest_or_reset(), b"hello")

    def test_each_endpoint_is_tried_once(self):
        others = [mesh.App(), mesh.App()]
        for one in others:
            self.addCleanup(one.close)
        apps = [self.app, *others]
        self.start(addresses=[one.address for one in apps], **policy("5xx", 2))
        client = self.get()
        waiting = {one.sock: one for one in apps}
        for i in range(3):
            sock = select.select(list(waiting), [], [], mesh.WAIT)[0][0]
            connection = waiting.pop(sock).accept()
            connection.head()
            connection.send(OK if i == 2 else BUSY)
        self.assertEqual(client.head().status, 200)

    def deadline(self, sent, answer=OK):
        client = self.get(fields=sent)
        app, head = self.accept_request()
        app.send(answer.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
        app.close()
        return client, head

    def test_a_deadline_is_told_on_as_what_is_left(self):
        self.start()
        client, head = self.deadline("X-Pillion-Deadline: 00060000\r\n")
        self.assertEqual(client.head().status, 200)
        told = head.all("x-pillion-deadline")
        self.assertEqual(len(told), 1)
        self.assertTrue(0 < int(told[0]) <= 60000, told)
        self.assertNotEqual(told, ["00060000"], "not what the client wrote")

    def test_without_one_none_is_told(self):
        self.start()
        self.assertEqual(self.deadline("")[1].all("x-pillion-deadline"), [])

    def test_a_routes_timeout_is_told_on_where_policy_says_it(self):
        self.start(out={"route": {"timeout": "5s"}})
        told = self.deadline("")[1].all("x-pillion-deadline")
        self.assertEqual(len(told), 1)
        self.assertTrue(4000 < int(told[0]) <= 5020, told)
        told = self.deadline("X-Pillion-Deadline: 300\r\n")[1].all("x-pillion-deadline")
        self.assertTrue(len(told) == 1 and 0 < int(told[0]) <= 300, told)

    def test_a_grpc_call_may_have_either_deadline(self):
        self.start()
        head = self.deadline("Content-Type: application/grpc\r\nX-Pillion-Deadline: 300\r\nGrpc-Timeout: 5S\r\n")[1]
        self.assertTrue(0 < int(head.get("x-pillion-deadline")) <= 300, head)
        unit = {"n": 1e-6, "u": 1e-3, "m": 1}[head.get("grpc-timeout")[-1]]
        self.assertTrue(0 < int(head.get("grpc-timeout")[:-1]) * unit <= 300, head)

    def test_what_is_no_deadline_goes_as_it_came(self):
        self.start()
        for value in ("soon", "-1", "1.5", "1234567890"):
            self.assertEqual(self.deadline("X-Pillion-Deadline: %s\r\n" % value)[1].all("x-pillion-deadline"), [value])

    def test_when_it_is_over_the_app_is_not_asked(self):
        self.start()
        self.assertEqual(self.get(fields="X-Pillion-Deadline: 0\r\n").head().status, 408)
        self.assertTrue(self.app.no_connection())

    def test_when_it_is_over_meanwhile_the_client_is_told(self):
        self.start()
        client = self.get(fields="X-Pillion-Deadline: 100\r\n")
        self.accept_request()
        self.assertEqual(client.head().status, 408)

    def test_the_least_of_the_requests_and_the_routes_deadline_counts(self):
        self.start(out={"route": {"max_stream_duration": {"max_stream_duration": "0.2s"}}})
        client = self.get(fields="X-Pillion-Deadline: 60000\r\n")
        _, head = self.accept_request()
        self.assertLessEqual(int(head.get("x-pillion-deadline")), 200)
        self.assertEqual(client.head().status, 408)

    def test_a_slow_client_is_no_idle_attempt(self):
        self.start(**policy("5xx", 1, per_try_idle_timeout="0.2s"))
        client = self.ask("PUT / HTTP/1.1\r\nHost: shop\r\nContent-Length: 6\r\n\r\nabc")
        app, _ = self.accept_request()
        self.assertEqual(app.exactly(3), b"abc")
        self.assertTrue(app.silent(0.6))
        client.send("def")
        self.assertEqual(app.exactly(3), b"def")
        size = 8 << 20
        app.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % size)
        sender = threading.Thread(target=app.send, args=(b"x" * size,))
        sender.start()
        self.assertEqual(client.head().status, 200)
        time.sleep(0.6)  # it reads nothing, as a user may
        self.assertEqual(len(client.exactly(size)), size)
        sender.join()

    def test_answers_that_a_policy_wants_again_may_ask_for_time_whatever_their_status(self):
        self.start(**policy("retriable-status-codes", 1, retriable_status_codes=[202]))
        client = self.get()
        app, _ = self.accept_request()
        app.send("HTTP/1.1 202 Accepted\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(client.head().status, 202)
        self.assertTrue(app.silent())

    def test_what_only_sidecars_say_is_in_no_interim_answer_either(self):
        self.start()
        client = self.get()
        app, _ = self.accept_request()
        app.send("HTTP/1.1 103 Hints\r\nPillion-Outcome: not_sent;reset\r\nLink: a\r\n\r\n" + OK)
        hints = client.head()
        self.assertEqual((hints.status, hints.all("pillion-outcome"), hints.all("link")), (103, [], ["a"]))

    def test_a_wait_beyond_the_deadline_is_no_wait(self):
        self.start(**policy("5xx", 1, rate_limited_retry_back_off={"reset_headers": [{"name": "retry-after"}]}))
        client, _ = self.deadline("X-Pillion-Deadline: 900\r\n", BUSY.replace("\r\n", "\r\nRetry-After: 1\r\n", 1))
        self.assertEqual(client.head().status, 503)
        self.assertTrue(self.app.no_connection())


class RetryAtTwo(mesh.AtTwo, Retry):
    pass


class Told(mesh.MeshTest):
    """Two apps, each behind a sidecar: what the far one knows of an attempt, the near one acts upon."""

    def begin(self, retry=None, far=None):
        """The first app is the one that fails; the second never sees what it may have run."""
        self.other = mesh.App()
        self.addCleanup(self.other.close)
        self.far = [mesh.free_port(), mesh.free_port()]
        for port, app in zip(self.far, (self.app, self.other)):
            self.made.append(mesh.Sidecar([mesh.listener("inbound", port, "app", direction="INBOUND", peer=True, **(far or {}))],
                                          [mesh.cluster("app", [app.address])], admin=True))
        self.port = mesh.free_port()
        route = {"retry_policy": {"retry_back_off": {"base_interval": "0.002s"}, **retry}} if retry else {}
        self.made.insert(0, mesh.Sidecar(
            [mesh.listener("outbound", self.port, "next", route=route, explain=True)],
            [mesh.cluster("next", [(mesh.HOST, port) for port in self.far], sidecar=True)], admin=True))

    def until_first(self, request, then):
        """Asks until the first app has had one: `then(its end)`. Returns the client of that request."""
        for _ in range(4):
            client = self.ask(request)
            ready = select.select([self.app.sock, self.other.sock], [], [], mesh.WAIT)[0]
            if self.app.sock in ready:
                connection = self.app.accept()
                connection.head()
                then(connection)
                return client
            self.answer_other(client)
        self.fail("the balancer never chose the first app")

    def answer_other(self, client, answer=OK):
        connection = self.other.accept()
        connection.head()
        connection.send(answer.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
        connection.close()
        head = client.head()
        self.assertEqual(head.status, 200)
        self.assertEqual(head.all("pillion-outcome"), [])
        return head

    def test_a_post_that_the_far_sidecar_could_not_send_runs_elsewhere(self):
        self.begin()
        self.app.sock.close()
        for _ in range(12):  # few of them meet the dead one first
            self.answer_other(self.ask(POST))
        attempts = sum(v for k, v in self.made[0].metrics().items() if k.startswith("pillion_attempt_outcomes_total"))
        told = sum(v for k, v in self.made[0].metrics().items()
                   if k.startswith("pillion_attempt_outcomes_total") and 'outcome="not_sent"' in k)
        self.assertIn(told, (1, 2, 3))
        self.assertEqual(attempts, 12 + told)

    def test_a_post_that_the_app_may_have_run_does_not(self):
        self.begin({"retry_on": "5xx,reset,connect-failure,refused-stream", "num_retries": 3})
        client = self.until_first(POST, lambda app: app.reset())
        self.assertEqual(client.head().status, 502)
        self.assertTrue(self.other.no_connection())
        self.assertTrue(self.app.no_connection())

    def test_a_get_whose_answer_was_lost_runs_again_where_policy_wants_it(self):
        self.begin({"retry_on": "reset", "num_retries": 1})
        self.answer_other(self.until_first("GET / HTTP/1.1\r\nHost: shop\r\n\r\n", lambda app: app.reset()))

    def test_without_a_policy_the_far_sidecars_answer_is_delivered_whole(self):
        self.begin()
        client = self.until_first("GET / HTTP/1.1\r\nHost: shop\r\nX-Pillion-Explain: 1\r\n\r\n", lambda app: app.reset())
        head = client.head()
        self.assertEqual((head.status, head.all("pillion-outcome")), (502, []))
        self.assertIn("not-retried", head.get("x-pillion-explain"))
        self.assertEqual(len(client.exactly(int(head.get("content-length")))), int(head.get("content-length")))
        self.assertEqual([k.split('reason="')[1] for k in self.made[0].metrics() if k.startswith("pillion_not_retried_total")],
                         ['no_policy"}'])

    def test_an_app_is_not_believed_what_only_sidecars_say(self):
        self.begin()
        for value in ("not_sent;connect_failed", "refused;peer_refused"):
            client = self.until_first(POST, lambda app: (app.exactly(3), app.send(
                "HTTP/1.1 503 No\r\nPillion-Outcome: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % value),
                app.close()))
            head = client.head()
            self.assertEqual((head.status, head.all("pillion-outcome")), (503, []))
            self.assertTrue(self.other.no_connection())

    def test_an_app_may_say_that_it_has_not_run_a_request(self):
        self.begin()
        client = self.until_first(POST, lambda app: (app.exactly(3), app.send(
            "HTTP/1.1 503 No\r\nPillion-Not-Executed: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), app.close()))
        self.served = [self.app, self.other]
        # Its own sidecar asks it again first, and then the near one another endpoint.
        for _ in range(9):
            ready = select.select([self.app.sock, self.other.sock], [], [], mesh.WAIT)[0]
            if self.other.sock in ready:
                self.answer_other(client)
                return
            app = self.app.accept()
            app.head()
            app.exactly(3)
            app.send("HTTP/1.1 503 No\r\nPillion-Not-Executed: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            app.close()
        self.fail("the other app was never asked")

    def test_an_app_that_fails_so_again_and_again_is_heard_by_no_other_app(self):
        """It could pass it on as its own word, and then what it ran itself would run again."""
        self.begin()
        self.app.sock.close()
        client = self.ask(POST)
        for _ in range(9):
            if select.select([client.sock, self.other.sock], [], [], mesh.WAIT)[0] == [client.sock]:
                break
            app = self.other.accept()
            app.head()
            app.send("HTTP/1.1 503 No\r\nPillion-Not-Executed: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            app.close()
        head = client.head()
        self.assertEqual((head.status, [n for n in head.names() if n.lower().startswith("pillion")]), (503, []))

    def test_what_is_proven_of_the_last_attempt_alone_is_not_told(self):
        """The far sidecar's first attempt may have run; its second could not be sent."""
        again = {"retry_on": "5xx", "num_retries": 1, "retry_back_off": {"base_interval": "0.3s", "max_interval": "0.3s"},
                 "retry_options_predicates": [{"name": "p", "typed_config": mesh.typed("pillion.sidecar.v1.Idempotent")}]}
        self.begin(far={"route": {"retry_policy": again}})
        client = self.until_first(POST, lambda app: (app.exactly(3), self.app.sock.close(), app.reset()))
        self.assertEqual(client.head().status, 503)
        self.assertTrue(self.other.no_connection())

    def test_who_is_no_sidecar_is_told_nothing(self):
        self.begin()
        self.app.sock.close()
        client = mesh.Conversation(socket.create_connection((mesh.HOST, self.far[0]), timeout=mesh.WAIT))
        self.clients.append(client)
        client.send("GET / HTTP/1.1\r\nHost: shop\r\nPillion-H1: 1.1;t\r\n\r\n")
        head = client.head()
        self.assertEqual((head.status, [name for name in head.names() if name.lower().startswith("pillion")]), (503, []))


class AnsweredByAFilter(mesh.AtTwo, mesh.MeshTest):
    def test_what_a_filter_answers_is_no_failed_attempt(self):
        """It knows what to say although nothing would have served the request."""
        policy_of_host = {"cors": mesh.typed("envoy.extensions.filters.http.cors.v3.CorsPolicy",
                                             allow_origin_string_match=[{"exact": "https://app.example"}])}
        routes = {"name": "r", "validate_clusters": False, "virtual_hosts": [
            {"name": "all", "domains": ["*"], "typed_per_filter_config": policy_of_host,
             "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "missing"}}]}]}
        self.start(inbound={"filters": (("cors", mesh.typed("envoy.extensions.filters.http.cors.v3.Cors")),),
                            "hcm": {"route_config": routes}}, admin=True)
        head = self.ask("OPTIONS / HTTP/1.1\r\nHost: shop\r\nOrigin: https://app.example\r\n"
                        "Access-Control-Request-Method: GET\r\n\r\n").head()
        self.assertEqual((head.status, head.all("pillion-outcome")), (200, []))
        outcomes = [key.split('outcome="')[1] for key in self.made[0].metrics()
                    if key.startswith("pillion_attempt_outcomes_total")]
        self.assertEqual(outcomes, ['answered"}'])


class Answering(threading.Thread):
    """An app that answers all that comes, and counts it."""

    def __init__(self, answer=OK):
        super().__init__(daemon=True)
        self.app = mesh.App()
        self.answer = answer
        self.count = 0
        self.start()

    def run(self):
        try:
            while True:
                threading.Thread(target=self.serve, args=(self.app.accept(),), daemon=True).start()
        except (OSError, AssertionError):
            pass  # the test is over

    def serve(self, connection):
        try:
            while True:
                head = connection.head()
                connection.exactly(int(head.get("content-length") or 0))
                self.count += 1
                connection.send(self.answer)
        except (OSError, AssertionError):
            pass

    def close(self):
        self.app.sock.shutdown(socket.SHUT_RDWR)
        self.join()
        self.app.close()


class Budget(mesh.MeshTest):
    def answering(self, count, answer=OK):
        made = [Answering(answer) for _ in range(count)]
        for one in made:
            self.addCleanup(one.close)
        return made

    def outcomes(self):
        """{outcome: attempts}"""
        return {key.split('outcome="')[1].rstrip('"}'): value for key, value in self.made[0].metrics().items()
                if key.startswith("pillion_attempt_outcomes_total")}

    def ask_many(self, count, request):
        """The statuses, of one client after the other."""
        client = self.client()
        statuses = []
        for _ in range(count):
            self.ask(request, client)
            head = client.head()
            client.exactly(int(head.get("content-length")))
            statuses.append(head.status)
        return statuses

    def test_one_of_three_endpoints_is_dead_and_nobody_notices(self):
        apps = self.answering(2)
        self.start(addresses=[(mesh.HOST, mesh.free_port()), *(one.app.address for one in apps)], admin=True)
        for request in (POST, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n"):
            self.assertEqual(set(self.ask_many(1000, request)), {200})
        outcomes = self.outcomes()
        self.assertEqual(outcomes["answered"], 2000)
        # It is tried again after pauses that grow to seconds, and not by every request.
        self.assertLess(outcomes["not_sent"], 30)
        self.assertAlmostEqual(apps[0].count, apps[1].count, delta=outcomes["not_sent"] + 1)

    def test_when_all_are_dead_retries_are_a_share_of_the_requests(self):
        self.start(addresses=[(mesh.HOST, mesh.free_port()) for _ in range(3)], admin=True)
        self.assertEqual(set(self.ask_many(1000, POST)), {503})
        attempts = self.outcomes()["not_sent"]
        self.assertGreaterEqual(attempts, 1000 + 20)
        self.assertLessEqual(attempts, 1000 + 20 + 100 + 30)  # the burst, a tenth, and three a second
        reasons = {key.split('reason="')[1].rstrip('"}'): value for key, value in self.made[0].metrics().items()
                   if key.startswith("pillion_not_retried_total")}
        self.assertGreater(reasons["budget"], 800)

    def test_policy_retries_are_paid_for_too(self):
        apps = self.answering(1, BUSY)
        self.start(addresses=[apps[0].app.address], admin=True, **policy("5xx", 2, retry_back_off={
            "base_interval": "0.001s", "max_interval": "0.001s"}))
        self.assertEqual(set(self.ask_many(300, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n")), {503})
        self.assertLessEqual(apps[0].count, 300 + 20 + 30 + 30)
        self.assertGreaterEqual(apps[0].count, 300 + 20)

    def test_a_budget_is_what_the_cluster_says(self):
        budget = {"budget_percent": {"value": 0}, "min_retry_concurrency": 0}
        self.start(addresses=[(mesh.HOST, mesh.free_port()) for _ in range(3)], admin=True,
                   out_cluster={"circuit_breakers": {"thresholds": [{"retry_budget": budget}]}})
        self.assertEqual(set(self.ask_many(50, POST)), {503})
        self.assertEqual(self.outcomes()["not_sent"], 50)


class Ejected(mesh.MeshTest):
    def test_an_app_that_breaks_off_what_it_has_begun_is_left_alone_also_on_used_connections(self):
        other = Answering()
        self.addCleanup(other.close)
        self.start(addresses=[self.app.address, other.app.address],
                   out_cluster={"outlier_detection": {"consecutive_5xx": 5, "max_ejection_percent": 50}})
        get = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n"
        clients = [self.ask(get) for _ in range(10)]
        apps = [self.app.accept() for _ in range(5)]
        for app in apps:
            app.head()
            app.send(OK)
        for client in clients:
            self.assertEqual(client.head().status, 200)
            client.exactly(2)
        for client in clients:
            self.ask(get, client)
        for app in apps:
            app.head()
        for app in apps:
            app.reset()
        self.assertEqual(sorted(client.head().status for client in clients), [200] * 5 + [502] * 5)
        for _ in range(10):
            self.assertEqual(self.ask(get).head().status, 200)
        self.assertTrue(self.app.no_connection())


if __name__ == "__main__":
    unittest.main()
