"""JSON over plain HTTP to a real gRPC server, by the google.api.http options of protos/pillion/testing/v1."""

import base64
import json
import os
import subprocess
import tempfile
import threading
import unittest

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

import grpc_service
import mesh

_FILTER = "envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder"
_LIBRARY = "pillion.testing.v1.Library"


def descriptor_set():
    """(file name, messages by name)"""
    root = os.path.join(os.environ.get("TEST_SRCDIR", ""), os.environ.get("TEST_WORKSPACE", ""), "protos")
    if not os.path.isdir(root):
        root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../protos")
    path = os.path.join(tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR")), "library.pb")
    subprocess.run(["/usr/bin/protoc", "-I" + root, "--include_imports", "--descriptor_set_out=" + path,
                    os.path.join(root, "pillion/testing/v1/library.proto")], check=True)
    pool = descriptor_pool.DescriptorPool()
    with open(path, "rb") as file:
        files = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    for one in files.file:
        pool.Add(one)
    factory = message_factory.MessageFactory(pool)
    return path, lambda name: factory.GetPrototype(pool.FindMessageTypeByName("pillion.testing.v1." + name))


class Library:
    """Answers what it was asked."""

    def __init__(self, message):
        self.book, self.request, self.echo = message("Book"), message("BookRequest"), message("Echo")
        self.go_on = threading.Event()
        self.cancelled = threading.Event()
        self.calls = 0
        unary = ["Get", "Create", "Replace", "Delete", "Publish", "File", "Lock", "Plain"]
        handlers = {name: self.method(grpc.unary_unary_rpc_method_handler, self.asked(name)) for name in unary}
        handlers["Update"] = self.method(grpc.unary_unary_rpc_method_handler, lambda r, c: r.book)
        handlers["Tags"] = self.method(grpc.unary_unary_rpc_method_handler, self.fail)
        handlers["List"] = self.method(grpc.unary_stream_rpc_method_handler, self.list)
        handlers["Upload"] = self.method(grpc.stream_unary_rpc_method_handler, self.upload)
        handlers["Chat"] = self.method(grpc.stream_stream_rpc_method_handler, self.chat)
        self.server, self.address = grpc_service.serve(handlers, service=_LIBRARY)

    def method(self, make, function):
        return make(function, request_deserializer=self.request.FromString,
                    response_serializer=lambda m: m.SerializeToString())

    def asked(self, name):
        def answer(request, context):
            self.calls += 1
            return self.echo(request=request, method=name)
        return answer

    def fail(self, request, context):
        detail = any_pb2.Any()
        detail.Pack(self.book(title="the reason"))
        status = b"\x08\x09\x12\x04told\x1a" + bytes([len(detail.SerializeToString())]) + detail.SerializeToString()
        context.set_trailing_metadata((("grpc-status-details-bin", status),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "told")

    def list(self, request, context):
        if request.page == 9:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you")
        context.add_callback(self.cancelled.set)
        yield self.book(title="first")
        self.go_on.wait(mesh.WAIT)
        yield self.book(title="second")
        if request.page == 8:
            context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    def upload(self, requests, context):
        pages = [request.page for request in requests]
        return self.echo(method="Upload %s" % pages)

    def chat(self, requests, context):
        for request in requests:
            yield self.book(pages=request.page)


class Json(mesh.MeshTest):
    options = {"convert_grpc_status": True}

    def setUp(self):
        super().setUp()
        path, message = descriptor_set()
        self.library = Library(message)
        self.addCleanup(lambda: self.library.server.stop(0).wait())
        self.addCleanup(self.library.go_on.set)  # who was left by his client goes home
        self.config = config = mesh.typed(_FILTER, services=[_LIBRARY], proto_descriptor=path, **self.options)
        # Only the methods' own paths have a route: a request is matched again as what it has become.
        routes = [{"match": {"prefix": "/%s/" % _LIBRARY}, "route": {"cluster": "app", "timeout": "0s"}}]
        self.start(addresses=[self.library.address], http2_app=True,
                   out={"filters": (("json", config),), "routes": routes})

    def ask_json(self, method, path, body="", fields=""):
        client = self.ask("%s %s HTTP/1.1\r\nHost: shop\r\n%s%s\r\n%s" % (
            method, path, fields, "Content-Length: %d\r\n" % len(body) if body else "", body))
        head = client.head()
        content = client.chunks()[0] if head.get("transfer-encoding") else \
            client.exactly(int(head.get("content-length")))
        return head, content

    def test_unary_calls(self):
        cases = [
            ("GET", "/v1/shelves/1/books/2?page=3&copies=1&copies=2", "", "Get",
             {"name": "shelves/1/books/2", "page": 3, "copies": [1, 2]}),
            ("GET", "/v1/books/7?book.title=a%20b&book.author.name=N", "", "Get",
             {"id": "7", "book": {"title": "a b", "author": {"name": "N"}}}),
            ("POST", "/v1/shelves/1/books", '{"title": "T", "pages": "12"}', "Create",
             {"name": "shelves/1", "book": {"title": "T", "pages": "12"}}),
            ("PUT", "/v1/books/7/tags", '["a","b"]', "Replace", {"id": "7", "tags": ["a", "b"]}),
            ("DELETE", "/v1/books/7", "", "Delete", {"id": "7"}),
            ("POST", "/v1/shelves/1:publish", '{"id":"9"}', "Publish", {"name": "shelves/1", "id": "9"}),
            ("GET", "/v1/files/a/b/c", "", "File", {"path": "a/b/c"}),
            ("LOCK", "/v1/books/7", "", "Lock", {"id": "7"}),
        ]
        for method, path, body, called, request in cases:
            head, content = self.ask_json(method, path, body)
            self.assertEqual((head.status, head.get("content-type")), (200, "application/json"), (path, content))
            self.assertEqual(json.loads(content), {"method": called, "request": request})
        head, content = self.ask_json("PATCH", "/v1/books/7", '{"title":"only"}')
        self.assertEqual((head.status, content), (200, b'"only"'))

    def test_a_connection_serves_one_after_the_other(self):
        client = self.client()
        for i in range(3):
            client.send("GET /v1/books/%d HTTP/1.1\r\nHost: shop\r\n\r\n" % i)
            head = client.head()
            self.assertIn(b'"id":"%d"' % i, client.exactly(int(head.get("content-length"))))

    def test_bad_requests_never_reach_the_server(self):
        for method, path, body in (("GET", "/v1/books/7?page=x", ""), ("POST", "/v1/shelves/1/books", "{oops"),
                                   ("PUT", "/v1/books/7/tags", '["a"], "name": "b"')):
            head, content = self.ask_json(method, path, body)
            self.assertEqual((head.status, json.loads(content)["code"]), (400, 3), content)
        self.assertEqual(self.library.calls, 0)

    def test_a_body_beyond_the_limit_is_413(self):
        head, content = self.ask_json("POST", "/v1/shelves/1/books", '{"title":"%s"}' % ("x" * 1500000))
        self.assertEqual((head.status, json.loads(content)["code"]), (413, 8))

    def test_what_fits_no_method_finds_no_route(self):
        client = self.get(path="/v1/nowhere")
        self.assertEqual(client.head().status, 404)

    def test_an_error_has_its_status_and_details(self):
        head, content = self.ask_json("GET", "/v1/books/7/tags")
        self.assertEqual((head.status, head.get("grpc-status")), (400, "9"))
        self.assertEqual(json.loads(content), {"code": 9, "message": "told", "details": [
            {"@type": "type.googleapis.com/pillion.testing.v1.Book", "title": "the reason"}]})
        head, content = self.ask_json("GET", "/v1/books?page=9")
        self.assertEqual((head.status, json.loads(content)), (403, {"code": 7, "message": "not you"}))

    def test_a_stream_is_an_array(self):
        self.library.go_on.set()
        head, content = self.ask_json("GET", "/v1/books")
        self.assertEqual((head.status, head.get("content-type")), (200, "application/json"))
        self.assertEqual(json.loads(content), [{"title": "first"}, {"title": "second"}])

    def test_events_leave_as_they_come(self):
        client = self.get(path="/v1/books?page=8", fields="Accept: text/event-stream\r\n")
        head = client.head()
        self.assertEqual((head.status, head.get("content-type")), (200, "text/event-stream"))
        first = client.exactly(int(client.until(b"\r\n"), 16))
        self.assertEqual(first, b'data: {"title":"first"}\n\n')
        client.exactly(2)
        self.library.go_on.set()
        rest, _ = client.chunks()
        self.assertEqual(rest, b'data: {"title":"second"}\n\nevent: error\ndata: {"code":14,"message":"gone"}\n\n')

    def test_lines_by_accept(self):
        self.library.go_on.set()
        head, content = self.ask_json("GET", "/v1/books", fields="Accept: application/x-ndjson\r\n")
        self.assertEqual(head.get("content-type"), "application/x-ndjson")
        self.assertEqual(content, b'{"title":"first"}\n{"title":"second"}\n')

    def test_a_client_that_leaves_a_stream_cancels_it(self):
        client = self.get(path="/v1/books", fields="Accept: text/event-stream\r\n")
        client.head()
        client.reset()
        self.assertTrue(self.library.cancelled.wait(mesh.WAIT))

    def test_a_client_streams_an_array_or_lines(self):
        for body in ('[{"page":1},{"page":2}]', '{"page":1}\n{"page":2}\n'):
            head, content = self.ask_json("POST", "/v1/upload/9", body)
            self.assertEqual((head.status, json.loads(content)), (200, {"method": "Upload [1, 2]"}), content)

    def test_many_small_messages_are_the_work_of_many_turns(self):
        """Others are served between them, and none is lost."""
        count = 20_000
        self.port = mesh.free_port()
        one = mesh.Sidecar([mesh.listener("outbound", self.port, "app", filters=(("json", self.config),))],
                           [mesh.cluster("app", [self.library.address], http2=True)], admin=True)
        self.made.append(one)
        before = one.metrics()["pillion_turns_total"]
        head, content = self.ask_json("POST", "/v1/upload/9", "[" + ",".join(["{}"] * count) + "]")
        self.assertEqual((head.status, json.loads(content)), (200, {"method": "Upload %s" % ([0] * count)}))
        self.assertGreaterEqual(one.metrics()["pillion_turns_total"] - before, count // 64)

    def test_both_stream_message_by_message(self):
        client = self.ask("POST /v1/chat HTTP/1.1\r\nHost: shop\r\nAccept: application/x-ndjson\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n")
        client.send("b\r\n{\"page\":1}\n\r\n")
        client.head()
        size = int(client.until(b"\r\n"), 16)
        self.assertEqual(client.exactly(size), b'{"pages":"1"}\n')
        client.exactly(2)
        client.send("b\r\n{\"page\":2}\n\r\n0\r\n\r\n")
        self.assertEqual(client.chunks()[0], b'{"pages":"2"}\n')

    def test_grpc_passes_beside_it(self):
        with grpc.insecure_channel("%s:%d" % (mesh.HOST, self.port)) as channel:
            answer = channel.unary_unary("/%s/Get" % _LIBRARY, response_deserializer=self.library.echo.FromString,
                                         request_serializer=lambda m: m.SerializeToString())(
                self.library.request(id="7"), timeout=mesh.WAIT)
        self.assertEqual(answer.request.id, "7")

    def test_a_server_that_is_gone_is_told_in_json(self):
        self.library.server.stop(0).wait()
        head, content = self.ask_json("GET", "/v1/books/7")
        self.assertEqual((head.status, json.loads(content)["code"]), (503, 14))


class JsonByRoute(mesh.MeshTest):
    """The filter is off at the listener, and on where a route gives it options."""

    def test_options_of_a_route(self):
        path, message = descriptor_set()
        library = Library(message)
        self.addCleanup(lambda: library.server.stop(0).wait())
        with open(path, "rb") as file:
            inline = base64.b64encode(file.read()).decode()
        options = mesh.typed(_FILTER, services=[_LIBRARY], proto_descriptor_bin=inline, auto_mapping=True,
                             match_incoming_request_route=True,
                             request_validation_options={"reject_unknown_method": True})
        empty = mesh.typed(_FILTER, proto_descriptor=path)  # no services: it does nothing
        action = {"cluster": "app", "timeout": "0s"}
        routes = [
            {"match": {"prefix": "/off/"}, "direct_response": {"status": 204},
             "typed_per_filter_config": {"json": mesh.typed("envoy.config.route.v3.FilterConfig", disabled=True)}},
            {"match": {"prefix": "/"}, "route": action,
             "typed_per_filter_config": {"json": mesh.typed("envoy.config.route.v3.FilterConfig", config=options)}}]
        self.start(addresses=[library.address], http2_app=True,
                   out={"filters": (("json", empty),), "routes": routes})
        self.assertEqual(self.get(path="/off/x").head().status, 204)
        client = self.ask("POST /%s/Plain HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\n{\"id\":\"7\"}" % _LIBRARY)
        head = client.head()
        self.assertEqual(json.loads(client.exactly(int(head.get("content-length")))),
                         {"method": "Plain", "request": {"id": "7"}})
        self.assertEqual(self.get(path="/v1/nothing").head().status, 404)


_RBAC = "envoy.extensions.filters.http.rbac.v3.RBAC"


class Access(mesh.MeshTest):
    """What rules of access judge is said by where they stand in the list."""

    GET = "/v1/books/7"  # is this call
    CALL = "/%s/Get" % _LIBRARY
    DELETE = "/%s/Delete" % _LIBRARY

    def serve(self, *order, path=None, per_route=None):
        """Only requests for this path are let through; `order`: of the filters."""
        descriptors, message = descriptor_set()
        library = Library(message)
        self.addCleanup(lambda: library.server.stop(0).wait())
        transcoder = mesh.typed(_FILTER, services=[_LIBRARY], proto_descriptor=descriptors, convert_grpc_status=True)
        filters = {"json": transcoder, "rbac": mesh.typed(_RBAC, **self.rules(path))}
        calls = {"match": {"prefix": "/%s/" % _LIBRARY}, "route": {"cluster": "app", "timeout": "0s"}}
        if per_route is not None:
            calls["typed_per_filter_config"] = {"rbac": mesh.typed(_RBAC + "PerRoute", rbac=self.rules(per_route))}
        self.start(addresses=[library.address], http2_app=True, out={
            "filters": [(name, filters[name]) for name in order],
            "routes": [calls, {"match": {"prefix": "/v1/"}, "direct_response": {"status": 204}}]})
        return library

    def rules(self, path):
        if path is None:
            return {}
        return {"rules": {"policies": {"p": {"permissions": [{"url_path": {"path": {"exact": path}}}],
                                             "principals": [{"any": True}]}}}}

    def asked(self, method, path):
        client = self.ask("%s %s HTTP/1.1\r\nHost: shop\r\n\r\n" % (method, path))
        head = client.head()
        length = int(head.get("content-length") or 0)
        return head.status, client.exactly(length) if length else client.chunks()[0]

    def test_before_the_transcoder_they_judge_the_path_that_was_asked_for(self):
        library = self.serve("rbac", "json", path=self.GET)
        self.assertEqual(self.asked("GET", self.GET)[0], 200)
        self.assertEqual(self.asked("GET", "/v1/books/8"), (403, b"RBAC: access denied"))
        self.assertEqual(library.calls, 1)

    def test_behind_it_they_judge_the_call(self):
        library = self.serve("json", "rbac", path=self.CALL)
        self.assertEqual(self.asked("GET", self.GET)[0], 200)
        status, body = self.asked("DELETE", self.GET)
        self.assertEqual((status, json.loads(body)["code"]), (403, 7))
        self.assertEqual(library.calls, 1)

    def test_behind_it_by_what_the_route_of_the_call_says(self):
        library = self.serve("json", "rbac", per_route=self.DELETE)
        status, body = self.asked("GET", self.GET)
        self.assertEqual((status, json.loads(body)["code"]), (403, 7), "the route that was asked for says nothing")
        self.assertEqual(self.asked("DELETE", self.GET)[0], 200)
        self.assertEqual(library.calls, 1)


class Upgrades(mesh.MeshTest):
    """Whatever else its client asks for, a request goes through the filters."""

    UPGRADE = "GET %s HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"

    def test_asking_for_an_upgrade_is_no_way_round_a_filter(self):
        descriptors, _ = descriptor_set()
        transcoder = mesh.typed(_FILTER, services=[_LIBRARY], proto_descriptor=descriptors,
                                request_validation_options={"reject_unknown_method": True})
        self.start(out={"filters": (("json", transcoder),)})
        client = self.ask(self.UPGRADE % "/internal/secrets")
        self.assertEqual(client.head().status, 404)

    def test_what_a_filter_changes_is_no_tunnel(self):
        """The app sees the call that the transcoder makes, without the upgrade."""
        descriptors, _ = descriptor_set()
        transcoder = mesh.typed(_FILTER, services=[_LIBRARY], proto_descriptor=descriptors)
        self.start(out={"filters": (("json", transcoder),)})
        self.ask(self.UPGRADE % "/v1/shelves/1/books/2")
        _, head = self.accept_request()
        self.assertTrue(head.first.startswith("POST /"), head.text)
        self.assertEqual(head.all("upgrade"), [])


if __name__ == "__main__":
    unittest.main()
