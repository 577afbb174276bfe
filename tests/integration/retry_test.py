"""What is tried again, and above all what is not."""

import select
import threading
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


class RetryAtTwo(mesh.AtTwo, Retry):
    pass


if __name__ == "__main__":
    unittest.main()
