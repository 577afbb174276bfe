"""Who may ask for what (envoy.filters.http.rbac), at a real sidecar: by addresses, by what TLS proves and is asked for, by paths as
they come over the wire; and what is left of a request that was denied."""

import os
import socket
import ssl
import tempfile
import threading
import unittest

import certificates
import mesh
from mesh import HOST

_RBAC = "envoy.extensions.filters.http.rbac.v3.RBAC"
_LOG = "envoy.extensions.access_loggers.file.v3.FileAccessLog"
ANYBODY = [{"any": True}]


def rules(permissions=ANYBODY, principals=ANYBODY, action="ALLOW"):
    return {"action": action, "policies": {"p": {"permissions": permissions, "principals": principals}}}


def within(address, bits=32):
    return {"address_prefix": address, "prefix_len": bits}


class Rbac(unittest.TestCase):
    def setUp(self):
        self.made = []
        self.addCleanup(lambda: mesh.stop_all(self, self.made))
        self.app = mesh.App()
        self.addCleanup(self.app.close)
        self.asked = []
        threading.Thread(target=self.answer, daemon=True).start()

    def answer(self):
        """The app: 200 to whatever comes, one request a connection."""
        while True:
            try:
                conversation = mesh.Conversation(self.app.sock.accept()[0])
            except OSError:
                return
            self.asked.append(conversation.head().first)
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            conversation.close()

    def start(self, made_of=None, tls=None, hcm=None, listener_filters=()):
        port = mesh.free_port()
        made = mesh.listener("inbound", port, "app", direction="INBOUND", explain=True, hcm=hcm,
                             filters=[("envoy.filters.http.rbac", mesh.typed(_RBAC, **made_of))],
                             listener_filters=[mesh.INSPECTORS[one] for one in listener_filters])
        if tls is not None:
            mesh.with_tls(made, mesh.server_tls(tls))
        self.made.append(mesh.Sidecar([made], [mesh.cluster("app", [self.app.address])], drain_s=1, admin=True))
        self.port = port

    def ask(self, path="/", before=b"", context=None, name=None, fields=""):
        """The head of the answer on a new connection; `self.body` is its content."""
        sock = socket.create_connection((HOST, self.port), timeout=mesh.WAIT)
        conversation = mesh.Conversation(context.wrap_socket(sock, server_hostname=name) if context else sock)
        conversation.send(before + ("GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n" % (path, fields)).encode())
        head = conversation.head()
        self.body = conversation.exactly(int(head.get("content-length") or 0))
        conversation.close()
        return head

    def expect(self, status, *arguments, **more):
        before = len(self.asked)
        self.assertEqual(self.ask(*arguments, **more).status, status, self.body)
        self.assertEqual(len(self.asked) - before, 1 if status == 200 else 0, "the app is asked for what is allowed alone")

    def test_addresses_that_a_proxy_tells_and_that_the_kernel_knows(self):
        header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 8443\r\n"
        other = b"PROXY TCP4 192.0.2.9 192.0.2.2 1000 8443\r\n"
        cases = [({"principals": [{"source_ip": within("192.0.2.1")}]}, 200, 403),
                 ({"principals": [{"remote_ip": within("192.0.2.1")}]}, 200, 403),
                 ({"principals": [{"direct_remote_ip": within(HOST)}]}, 403, 403),
                 ({"principals": [{"direct_remote_ip": within("127.0.0.0", 8)}]}, 200, 200),
                 ({"principals": [{"not_id": {"direct_remote_ip": within("192.0.2.0", 24)}}]}, 200, 200),
                 ({"permissions": [{"destination_ip": within("192.0.2.2")}]}, 200, 200),
                 ({"permissions": [{"destination_port": 8443}]}, 200, 200),
                 ({"permissions": [{"destination_port_range": {"start": 1, "end": 8443}}]}, 403, 403)]
        for said, first, second in cases:
            with self.subTest(said):
                # A client of this test has another address of the loopback than its servers.
                self.start({"rules": rules(**said)}, listener_filters=["proxy_protocol"])
                self.expect(first, before=header)
                self.expect(second, before=other)

    def test_clients_that_trusted_proxies_tell(self):
        self.start({"rules": rules(principals=[{"remote_ip": within("10.0.0.0", 24)}])},
                   hcm={"use_remote_address": True, "xff_num_trusted_hops": 1})
        self.expect(200, fields="x-forwarded-for: 1.1.1.1, 10.0.0.7\r\n")
        self.expect(403, fields="x-forwarded-for: 10.0.0.7, 1.1.1.1\r\n")
        self.expect(403)

    def test_what_tls_proves_and_is_asked_for(self):
        authority = certificates.Authority()
        server = authority.issue("server", "DNS:a.example,DNS:b.example")
        authority.issue("ann", "URI:spiffe://td/ann")
        authority.issue("host", "DNS:host.example")
        authority.issue("bare")

        def context(name=None):
            made = ssl.create_default_context(cafile=authority.ca)
            if name is not None:
                made.load_cert_chain(authority.path(name), authority.key(name))
            return made

        def proven(**name):
            return {"authenticated": {"principal_name": name} if name else {}}

        tls = {"tls_certificates": [server], "validation_context": authority.trusted()}  # a client may have none
        self.start({"rules": rules(principals=[proven(exact="spiffe://td/ann"), proven(exact="host.example"), proven(exact="CN=bare")],
                                   permissions=[{"requested_server_name": {"exact": "a.example"}}])}, tls=tls)
        for name in ("ann", "host", "bare"):
            self.expect(200, context=context(name), name="a.example")
        self.expect(200, context=context("ann"), name="A.Example")
        self.expect(403, context=context("ann"), name="b.example")
        self.expect(403, context=context(), name="a.example")
        self.start({"rules": rules(principals=[proven()])}, tls=tls)
        self.expect(200, context=context("bare"), name="a.example")
        self.expect(403, context=context(), name="a.example")

    def test_paths_are_judged_as_they_go_to_the_app(self):
        self.start({"rules": rules(permissions=[{"url_path": {"path": {"prefix": "/admin"}}}], action="DENY")},
                   hcm={"normalize_path": True, "merge_slashes": True, "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD"})
        for path in ("/admin", "/admin?a=b", "/a/../admin", "/%61dmin", "/a/%2e%2e/admin", "//admin", "/a/..%2Fadmin", "/.%2Fadmin"):
            self.expect(403, path)
        self.expect(200, "/open?/admin")
        self.assertEqual(self.asked, ["GET /open?/admin HTTP/1.1"])
        # A target that is no path, or has more than a path and a query, is none at all.
        self.expect(400, "/open#/admin")

    def test_a_tunnel_is_asked_for_like_anything_else(self):
        self.start({"rules": rules(permissions=[{"url_path": {"path": {"exact": "/open"}}}])})
        upgrade = "Connection: Upgrade\r\nUpgrade: chat\r\n"
        self.expect(403, "/chat", fields=upgrade)
        self.expect(200, "/open", fields=upgrade)  # by an app that does not switch

    def test_what_is_left_of_a_denied_request(self):
        log = os.path.join(tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR")), "log")
        self.start({"rules": rules(permissions=[{"url_path": {"path": {"exact": "/open"}}}]),
                    "shadow_rules": rules(action="DENY")},
                   hcm={"access_log": [{"name": "file", "typed_config": mesh.typed(_LOG, path=log)}]})
        self.expect(200, "/open")
        head = self.ask("/shut", fields="x-pillion-explain: 1\r\n")
        self.assertEqual((head.status, self.body), (403, b"RBAC: access denied"))
        self.assertIn('error=access_denied; side=local; outcome=answered; reason="no policy allows it"', head.get("x-pillion-explain"))

        def lines():
            try:
                with open(log, encoding="utf-8") as file:
                    return file.read().splitlines()
            except FileNotFoundError:
                return []

        mesh.wait_until(lambda: len(lines()) == 2, "both are logged")
        denied = [line for line in lines() if "/shut" in line]
        self.assertIn("no policy allows it", denied[0])
        metrics = self.made[-1].metrics()
        said = {what: metrics['pillion_rbac_total{result="%s"}' % what]
                for what in ("allowed", "denied", "logged", "shadow_allowed", "shadow_denied")}
        self.assertEqual(said, {"allowed": 1, "denied": 1, "logged": 0, "shadow_allowed": 0, "shadow_denied": 2})
        self.assertEqual([value for name, value in metrics.items()
                          if name.startswith("pillion_request_errors_total") and "access_denied" in name], [1])


if __name__ == "__main__":
    unittest.main(verbosity=2)
