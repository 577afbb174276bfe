"""What a route makes of the messages that take it: rewrites, redirects, edited fields; to the app, and through two sidecars."""

import json
import os
import tempfile
import unittest

import mesh
from http2_frames import END_HEADERS, END_STREAM, HEADERS, Peer, block, frame, get
from mesh import OK

BUSY = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"


def add(key, value, action="APPEND_IF_EXISTS_OR_ADD", **more):
    return {"header": {"key": key, "value": value}, "append_action": action, **more}


CORS = ("cors", mesh.typed("envoy.extensions.filters.http.cors.v3.Cors"))
POLICY = mesh.typed("envoy.extensions.filters.http.cors.v3.CorsPolicy",
                    allow_origin_string_match=[{"exact": "https://app.example"}], allow_methods="GET")
PREFLIGHT = ("OPTIONS / HTTP/1.1\r\nHost: shop\r\nOrigin: https://app.example\r\n"
             "Access-Control-Request-Method: GET\r\n\r\n")


class Actions(mesh.MeshTest):
    def begin(self, action=None, match=None, table=None, host=None, hcm=None, filters=(), **route):
        """One route; `action`: fields of its RouteAction, `route`: of itself, unless it answers, `host` and `table`: of the
        levels above."""
        answers = "redirect" in route or "direct_response" in route
        target = "app" if self.sidecars == 1 else "next"
        if not answers:
            route["route"] = {"timeout": "0s", **(action or {})}
            if "weighted_clusters" not in route["route"]:
                route["route"]["cluster"] = target
        hosts = [{"name": "all", "domains": ["*"], **(host or {}), "routes": [{"match": match or {"prefix": "/"}, **route}]}]
        self.start(out={"filters": filters, "hcm": {"route_config": {"name": "t", **(table or {}), "virtual_hosts": hosts}, **(hcm or {})}})

    def at_app(self, path="/", fields="", answer=OK, client=None):
        """(the head at the app, the head at the client)"""
        client = self.get(client, path, fields)
        app, head = self.accept_request()
        app.send(answer.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
        app.close()
        return head, client.head()

    def location(self, path="/", host="shop", **redirect):
        if not self.made:
            self.begin(redirect=redirect)
        client = self.ask("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (path, host))
        head = client.head()
        self.assertEqual(head.get("content-length"), "0")
        self.assertEqual(head.get("content-type"), None)
        return head.status, head.get("location")


class Rewrites(Actions):
    def test_a_prefix(self):
        self.begin({"prefix_rewrite": "/new"}, {"prefix": "/old"})
        head, _ = self.at_app("/old/a?b=/old")
        self.assertEqual(head.first, "GET /new/a?b=/old HTTP/1.1")
        self.assertEqual(head.all("x-envoy-original-path"), ["/old/a?b=/old"])

    def test_what_a_client_says_of_the_original_path_is_not_believed(self):
        self.begin({"prefix_rewrite": "/new"}, {"prefix": "/old"})
        head, _ = self.at_app("/old", "X-Envoy-Original-Path: /forged\r\n")
        self.assertEqual(head.all("x-envoy-original-path"), ["/old"])

    def test_a_regular_expression(self):
        self.begin({"regex_rewrite": {"pattern": {"regex": "/v(\\d+)/"}, "substitution": "/version/\\1/"}})
        self.assertEqual(self.at_app("/v12/a/v3/?/v4/")[0].first, "GET /version/12/a/version/3/?/v4/ HTTP/1.1")

    def test_a_template(self):
        matches = mesh.typed("envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
                             path_template="/users/{user}/{rest=**}")
        becomes = mesh.typed("envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig",
                             path_template_rewrite="/{rest}/of/{user}")
        self.begin({"path_rewrite_policy": {"name": "t", "typed_config": becomes}},
                   {"path_match_policy": {"name": "t", "typed_config": matches}})
        self.assertEqual(self.at_app("/users/7/a/b?q")[0].first, "GET /a/b/of/7?q HTTP/1.1")

    def test_a_path_that_would_be_none_stays(self):
        self.begin({"regex_rewrite": {"pattern": {"regex": "^.*$"}, "substitution": "nowhere"}})
        head, _ = self.at_app("/a")
        self.assertEqual(head.first, "GET /nowhere HTTP/1.1")

    def test_an_absolute_form_target(self):
        self.begin({"prefix_rewrite": "/new", "host_rewrite_literal": "elsewhere:81"}, {"prefix": "/old"})
        self.ask("GET http://shop/old/a HTTP/1.1\r\nHost: shop\r\n\r\n")
        _, head = self.accept_request()
        self.assertEqual(head.first, "GET http://elsewhere:81/new/a HTTP/1.1")
        self.assertEqual(head.all("host"), ["elsewhere:81"])

    def test_no_dot_segments_come_of_it(self):
        self.begin({"prefix_rewrite": "/public/"}, {"prefix": "/api"})
        for path in ("/api../admin", "/api%2e%2e/admin", "/api./x", "/api.."):
            self.assertEqual(self.get(path=path).head().status, 400, path)
        self.assertEqual(self.at_app("/api..x")[0].first, "GET /public/..x HTTP/1.1")

    def test_an_asterisk_is_no_path(self):
        self.begin({"prefix_rewrite": "/new"}, {"prefix": ""})
        self.ask("OPTIONS * HTTP/1.1\r\nHost: shop\r\n\r\n")
        _, head = self.accept_request()
        self.assertEqual(head.first, "OPTIONS * HTTP/1.1")
        self.assertEqual(head.all("x-envoy-original-path"), [])

    def test_a_host(self):
        self.begin({"host_rewrite_literal": "elsewhere", "append_x_forwarded_host": True})
        head, _ = self.at_app()
        self.assertEqual((head.all("host"), head.all("x-forwarded-host")), (["elsewhere"], ["shop"]))

    def test_a_request_without_a_host_gets_one(self):
        self.begin({"host_rewrite_literal": "elsewhere"})
        self.ask("GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(self.accept_request()[1].all("host"), ["elsewhere"])

    def test_a_host_of_a_field(self):
        self.begin({"host_rewrite_header": "X-Want"})
        self.assertEqual(self.at_app(fields="X-Want: wanted:82\r\n")[0].all("host"), ["wanted:82"])
        self.assertEqual(self.at_app()[0].all("host"), ["shop"])
        self.assertEqual(self.at_app(fields="X-Want: no/host\r\n")[0].all("host"), ["shop"])

    def test_a_host_of_the_path(self):
        self.begin({"host_rewrite_path_regex": {"pattern": {"regex": "^/([^/]*)/.*$"}, "substitution": "\\1.svc"}})
        self.assertEqual(self.at_app("/carts/1?a=/b/c")[0].all("host"), ["carts.svc"])

    def test_every_attempt_asks_for_the_same(self):
        self.begin({"prefix_rewrite": "/new/old", "retry_policy": {"retry_on": "5xx", "num_retries": 1}},
                   {"prefix": "/old"}, request_headers_to_add=[add("x-a", "1")])
        client = self.get(path="/old/a")
        app, first = self.accept_request()
        app.send(BUSY)
        app, second = self.accept_request(app)
        app.send(OK)
        self.assertEqual(client.head().status, 200)
        self.assertEqual(first.first, "GET /new/old/a HTTP/1.1")
        self.assertEqual(second.first, first.first)
        for head in (first, second):
            self.assertEqual((head.all("x-a"), head.all("x-envoy-original-path")), (["1"], ["/old/a"]))

    def test_the_log_tells_what_the_client_asked_for(self):
        log = os.path.join(tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR")), "log")
        access_log = [{"name": "envoy.access_loggers.file", "typed_config": mesh.typed(
            "envoy.extensions.access_loggers.file.v3.FileAccessLog", path=log)}]
        self.begin({"prefix_rewrite": "/new"}, {"prefix": ""}, hcm={"access_log": access_log})
        self.at_app("/old/a?b")
        self.ask("OPTIONS * HTTP/1.1\r\nHost: shop\r\nX-Envoy-Original-Path: /forged\r\n\r\n")
        self.accept_request()[0].send(OK)

        def lines():
            if not os.path.exists(log):
                return []
            with open(log) as file:
                return [json.loads(line) for line in file]
        mesh.wait_until(lambda: len(lines()) == 2, "the log's lines")
        self.assertEqual([line["path"] for line in lines()], ["/old/a?b", "*"])


class RewritesAtTwo(mesh.AtTwo, Rewrites):
    pass


class AtOne(Actions):
    def test_the_host(self):
        self.assertEqual(self.location("/a?b", host_redirect="other:8080"), (301, "http://other:8080/a?b"))
        self.assertTrue(self.app.no_connection())

    def test_the_scheme_and_its_port(self):
        self.assertEqual(self.location(https_redirect=True), (301, "https://shop/"))
        self.assertEqual(self.location(host="shop:80"), (301, "https://shop/"))
        self.assertEqual(self.location(host="shop:81"), (301, "https://shop:81/"))

    def test_the_port_and_the_status(self):
        self.assertEqual(self.location("/a", "shop:80", port_redirect=81, response_code="TEMPORARY_REDIRECT"),
                         (307, "http://shop:81/a"))

    def test_the_path(self):
        self.assertEqual(self.location("/a?b", path_redirect="/c", strip_query=True), (301, "http://shop/c"))

    def test_the_prefix(self):
        self.begin(match={"path_separated_prefix": "/old"}, redirect={"prefix_rewrite": "/new"})
        self.assertEqual(self.location("/old/a?b"), (301, "http://shop/new/a?b"))

    def test_a_post_is_redirected_and_its_connection_goes_on(self):
        self.begin(redirect={"host_redirect": "other", "response_code": "PERMANENT_REDIRECT"})
        client = self.client()
        for _ in range(2):
            self.ask("POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\nabc", client)
            self.assertEqual(client.head().get("location"), "http://other/a")

    def test_a_connects_target_is_no_host(self):
        self.begin({"host_rewrite_literal": "elsewhere", "upgrade_configs": [{"upgrade_type": "CONNECT"}]},
                   {"connect_matcher": {}})
        self.ask("CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n")
        self.assertEqual(self.accept_request()[1].first, "CONNECT db:5432 HTTP/1.1")

    def test_an_answer_of_a_filters_is_not_the_routes(self):
        self.begin(redirect={"host_redirect": "other"}, response_headers_to_add=[add("x-r", "1")], filters=(CORS,),
                   host={"typed_per_filter_config": {"cors": POLICY}})
        head = self.ask(PREFLIGHT).head()
        self.assertEqual((head.status, head.all("x-r"), head.get("access-control-allow-origin")),
                         (200, [], "https://app.example"))
        head = self.get().head()
        self.assertEqual((head.status, head.all("x-r")), (301, ["1"]))

    def test_without_the_cluster_the_answer_is_what_the_route_says(self):
        self.begin({"weighted_clusters": {"clusters": [{"name": "gone", "weight": 1}]},
                    "cluster_not_found_response_code": "INTERNAL_SERVER_ERROR"}, table={"validate_clusters": False})
        client = self.get()
        self.assertEqual(client.head().status, 500)
        self.assertEqual(client.exactly(len("unknown cluster\n")), b"unknown cluster\n")
        self.get(client, fields="Content-Type: application/grpc\r\n")
        head = client.head()
        self.assertEqual((head.status, head.get("grpc-status")), (200, "14"))

    def test_on_http2(self):
        self.begin(redirect={"host_redirect": "other"})
        peer = Peer(self.client())
        peer.send(frame(HEADERS, END_STREAM | END_HEADERS, peer.next_stream, block(get("/a"))))
        fields = dict(peer.fields(peer.until(lambda f: f.kind == HEADERS)))
        self.assertEqual((fields[":status"], fields["location"]), ("301", "http://other/a"))


class Fields(Actions):
    def test_requests_and_responses(self):
        self.begin(request_headers_to_remove=["X-Gone"],
                   request_headers_to_add=[add("x-a", "new"), add("x-b", "new", "ADD_IF_ABSENT"),
                                           add("X-C", "new", "OVERWRITE_IF_EXISTS_OR_ADD"),
                                           add("x-d", "new", "OVERWRITE_IF_EXISTS"), add("x-e", ""),
                                           add("x-f", "", keep_empty_value=True)],
                   response_headers_to_remove=["server"],
                   response_headers_to_add=[add("x-r", "%RESP(X-Q)% for %REQ(:path)%")])
        head, answer = self.at_app("/p", "X-Gone: 1\r\nX-A: old\r\nX-B: old\r\nX-C: old\r\nX-C: older\r\nx-gone: 2\r\n",
                                   OK.replace("\r\n", "\r\nServer: app\r\nX-Q: q\r\n", 1))
        seen = {name: head.all(name) for name in ("x-gone", "x-a", "x-b", "x-c", "x-d", "x-e", "x-f")}
        self.assertEqual(seen, {"x-gone": [], "x-a": ["old", "new"], "x-b": ["old"], "x-c": ["new"], "x-d": [], "x-e": [],
                                "x-f": [""]})
        self.assertEqual((answer.all("server"), answer.all("x-r")), ([], ["q for /p"]))

    def test_values_of_the_request(self):
        target = "app" if self.sidecars == 1 else "next"
        self.begin(name="the-route", request_headers_to_add=[
            add("x-v", "%REQ(:authority)% %PROTOCOL% %ROUTE_NAME% %UPSTREAM_CLUSTER% %REQ(none?X-Long):3% 100%%"),
            add("x-ip", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"), add("x-peer", "%DOWNSTREAM_REMOTE_ADDRESS%")])
        head, _ = self.at_app(fields="X-Long: abcdef\r\n")
        self.assertEqual(head.get("x-v"), "shop HTTP/1.1 the-route %s abc 100%%" % target)
        name = self.clients[-1].sock.getsockname()
        self.assertEqual((head.get("x-ip"), head.get("x-peer")), (name[0], "%s:%d" % name))

    def test_a_value_has_no_blanks_at_its_ends(self):
        self.begin(request_headers_to_add=[add("x-v", " %REQ(x-a)% %REQ(x-b)% ")],
                   response_headers_to_add=[add("x-r", "q ")])
        head, answer = self.at_app(fields="X-A: a\r\n")
        self.assertEqual((head.all("x-v"), answer.all("x-r")), (["a"], ["q"]))

    def test_fields_tell_of_the_target_as_it_was(self):
        self.begin({"prefix_rewrite": "/new", "host_rewrite_literal": "elsewhere"},
                   request_headers_to_add=[add("x-was", "%REQ(:authority)%%REQ(:path)%")])
        self.assertEqual(self.at_app("/a")[0].get("x-was"), "shop/a")

    def levels(self, **table):
        target = "app" if self.sidecars == 1 else "next"
        set_to = lambda value: [add("x-level", value, "OVERWRITE_IF_EXISTS_OR_ADD"), add("x-all", value)]
        self.begin({"weighted_clusters": {"clusters": [{"name": target, "weight": 1,
                                                        "request_headers_to_add": set_to("cluster")}]}},
                   table={"request_headers_to_add": set_to("table"), **table}, host={"request_headers_to_add": set_to("host")},
                   request_headers_to_add=set_to("route"))
        head, _ = self.at_app()
        return head.all("x-level"), head.all("x-all")

    def test_the_most_general_level_has_the_last_word(self):
        self.assertEqual(self.levels(), (["table"], ["cluster", "route", "host", "table"]))

    def test_or_the_most_special_one(self):
        self.assertEqual(self.levels(most_specific_header_mutations_wins=True),
                         (["cluster"], ["table", "host", "route", "cluster"]))

    def test_answers_of_the_route_are_edited_and_errors_are_not(self):
        self.begin(direct_response={"status": 200, "body": {"inline_string": "ours"}},
                   response_headers_to_add=[add("x-r", "%ROUTE_NAME%")], name="n")
        self.assertEqual(self.get().head().all("x-r"), ["n"])

    def test_errors_are_not_edited(self):
        self.app.sock.close()
        self.begin(response_headers_to_add=[add("x-r", "1")])
        head = self.get().head()
        self.assertEqual((head.status, head.all("x-r")), (503, [] if self.sidecars == 1 else ["1"]))


class FieldsAtTwo(mesh.AtTwo, Fields):
    pass


if __name__ == "__main__":
    unittest.main()
