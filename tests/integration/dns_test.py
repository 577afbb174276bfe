"""Clusters whose endpoints are host names: real sidecars, and a DNS server of the test's own."""

import json
import socket
import threading
import time
import unittest

import mesh
import name_server
from mesh import OK
from name_server import NO_ERROR, NO_SUCH_NAME, SERVER_FAILURE, SILENT

NAME = "shop.test."  # as it is: no search list
HOSTS = ["127.%d.%d.%d" % (9, mesh.random.SystemRandom().randrange(256), end) for end in range(1, 4)]


class Server:
    """An app of many connections that answers each request with its own name, until it is stopped."""

    def __init__(self, host, port):
        self.host = host
        self.listener = socket.create_server((host, port), backlog=128)
        self.requests = 0
        self.connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        conversation = mesh.Conversation(connection)
        try:
            while True:
                conversation.head()
                self.requests += 1
                conversation.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(self.host), self.host))
        except (OSError, AssertionError):
            pass

    def close(self):
        self.listener.close()
        for connection in self.connections:
            connection.close()


class DnsTest(unittest.TestCase):
    def setUp(self):
        self.dns = name_server.NameServer()
        self.addCleanup(self.dns.close)
        self.sidecar = None
        self.addCleanup(self.stop)

    def start(self, kind="STRICT_DNS", port=80, name=NAME, wait=True, **more):
        made = mesh.cluster("app", [(name, port)], type=kind, dns_resolvers=[self.dns.as_resolver()],
                            **{"dns_refresh_rate": "0.1s", "dns_lookup_family": "V4_ONLY", **more})
        self.port = mesh.free_port()
        self.sidecar = mesh.Sidecar([mesh.listener("out", self.port, "app")], [made], admin=True)
        if wait:
            mesh.wait_until(lambda: self.page("/ready")[0] == 200, "the sidecar is ready")

    def stop(self):
        sidecar, self.sidecar = self.sidecar, None
        if sidecar:
            sidecar.stop()

    def servers(self, count):
        """Apps on as many addresses, one port."""
        port = mesh.free_port()
        servers = [Server(host, port) for host in HOSTS[:count]]
        for server in servers:
            self.addCleanup(server.close)
        return port, servers

    def page(self, path):
        admin = mesh.Conversation(socket.create_connection((mesh.HOST, self.sidecar.admin_port), timeout=mesh.WAIT))
        admin.send("GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % path)
        head = admin.head()
        body = admin.rest().decode()
        admin.close()
        return head.status, body

    def cluster_page(self):
        return [one for one in json.loads(self.page("/clusters")[1]) if one["name"] == "app"][0]

    def endpoints(self):
        return sorted(one["address"] for one in self.cluster_page()["endpoints"])

    def client(self):
        client = mesh.Conversation(socket.create_connection((mesh.HOST, self.port), timeout=mesh.WAIT))
        self.addCleanup(client.close)
        return client

    def ask(self, client=None):
        """(status, body)"""
        client = client or self.client()
        client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        head = client.head()
        return head.status, client.exactly(int(head.get("content-length"))).decode()

    def test_all_addresses_of_a_name_are_endpoints(self):
        port, servers = self.servers(3)
        self.dns.names["shop.test"] = (NO_ERROR, 60, HOSTS)
        self.start(port=port)
        self.assertEqual({self.ask() for _ in range(9)}, {(200, host) for host in HOSTS})
        self.assertEqual([server.requests for server in servers], [3, 3, 3])

    def test_a_ttl_that_is_respected_is_not_asked_before(self):
        self.dns.names["shop.test"] = (NO_ERROR, 1, HOSTS[:1])
        self.start(respect_dns_ttl=True)
        begin = time.monotonic()
        first = self.dns.count("shop.test")
        mesh.wait_until(lambda: self.dns.count("shop.test") >= first + 2, "two more resolutions")
        self.assertGreater(time.monotonic() - begin, 1)
        self.dns.names["shop.test"] = (NO_ERROR, 3600, HOSTS[:1])
        count = self.dns.count("shop.test")
        mesh.wait_until(lambda: self.dns.count("shop.test") > count, "one more")
        end = time.monotonic() + 1.5
        mesh.wait_until(lambda: time.monotonic() > end, "a while")
        self.assertEqual(self.dns.count("shop.test"), count + 1)

    def test_failures_keep_the_addresses_and_are_shown(self):
        port, _ = self.servers(1)
        self.dns.names["shop.test"] = (NO_ERROR, 60, HOSTS[:1])
        self.start(port=port)
        self.dns.names["shop.test"] = (SERVER_FAILURE, 0, [])
        mesh.wait_until(lambda: self.sidecar.metrics()['pillion_dns_resolutions_total{result="failed"}'] >= 3, "failures")
        self.assertEqual(self.ask(), (200, HOSTS[0]))
        name = self.cluster_page()["names"][0]
        self.assertEqual((name["host"], name["addresses"], name["resolved"]), (NAME, HOSTS[:1], True))
        self.assertEqual(name["last_failure"], "no server could be asked, or each of them failed")
        self.assertLessEqual(name["last_failure_age_s"], 10)

    def test_a_server_that_falls_silent_costs_nothing(self):
        port, _ = self.servers(1)
        self.dns.names["shop.test"] = (NO_ERROR, 60, HOSTS[:1])
        self.start(port=port)
        self.dns.names["shop.test"] = (SILENT, 0, [])
        asked = self.dns.count("shop.test")
        mesh.wait_until(lambda: self.dns.count("shop.test") >= asked + 2, "it is asked again: a try and a retry")
        self.assertEqual(self.ask(), (200, HOSTS[0]))  # and the process ends while it is being asked

    def test_a_name_that_is_gone_has_no_endpoints_with_strict_dns_and_its_last_one_with_logical_dns(self):
        port, _ = self.servers(1)
        for kind, after in (("STRICT_DNS", 503), ("LOGICAL_DNS", 200)):
            with self.subTest(kind):
                self.dns.names["shop.test"] = (NO_ERROR, 60, HOSTS[:1])
                self.start(kind, port=port)
                self.assertEqual(self.ask()[0], 200)
                self.dns.names["shop.test"] = (NO_SUCH_NAME, 0, [])
                count = self.dns.count("shop.test")
                mesh.wait_until(lambda: self.dns.count("shop.test") >= count + 3, "it is asked again")
                self.assertEqual(self.ask()[0], after)
                self.stop()

    def test_a_long_answer_comes_over_tcp(self):
        self.dns.truncate = True
        self.dns.names["shop.test"] = (NO_ERROR, 60, ["10.1.%d.%d" % (i // 100, i % 100) for i in range(200)])
        self.start()
        self.assertEqual(len(self.endpoints()), 200)
        self.assertGreater(self.dns.asked["tcp", name_server.A, "shop.test"], 0)

    def test_a_server_that_never_answers_does_not_hold_the_start_for_ever(self):
        self.dns.names["shop.test"] = (SILENT, 0, [])
        self.start(wait=False)
        status, body = self.page("/ready")
        self.assertEqual(status, 503)
        self.assertIn("waiting for names of cluster app", body)
        self.assertEqual(self.cluster_page()["names"][0]["resolved"], False)
        mesh.wait_until(lambda: self.page("/ready")[0] == 200, "it is ready without an address")
        self.assertEqual(self.ask()[0], 503)
        self.dns.names["shop.test"] = (NO_ERROR, 60, HOSTS[:1])
        mesh.wait_until(lambda: self.endpoints() == [HOSTS[0] + ":80"], "the address, when the server is back")

    def test_a_change_of_address_under_load_loses_no_request(self):
        for kind in ("STRICT_DNS", "LOGICAL_DNS"):
            with self.subTest(kind):
                self.change_under_load(kind)

    def change_under_load(self, kind):
        port, servers = self.servers(2)
        self.dns.names["shop.test"] = (NO_ERROR, 60, HOSTS[:1])
        self.start(kind, port=port, dns_refresh_rate="0.02s")
        answers, ended = [], threading.Event()

        def load():
            client = self.client()
            while not ended.is_set():
                answers.append(self.ask(client))

        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        for turn in range(1, 11):
            known = servers[turn % 2].requests
            self.dns.names["shop.test"] = (NO_ERROR, 60, [HOSTS[turn % 2]])
            mesh.wait_until(lambda: servers[turn % 2].requests > known + 50, "requests reach the new address")
        ended.set()
        for thread in threads:
            thread.join()
        self.assertEqual({status for status, _ in answers}, {200})
        self.assertEqual({body for _, body in answers}, set(HOSTS[:2]))
        self.stop()
        for server in servers:
            server.close()

    def test_requests_under_way_and_tunnels_stay_where_they_are(self):
        for kind in ("STRICT_DNS", "LOGICAL_DNS"):
            with self.subTest(kind):
                self.stay(kind)

    def stay(self, kind):
        old = mesh.App()
        self.addCleanup(old.close)
        self.dns.names["shop.test"] = (NO_ERROR, 60, [old.address[0]])
        self.start(kind, port=old.address[1])
        client = self.client()
        client.send("GET /slow HTTP/1.1\r\nHost: shop\r\n\r\n")
        slow = old.accept()
        slow.head()
        slow.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        tunnel = self.client()
        tunnel.send("GET /ws HTTP/1.1\r\nHost: shop\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        far = old.accept()
        far.head()
        far.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        self.assertEqual(tunnel.head().status, 101)
        new = Server(HOSTS[1], old.address[1])
        self.addCleanup(new.close)
        self.dns.names["shop.test"] = (NO_ERROR, 60, [HOSTS[1]])
        mesh.wait_until(lambda: self.endpoints() == ["%s:%d" % (HOSTS[1], old.address[1])], "the new address")
        self.assertEqual(self.ask(), (200, HOSTS[1]))
        slow.send("world")
        self.assertEqual(client.head().status, 200)
        self.assertEqual(client.exactly(10), b"helloworld")
        for end, other in ((tunnel, far), (far, tunnel)):
            end.send("ping")
            self.assertEqual(other.exactly(4), b"ping")
        self.assertEqual(self.ask(client), (200, HOSTS[1]))
        tunnel.close()
        self.assertTrue(far.closed())
        self.stop()

    def test_the_hosts_file_needs_no_server(self):
        app = Server("127.0.0.1", 0)
        self.addCleanup(app.close)
        self.start(name="localhost", port=app.listener.getsockname()[1])
        self.assertEqual(self.ask(), (200, "127.0.0.1"))
        self.assertEqual(sum(self.dns.asked.values()), 0)


if __name__ == "__main__":
    unittest.main()
