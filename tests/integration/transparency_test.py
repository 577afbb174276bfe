"""The apps at both ends cannot tell that sidecars carry their bytes: the list of specs/mesh.md 1.1, at one and two."""

import threading
import unittest

import mesh
from mesh import OK


class Transparency(mesh.MeshTest):
    def exchange(self, request, response=OK):
        """One request to its answer: (head at the app, app's end, client's end)."""
        client = self.ask(request)
        app, head = self.accept_request()
        app.send(response)
        return head, app, client

    # --- versions and targets ---

    def test_http10_with_host(self):
        self.start()
        head, _, client = self.exchange("GET /a HTTP/1.0\r\nHost: shop\r\n\r\n")
        self.assertEqual(head.first, "GET /a HTTP/1.0")
        self.assertEqual(head.all("host"), ["shop"])
        answer = client.head()
        self.assertEqual(answer.first, "HTTP/1.1 200 OK")
        self.assertEqual(answer.all("connection"), ["close"])
        self.assertEqual(client.rest(), b"hi")

    def test_http10_without_host(self):
        self.start()
        head, _, client = self.exchange("GET /a HTTP/1.0\r\n\r\n")
        self.assertEqual(head.first, "GET /a HTTP/1.0")
        self.assertEqual(head.all("host"), [])
        self.assertEqual(client.head().status, 200)
        self.assertEqual(client.rest(), b"hi")

    def test_http10_keep_alive_is_granted_when_asked_for(self):
        self.start()
        request = "GET /a HTTP/1.0\r\nHost: shop\r\nConnection: keep-alive\r\n\r\n"
        _, app, client = self.exchange(request)
        self.assertEqual(client.head().all("connection"), ["keep-alive"])
        self.assertEqual(client.exactly(2), b"hi")
        client.send(request)
        self.assertEqual(app.head().first, "GET /a HTTP/1.0")

    def test_an_http10_app_is_answered_for_as_http10(self):
        self.start()
        _, _, client = self.exchange("GET /a HTTP/1.1\r\nHost: shop\r\n\r\n",
                                     "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        self.assertEqual(client.head().first, "HTTP/1.0 200 OK")
        self.assertEqual(client.exactly(2), b"hi")

    def test_http11_absolute_uri_differs_from_host(self):
        self.start()
        head, _, client = self.exchange("GET http://right.example:81/a?b HTTP/1.1\r\nHost: wrong\r\n\r\n")
        self.assertEqual(head.first, "GET http://right.example:81/a?b HTTP/1.1")
        self.assertEqual(head.all("host"), ["right.example:81"])  # RFC 9112 section 3.2.2
        self.assertEqual(client.head().status, 200)

    def test_asterisk_form_stays(self):
        self.start()
        head, _, client = self.exchange("OPTIONS * HTTP/1.1\r\nHost: shop\r\n\r\n")
        self.assertEqual(head.first, "OPTIONS * HTTP/1.1")
        self.assertEqual(client.head().status, 200)

    def test_an_empty_host_stays(self):
        self.start()
        head, _, client = self.exchange("GET / HTTP/1.1\r\nHost: \r\n\r\n")
        self.assertEqual(head.all("host"), [""])
        self.assertEqual(client.head().status, 200)

    def test_methods_of_any_name_pass(self):
        self.start()
        head, _, client = self.exchange("PROPFIND /dav HTTP/1.1\r\nHost: shop\r\n\r\n")
        self.assertEqual(head.first, "PROPFIND /dav HTTP/1.1")
        self.assertEqual(client.head().status, 200)

    # --- upgrades and CONNECT ---

    def test_http11_upgrades(self):
        self.start()
        client = self.ask("GET /chat HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                          "Sec-WebSocket-Key: abc\r\n\r\nearly")
        app, head = self.accept_request()
        self.assertEqual(head.all("upgrade"), ["websocket"])
        self.assertEqual(head.all("connection"), ["Upgrade"])
        self.assertEqual(head.all("sec-websocket-key"), ["abc"])
        self.assertTrue(app.silent(0.2), "bytes of a tunnel that the app has not granted")
        app.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst")
        answer = client.head()
        self.assertEqual(answer.first, "HTTP/1.1 101 Switching Protocols")
        self.assertEqual(answer.all("upgrade"), ["websocket"])
        self.assertEqual(answer.all("connection"), ["Upgrade"])
        self.assertEqual(client.exactly(5), b"first")
        self.assertEqual(app.exactly(5), b"early")
        client.send(b"\x00ping\xff")
        self.assertEqual(app.exactly(6), b"\x00ping\xff")
        app.send(b"\x81pong\r\n\r\n")
        self.assertEqual(client.exactly(9), b"\x81pong\r\n\r\n")
        client.half_close()
        self.assertEqual(app.rest(), b"")  # the app sees the half-close,
        app.send("last words")  # and may still speak
        app.close()
        self.assertEqual(client.rest(), b"last words")

    def test_http11_upgrade_that_the_app_ends_first_ends_at_the_client(self):
        self.start()
        client, app = self.upgraded()
        app.half_close()
        self.assertEqual(client.rest(), b"")
        client.send("still")
        client.half_close()
        self.assertEqual(app.rest(), b"still")

    def upgraded(self):
        client = self.ask("GET /chat HTTP/1.1\r\nHost: shop\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        app, _ = self.accept_request()
        app.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        self.assertEqual(client.head().status, 101)
        return client, app

    def test_an_upgraded_app_that_goes_ends_the_client_that_still_speaks(self):
        self.start()
        client, app = self.upgraded()
        app.half_close()
        self.assertEqual(client.rest(), b"")
        app.reset()
        mesh.wait_until(lambda: self.speaking_fails(client), "the client learns that nobody listens")

    def speaking_fails(self, client):
        try:
            client.send("hello?")
            return False
        except OSError:
            return True

    def test_an_upgraded_client_that_resets_ends_the_app_that_has_half_closed(self):
        self.start()
        client, app = self.upgraded()
        app.half_close()
        self.assertEqual(client.rest(), b"")
        client.reset()
        self.assertTrue(app.closed())

    def test_http11_upgrade_that_is_refused_is_an_ordinary_answer(self):
        self.start()
        client = self.ask("GET /chat HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        app, _ = self.accept_request()
        app.send("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")
        self.assertEqual(client.head().first, "HTTP/1.1 404 Not Found")
        self.assertEqual(client.exactly(2), b"no")
        self.get(client)
        app2, _ = self.accept_request(None if self.app_is_new(app) else app)
        app2.send(OK)
        self.assertEqual(client.head().status, 200)

    def app_is_new(self, app):
        """After an Upgrade the next request may come on another connection (at two it does: HTTP/2)."""
        return app.silent()

    def test_a_megabyte_each_way_through_an_upgrade(self):
        self.start()
        client = self.ask("GET /chat HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        app, _ = self.accept_request()
        app.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        client.head()
        up, down = bytes(range(256)) * 4096, bytes(reversed(range(256))) * 4096
        senders = [threading.Thread(target=client.send, args=(up,)), threading.Thread(target=app.send, args=(down,))]
        for sender in senders:
            sender.start()
        self.assertEqual(mesh.digest(app.exactly(len(up))), mesh.digest(up))
        self.assertEqual(mesh.digest(client.exactly(len(down))), mesh.digest(down))
        for sender in senders:
            sender.join()

    def test_http11_upgrade_h2_stripped(self):
        self.start()
        head, _, client = self.exchange(
            "GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n")
        for name in ("upgrade", "http2-settings", "connection"):
            self.assertEqual(head.all(name), [], name)
        self.assertEqual(client.head().first, "HTTP/1.1 200 OK")

    def test_http11_connect_is_refused(self):
        self.start()
        client = self.ask("CONNECT shop:443 HTTP/1.1\r\nHost: shop:443\r\n\r\n")
        self.assertEqual(client.head().status, 405)
        client.rest()
        self.assertTrue(self.app.no_connection())

    def test_http11_connect_headers_stripped(self):
        """CONNECT is not offered: of its head nothing reaches anybody, and bytes behind it are no request."""
        self.start()
        client = self.ask("CONNECT shop:443 HTTP/1.1\r\nHost: shop:443\r\nContent-Length: 0\r\nX-A: secret\r\n\r\n"
                          "GET /behind HTTP/1.1\r\nHost: shop\r\n\r\n")
        answer = client.head()
        self.assertEqual((answer.status, answer.all("x-a"), answer.all("connection")), (405, [], ["close"]))
        self.assertNotIn(b"HTTP/1.1", client.rest_or_reset())
        self.assertTrue(self.app.no_connection())

    def test_http11_connect_bad_requests(self):
        self.start()
        for request in ("CONNECT / HTTP/1.1\r\nHost: shop\r\n\r\n",
                        "CONNECT shop HTTP/1.1\r\nHost: shop\r\n\r\n",
                        "CONNECT http://shop/ HTTP/1.1\r\nHost: shop\r\n\r\n",
                        "CONNECT  HTTP/1.1\r\nHost: shop\r\n\r\n"):
            client = self.ask(request)
            self.assertEqual(client.head().status, 400, request)
            client.rest()

    def test_101_that_nobody_asked_for_is_a_bad_gateway(self):
        self.start()
        _, _, client = self.exchange("GET / HTTP/1.1\r\nHost: shop\r\n\r\n",
                                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
        self.assertEqual(client.head().status, 502)

    # --- fields ---

    def test_http1_removes_connection_headers(self):
        self.start()
        head, _, client = self.exchange(
            "GET / HTTP/1.1\r\nHost: shop\r\nConnection: x-foo, x-bar, close\r\nx-foo: 1\r\nX-Bar: 2\r\nx-baz: 3\r\n"
            "Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: x-secret\r\nx-secret: 1\r\nx-open: 2\r\nKeep-Alive: timeout=5\r\n"
            "Content-Length: 0\r\n\r\n")
        for name in ("connection", "x-foo", "x-bar", "keep-alive", "proxy-connection"):
            self.assertEqual(head.all(name), [], name)
        self.assertEqual(head.all("x-baz"), ["3"])
        answer = client.head()
        self.assertEqual(answer.all("connection"), ["close"])  # ours: the client asked for it
        self.assertEqual(answer.all("x-secret") + answer.all("keep-alive"), [])
        self.assertEqual(answer.all("x-open"), ["2"])
        self.assertEqual(client.rest(), b"")

    def test_a_reason_phrase_of_the_apps_own_stays(self):
        for line in ("HTTP/1.1 200 Very OK; r=1, x", "HTTP/1.1 200 ", "HTTP/1.1 418 ", "HTTP/1.1 503 caf\xe9",
                     "HTTP/1.0 404 Not Found", "HTTP/1.1 299 Ours"):
            with self.subTest(line):
                self.start()
                _, _, client = self.exchange("GET / HTTP/1.1\r\nHost: shop\r\n\r\n",
                                             line + "\r\nContent-Length: 0\r\n\r\n")
                self.assertEqual(client.head().first, line)
                for sidecar in self.made:
                    sidecar.stop()
                self.made = []

    def test_names_keep_their_case_both_ways(self):
        self.start()
        head, _, client = self.exchange(
            "GET / HTTP/1.1\r\nHost: shop\r\nX-Title-Case: 1\r\nx-lower: 2\r\nX-B3-TraceId: 3\r\nSHOUT: 4\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: a\r\nX-Title: 1\r\nx-lower: 2\r\nWWW-Authenticate: b\r\n\r\n")
        self.assertEqual(head.names(), ["Host", "X-Title-Case", "x-lower", "X-B3-TraceId", "SHOUT"])
        self.assertEqual(client.head().names(), ["Content-Length", "ETag", "X-Title", "x-lower", "WWW-Authenticate"])

    def test_lower_case_names_stay_lower_case(self):
        self.start()
        head, _, client = self.exchange("POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 1\r\nx-a: 1\r\n\r\nb",
                                        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-b: 1\r\n\r\n")
        self.assertEqual(head.names(), ["host", "content-length", "x-a"])
        self.assertEqual(client.head().names(), ["content-length", "x-b"])

    def test_repeated_fields_keep_number_and_order(self):
        self.start()
        head, _, client = self.exchange(
            "GET / HTTP/1.1\r\nHost: shop\r\nCookie: a=1\r\nX-A: 1\r\nX-A: 2\r\nCookie: b=2\r\nX-Empty: \r\n\r\n",
            "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(head.all("x-a"), ["1", "2"])
        self.assertEqual(head.all("x-empty"), [""])
        self.assertEqual("; ".join(head.all("cookie")), "a=1; b=2")  # RFC 9113 section 8.2.3 joins them
        self.assertEqual(client.head().all("set-cookie"), ["a=1", "b=2"])

    def test_values_of_any_visible_byte_pass(self):
        self.start()
        value = "\t".join(["caf\xe9", '"q"', "{}|\\^`", "a  b"])
        head, _, client = self.exchange("GET /%7Ea/../b//c?x=%00&y=| HTTP/1.1\r\nHost: shop\r\nX-A: " + value +
                                        "\r\n\r\n")
        self.assertEqual(head.first, "GET /%7Ea/../b//c?x=%00&y=| HTTP/1.1")
        self.assertEqual(head.all("x-a"), [value])
        self.assertEqual(client.head().status, 200)

    def test_te_trailers_goes_on_and_nothing_else_of_te(self):
        self.start()
        head, _, client = self.exchange("GET / HTTP/1.1\r\nHost: shop\r\nConnection: TE\r\nTE: gzip, trailers\r\n\r\n")
        self.assertEqual(head.all("te"), ["trailers"])
        self.assertEqual(head.all("connection"), ["TE"])
        self.assertEqual(client.head().status, 200)

    def test_orig_proto_header_isnt_leaked(self):
        self.start()
        head, _, client = self.exchange(
            "GET / HTTP/1.1\r\nHost: shop\r\npillion-h1: 1.0;abs\r\nConnection: pillion-h1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nPillion-H1: 1.0;t\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(head.first, "GET / HTTP/1.1")  # the client's forgery had no effect,
        self.assertEqual(head.all("pillion-h1"), [])
        answer = client.head()
        self.assertEqual(answer.first, "HTTP/1.1 200 OK")  # nor had the app's
        self.assertEqual(answer.all("pillion-h1"), [])

    # --- bodies ---

    def test_http1_request_with_body_content_length(self):
        self.start()
        client = self.ask("POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello")
        app, head = self.accept_request()
        self.assertEqual(head.all("content-length"), ["5"])
        self.assertEqual(head.all("transfer-encoding"), [])
        self.assertEqual(app.exactly(5), b"hello")
        app.send(OK)
        self.assertEqual(client.head().status, 200)

    def test_http1_request_with_body_chunked(self):
        self.start()
        client = self.ask("POST /a HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n")
        app, head = self.accept_request()
        self.assertEqual(head.all("transfer-encoding"), ["chunked"])
        self.assertEqual(head.all("content-length"), [])
        client.send("5;ext=1\r\nhello\r\n")
        self.assertEqual(app.until(b"hello\r\n"), b"5\r\nhello\r\n")  # streamed, not held
        client.send("6\r\n world\r\n0\r\n\r\n")
        self.assertEqual(app.chunks(), (b" world", []))
        app.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        self.assertEqual(client.head().all("transfer-encoding"), ["chunked"])
        self.assertEqual(client.until(b"a\r\n"), b"1\r\na\r\n")
        app.send("2\r\nbc\r\n0\r\n\r\n")
        self.assertEqual(client.chunks(), (b"bc", []))

    def test_a_chunked_request_that_ends_at_once_stays_chunked(self):
        self.start()
        client = self.ask("POST /a HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        app, head = self.accept_request()
        self.assertEqual((head.all("transfer-encoding"), head.all("content-length")), (["chunked"], []))
        self.assertEqual(app.chunks(), (b"", []))
        app.send(OK)
        self.assertEqual(client.head().status, 200)

    def test_a_chunked_answer_that_is_empty_stays_chunked(self):
        self.start()
        _, _, client = self.exchange("GET / HTTP/1.1\r\nHost: shop\r\n\r\n",
                                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        head = client.head()
        self.assertEqual((head.all("transfer-encoding"), head.all("content-length")), (["chunked"], []))
        self.assertEqual(client.chunks(), (b"", []))

    def test_trailers_pass_both_ways(self):
        self.start()
        client = self.ask("POST /a HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                          "1\r\na\r\n0\r\nX-Sum: up\r\nx-two: 2\r\n\r\n")
        app, head = self.accept_request()
        self.assertEqual(head.all("trailer"), ["X-Sum"])
        content, trailers = app.chunks()
        self.assertEqual((content, [t.lower() for t in trailers]), (b"a", ["x-sum: up", "x-two: 2"]))
        app.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                 "1\r\nb\r\n0\r\nX-Sum: down\r\n\r\n")
        self.assertEqual(client.head().all("trailer"), ["X-Sum"])
        content, trailers = client.chunks()
        self.assertEqual((content, [t.lower() for t in trailers]), (b"b", ["x-sum: down"]))

    def test_http1_requests_without_body_doesnt_add_transfer_encoding(self):
        self.start()
        for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"):
            client = self.ask("%s /a HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n" % method)
            app, head = self.accept_request()
            self.assertEqual(head.all("transfer-encoding"), [], method)
            self.assertEqual(head.all("content-length"), [], method)
            app.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            self.assertEqual(client.head().status, 204)
            app.close()

    def test_http1_content_length_zero_is_preserved(self):
        self.start()
        head, _, client = self.exchange("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n",
                                        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(head.all("content-length"), ["0"])
        self.assertEqual(head.all("transfer-encoding"), [])
        answer = client.head()
        self.assertEqual(answer.all("content-length"), ["0"])
        self.assertEqual(answer.all("transfer-encoding"), [])

    def test_http1_bodyless_responses(self):
        self.start()
        client = self.client()
        app = None
        for line, fields in (("204 No Content", {}), ("304 Not Modified", {"ETag": "x"}),
                             ("304 Not Modified", {"Content-Length": "42"})):
            self.get(client)
            app, _ = self.accept_request(app)
            app.send("HTTP/1.1 %s\r\n%s\r\n" % (line, "".join("%s: %s\r\n" % f for f in fields.items())))
            answer = client.head()
            self.assertEqual(answer.first, "HTTP/1.1 " + line)
            self.assertEqual(answer.all("transfer-encoding"), [])
            self.assertEqual({k.lower(): v for k, v in answer.fields}, {k.lower(): v for k, v in fields.items()})
        self.get(client)  # the connections are in step
        app.head()
        app.send(OK)
        self.assertEqual(client.head().status, 200)

    def test_http1_head_responses(self):
        self.start()
        client = self.client()
        app = None
        for fields in ({"Content-Length": "5555"}, {"Content-Length": "0"}, {"Transfer-Encoding": "chunked"}, {}):
            self.ask("HEAD / HTTP/1.1\r\nHost: shop\r\n\r\n", client)
            app, head = self.accept_request(app)
            self.assertEqual(head.first, "HEAD / HTTP/1.1")
            app.send("HTTP/1.1 200 OK\r\n%s\r\n" % "".join("%s: %s\r\n" % f for f in fields.items()))
            answer = client.head()
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.get("content-length"), fields.get("Content-Length"), fields)
        self.get(client)
        app.head()
        app.send(OK)
        self.assertEqual(client.head().all("content-length"), ["2"])
        self.assertEqual(client.exactly(2), b"hi")

    def test_http1_response_end_of_file(self):
        self.start()
        _, app, client = self.exchange("GET / HTTP/1.1\r\nHost: shop\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nall of it")
        app.close()
        head = client.head()
        self.assertEqual(head.all("content-length"), [])
        self.assertEqual(head.all("transfer-encoding"), ["chunked"])
        self.assertEqual(client.chunks(), (b"all of it", []))

    def test_http10_client_gets_an_unsized_answer_by_end_of_file(self):
        self.start()
        client = self.ask("GET / HTTP/1.0\r\n\r\n")
        app, _ = self.accept_request()
        app.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        head = client.head()
        self.assertEqual(head.all("transfer-encoding"), [])
        self.assertEqual(client.rest(), b"abc")

    def test_an_app_that_answers_early_still_gets_the_whole_upload(self):
        self.start()
        client = self.ask("POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\nhello")
        app, _ = self.accept_request()
        app.send(OK)
        self.assertEqual(client.head().status, 200)
        self.assertEqual(client.exactly(2), b"hi")
        client.send("world")
        self.assertEqual(app.exactly(10), b"helloworld")
        self.get(client)  # both connections are in step
        self.assertEqual(app.head().first, "GET / HTTP/1.1")
        app.send(OK)
        self.assertEqual(client.head().status, 200)

    def test_an_app_that_answers_early_and_closes_ends_the_upload(self):
        self.start()
        client = self.ask("POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 1000000\r\n\r\nhello")
        app, _ = self.accept_request()
        app.send("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
        self.assertEqual(client.head().status, 413)
        self.assertEqual(client.rest(), b"no")

    def test_an_answer_of_ours_in_the_middle_of_an_upload_says_that_it_is_the_last(self):
        """The client must not send another request, which would be lost, and which it could not repeat."""
        self.start()
        client = self.ask("POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\n")
        app, _ = self.accept_request()
        app.reset()
        head = client.head()
        self.assertEqual((head.status, head.all("connection")), (502, ["close"]))
        client.send("abc")
        self.assertEqual(len(client.rest()), int(head.get("content-length")))

    def test_an_answer_of_ours_after_the_upload_ends_no_connection(self):
        self.start()
        client = self.ask("POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\nabc")
        app, _ = self.accept_request()
        app.exactly(3)
        app.reset()
        head = client.head()
        self.assertEqual((head.status, head.all("connection")), (502, []))
        client.exactly(int(head.get("content-length")))
        self.get(client)
        self.accept_request()

    def test_an_answer_cut_short_is_never_taken_for_a_whole_one(self):
        self.start()
        _, app, client = self.exchange("GET / HTTP/1.1\r\nHost: shop\r\n\r\n",
                                       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        self.assertEqual(client.head().status, 200)
        self.assertEqual(client.until(b"abc\r\n"), b"3\r\nabc\r\n")
        app.close()
        self.assertTrue(client.closed())  # no last chunk

    # --- informational answers ---

    def test_expect_100_continue_is_asked_of_the_app(self):
        self.start()
        client = self.ask("POST /a HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        app, head = self.accept_request()
        self.assertEqual(head.all("expect"), ["100-continue"])
        self.assertTrue(client.silent())  # only the app may say so
        app.send("HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(client.head().text, "HTTP/1.1 100 Continue\r\n\r\n")
        client.send("hello")
        self.assertEqual(app.exactly(5), b"hello")
        app.send(OK)
        self.assertEqual(client.head().first, "HTTP/1.1 200 OK")
        self.assertEqual(client.exactly(2), b"hi")

    def test_expect_that_the_app_refuses(self):
        self.start()
        client = self.ask("POST /a HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        app, _ = self.accept_request()
        app.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(client.head().first, "HTTP/1.1 417 Expectation Failed")

    def test_early_hints_come_before_the_answer(self):
        self.start()
        client = self.get()
        app, _ = self.accept_request()
        app.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
        hint = client.head()
        self.assertEqual(hint.first, "HTTP/1.1 103 Early Hints")
        self.assertEqual(hint.all("link"), ["</a.css>; rel=preload"])
        self.assertEqual(hint.all("content-length") + hint.all("transfer-encoding"), [])
        app.send(OK)
        self.assertEqual(client.head().status, 200)

    def test_an_http10_client_gets_no_informational_answer(self):
        self.start()
        _, _, client = self.exchange("GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + OK)
        self.assertEqual(client.head().status, 200)

    # --- connections ---

    def test_http1_one_connection_per_host(self):
        self.start()
        app = None
        for i in range(5):  # one after the other, from different clients and to different hosts
            client = self.ask("GET /%d HTTP/1.1\r\nHost: shop%d\r\n\r\n" % (i, i % 2))
            app, head = self.accept_request(app)
            self.assertEqual(head.first, "GET /%d HTTP/1.1" % i)
            app.send(OK)
            self.assertEqual(client.head().status, 200)
            client.exactly(2)
            client.close()
        self.assertTrue(self.app.no_connection(0.01))

    def test_a_client_connection_is_kept_alive(self):
        self.start()
        client, app = self.client(), None
        for i in range(20):
            self.get(client, "/%d" % i)
            app, head = self.accept_request(app)
            self.assertEqual(head.first, "GET /%d HTTP/1.1" % i)
            app.send(OK)
            answer = client.head()
            self.assertEqual(answer.all("connection"), [])
            self.assertEqual(client.exactly(2), b"hi")

    def test_pipelined_requests_are_answered_in_order(self):
        self.start()
        client = self.ask("".join("POST /%d HTTP/1.1\r\nHost: shop\r\nContent-Length: 1\r\n\r\n%d" % (i, i)
                                  for i in range(5)) + "GET /last HTTP/1.1\r\nHost: shop\r\n\r\n")
        app = None
        for i in range(5):
            app, head = self.accept_request(app)
            self.assertEqual(head.first, "POST /%d HTTP/1.1" % i)
            self.assertEqual(app.exactly(1), b"%d" % i)
            app.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % i)
        self.assertEqual(app.head().first, "GET /last HTTP/1.1")
        app.send(OK)
        for i in range(5):
            client.head()
            self.assertEqual(client.exactly(1), b"%d" % i)
        client.head()
        self.assertEqual(client.exactly(2), b"hi")

    def test_a_client_that_half_closes_after_its_request_is_answered(self):
        self.start()
        client = self.get()
        client.half_close()
        app, _ = self.accept_request()
        app.send(OK)
        self.assertEqual(client.head().status, 200)
        self.assertEqual(client.rest(), b"hi")

    def test_what_was_pipelined_before_a_half_close_is_answered_too(self):
        self.start()
        client = self.ask("GET /1 HTTP/1.1\r\nHost: shop\r\n\r\nPOST /2 HTTP/1.1\r\nHost: shop\r\n"
                          "Content-Length: 2\r\n\r\nabGET /3 HTTP/1.1\r\nHost: shop\r\n\r\n")
        client.half_close()
        app = None
        for number in (1, 2, 3):
            app, head = self.accept_request(app)
            self.assertIn("/%d " % number, head.first)
            if number == 2:
                self.assertEqual(app.exactly(2), b"ab")
            app.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
        for number in (1, 2, 3):
            answer = client.head()
            self.assertEqual(answer.all("connection"), ["close"] if number == 3 else [])
            self.assertEqual(client.exactly(1), b"%d" % number)
        self.assertEqual(client.rest(), b"")

    def test_half_a_request_before_a_half_close_ends_after_the_whole_ones(self):
        self.start()
        client = self.ask("GET /1 HTTP/1.1\r\nHost: shop\r\n\r\nGET /2 HTTP/1.1\r\nHos")
        client.half_close()
        app, _ = self.accept_request()
        app.send(OK)
        self.assertEqual(client.head().status, 200)
        self.assertEqual(client.rest(), b"hi")
        self.assertTrue(app.silent())

    def test_a_head_that_comes_byte_by_byte_is_one_head(self):
        self.start()
        client = self.client()
        for byte in "GET /slow HTTP/1.1\r\nHost: shop\r\nX-A: 1\r\n\r\n":
            client.send(byte)
        app, head = self.accept_request()
        self.assertEqual(head.first, "GET /slow HTTP/1.1")
        for byte in OK:
            app.send(byte)
        self.assertEqual(client.head().status, 200)
        self.assertEqual(client.exactly(2), b"hi")

    def test_connection_close_of_the_app_is_not_the_clients(self):
        self.start()
        _, app, client = self.exchange("GET / HTTP/1.1\r\nHost: shop\r\n\r\n",
                                       "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
        app.close()
        self.assertEqual(client.head().all("connection"), [])
        self.assertEqual(client.exactly(2), b"hi")
        self.get(client)
        app, _ = self.accept_request()
        app.send(OK)
        self.assertEqual(client.head().status, 200)

    def test_http1_orig_proto_does_not_propagate_rst_stream(self):
        self.start()
        client = self.get()
        app, _ = self.accept_request()
        app.reset()
        answer = client.head()
        self.assertEqual(answer.first, "HTTP/1.1 502 Bad Gateway")
        client.exactly(int(answer.get("content-length")))
        self.get(client)  # the client's connection goes on
        app, _ = self.accept_request()
        app.send(OK)
        self.assertEqual(client.head().status, 200)

    def test_a_client_that_leaves_ends_its_request_at_the_app(self):
        self.start()
        client = self.get()
        app, _ = self.accept_request()
        client.reset()
        self.assertTrue(app.closed())

    # --- sizes ---

    def test_heads_of_30_kib_pass_both_ways(self):
        self.start()
        big = "".join("X-%02d: %s\r\n" % (i, "v" * 1000) for i in range(30))
        head, _, client = self.exchange("GET / HTTP/1.1\r\nHost: shop\r\n%s\r\n" % big,
                                        "HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\nhi" % big)
        self.assertEqual(head.text.count("v" * 1000), 30)
        self.assertEqual(client.head().text.count("v" * 1000), 30)

    def test_one_field_of_30_kib_passes_both_ways(self):
        self.start()
        head, _, client = self.exchange("GET / HTTP/1.1\r\nHost: shop\r\nX-Big: %s\r\n\r\n" % ("v" * 30720),
                                        "HTTP/1.1 200 OK\r\nX-Big: %s\r\nContent-Length: 2\r\n\r\nhi" % ("w" * 30720))
        self.assertEqual(head.get("x-big"), "v" * 30720)
        self.assertEqual(client.head().get("x-big"), "w" * 30720)

    def test_heads_over_60_kib_are_refused_and_the_neighbours_live(self):
        self.start()
        neighbour = self.get(path="/neighbour")
        app, _ = self.accept_request()
        client = self.ask("GET / HTTP/1.1\r\nHost: shop\r\n%s\r\n" %
                          "".join("X-%02d: %s\r\n" % (i, "v" * 1000) for i in range(62)))
        self.assertEqual(client.head().status, 431)
        client.rest()
        app.send(OK)
        self.assertEqual(neighbour.head().status, 200)

    def test_an_answer_head_over_60_kib_is_a_bad_gateway_and_the_neighbours_live(self):
        self.start()
        neighbour = self.get(path="/neighbour")
        app, _ = self.accept_request()
        _, _, client = self.exchange("GET / HTTP/1.1\r\nHost: shop\r\n\r\n",
                                     "HTTP/1.1 200 OK\r\n%s\r\n" %
                                     "".join("X-%02d: %s\r\n" % (i, "v" * 1000) for i in range(62)))
        self.assertEqual(client.head().status, 502)
        app.send(OK)
        self.assertEqual(neighbour.head().status, 200)

    def test_heads_close_to_the_limit_pass_or_are_refused_and_never_hang(self):
        self.start()
        for fields in (57, 58, 59, 60):
            client = self.ask("GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n%s\r\n" %
                              "".join("X-%02d: %s\r\n" % (i, "v" * 1000) for i in range(fields)))
            if not self.app.no_connection(0.03):
                app = self.app.connections[-1]
                app.head()
                app.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                self.assertEqual(client.head().status, 200)
            else:
                self.assertEqual(client.head().status, 431)

    def test_8_mib_each_way_at_once(self):
        self.start()
        size = 8 << 20
        up, down = bytes(range(256)) * (size // 256), bytes(reversed(range(256))) * (size // 256)
        client = self.client()
        sender = threading.Thread(target=client.send, args=(
            b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n" % size + up,))
        sender.start()
        app, _ = self.accept_request()
        answer = threading.Thread(target=app.send, args=(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + down,))
        answer.start()
        received = {}

        def read_at_app():
            received["up"] = read_all(app, size)

        reader = threading.Thread(target=read_at_app)
        reader.start()
        self.assertEqual(client.head().status, 200)
        self.assertEqual(mesh.digest(read_all(client, size)), mesh.digest(down))
        for thread in (sender, answer, reader):
            thread.join()
        self.assertEqual(mesh.digest(received["up"]), mesh.digest(up))


def read_all(conversation, size):
    parts, left = [conversation.buffer], size - len(conversation.buffer)
    conversation.buffer = b""
    while left > 0:
        parts.append(conversation.sock.recv(min(left, 1 << 20)))
        if not parts[-1]:
            raise AssertionError("the connection ended %d bytes early" % left)
        left -= len(parts[-1])
    return b"".join(parts)


class TransparencyAtTwo(mesh.AtTwo, Transparency):
    pass


if __name__ == "__main__":
    unittest.main()
