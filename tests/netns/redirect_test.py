"""Interception as users have it: the kernel redirects what a client dials to the sidecar, which asks where it wanted to
go. In a network namespace of its own, so that no rule of the machine is touched.

  client, from CLIENT  --dials APP--> [REDIRECT] --> sidecar on PORT  --dials APP--> app
"""

import os
import subprocess
import sys
import unittest

PORT = 15001
# All of them addresses of this machine alone.
ADDRESSES = {"IPv4": ("10.1.0.1", "10.9.0.1", "10.9.0.2", "0.0.0.0", "127.0.0.1"),
             "IPv6": ("fd00:1::1", "fd00:9::1", "fd00:9::2", "::", "::1"),
             # A socket of both kinds, as `[::]` is where nothing else is said: clients of IPv4 come to it, too.
             "IPv4 to a dual-stack listener": ("10.2.0.1", "10.9.0.1", "10.9.0.2", "::", "127.0.0.1")}


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def bring_up():
    """None, or why this machine cannot."""
    ip("link", "set", "lo", "up")
    try:
        for number, (client, first, second, _, _) in enumerate(ADDRESSES.values()):
            for address in (client, first, second):
                version, bits = ("-6", "128") if ":" in address else ("-4", "32")
                ip(version, "addr", "replace", address + "/" + bits, "dev", "lo")
            redirect.redirect(client, PORT + number)
    except subprocess.CalledProcessError as error:
        return "no such address here: " + error.stderr
    except OSError as error:
        return "the kernel takes no REDIRECT rule: %s" % error
    return None


def original(name, **rules):
    return {"name": name, "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "5s",
            "original_dst_lb_config": rules}


class Redirected(unittest.TestCase):
    def start(self, kind, chains, rules=None):
        number = list(ADDRESSES).index(kind)
        self.client_ip, self.first, self.second, any_ip, self.own = ADDRESSES[kind]
        listener = {"name": "l", "traffic_direction": "OUTBOUND", "filter_chains": chains,
                    "address": {"socket_address": {"address": any_ip, "port_value": PORT + number}},
                    "listener_filters": [{"name": "original", "typed_config": mesh.typed(
                        "envoy.extensions.filters.listener.original_dst.v3.OriginalDst")}]}
        mesh.HOST = self.own
        sidecar = mesh.Sidecar([listener], [original("to", **(rules or {}))])
        self.addCleanup(sidecar.stop)

    def serve(self, address, port=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = socket.create_server((address, port), family=family)
        server.settimeout(mesh.WAIT)
        self.addCleanup(server.close)
        return server, server.getsockname()[1]

    def dial(self, address, port):
        made = socket.create_connection((address, port), timeout=mesh.WAIT, source_address=(self.client_ip, 0))
        self.addCleanup(made.close)
        return mesh.Conversation(made)

    def accept(self, server):
        connection, _ = server.accept()
        self.addCleanup(connection.close)
        self.assertEqual(connection.getsockname()[:2], server.getsockname()[:2])
        return mesh.Conversation(connection)

    def each(self):
        for kind in ADDRESSES:
            with self.subTest(kind):
                yield kind
                self.doCleanups()

    def test_a_connection_is_relayed_to_where_its_client_dialled(self):
        for kind in self.each():
            self.start(kind, [mesh.tcp_chain("to")])
            for address in (self.first, self.second):
                server, port = self.serve(address)
                client = self.dial(address, port)
                upstream = self.accept(server)
                upstream.send("hello from " + address + "\n")
                self.assertEqual(client.until(b"\n").decode(), "hello from " + address + "\n")
                client.send("and back\n")
                self.assertEqual(upstream.until(b"\n"), b"and back\n")

    def test_requests_go_to_where_their_client_dialled(self):
        for kind in self.each():
            self.start(kind, mesh.listener("l", 1, "to")["filter_chains"])
            for address in (self.first, self.second):
                server, port = self.serve(address)
                host = "[%s]" % address if ":" in address else address
                curl = subprocess.Popen(["curl", "-sS", "--max-time", str(int(mesh.WAIT)), "--interface",
                                         self.client_ip, "http://%s:%d/path" % (host, port)],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                app = self.accept(server)
                self.assertTrue(app.until(b"\r\n\r\n").startswith(b"GET /path HTTP/1.1\r\n"))
                app.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
                self.assertEqual(curl.communicate(timeout=mesh.WAIT)[0], "hi")

    def test_the_destination_chooses_the_filter_chain_and_the_policy_the_port(self):
        for kind in self.each():
            self.client_ip, first, second, _, _ = ADDRESSES[kind]
            server, port = self.serve(first)
            bits = 128 if ":" in first else 32
            match = {"prefix_ranges": [{"address_prefix": first, "prefix_len": bits}], "destination_port": 7}
            self.start(kind, [mesh.tcp_chain("to", match)], {"upstream_port_override": port})
            client = self.dial(first, 7)
            upstream = self.accept(server)
            client.send("to another port\n")
            self.assertEqual(upstream.until(b"\n"), b"to another port\n")
            self.assertTrue(self.dial(second, 7).closed(), "no chain is for it")

    def test_who_dials_the_sidecar_itself_is_not_sent_round_in_a_circle(self):
        for kind in self.each():
            self.start(kind, mesh.listener("l", 1, "to")["filter_chains"])
            port = PORT + list(ADDRESSES).index(kind)
            client = mesh.Conversation(socket.create_connection((self.own, port), timeout=mesh.WAIT))
            self.addCleanup(client.close)
            client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            self.assertEqual(client.head().status, 508)


if __name__ == "__main__":
    if "PILLION_OWN_NETWORK" not in os.environ:
        os.environ["PILLION_OWN_NETWORK"] = "yes"
        os.execvp("unshare", ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-W", "ignore", *sys.argv])
    import socket

    import mesh
    import redirect
    WHY_NOT = bring_up()
    if WHY_NOT is not None:
        print("SKIPPED: " + WHY_NOT)
        sys.exit(0)
    unittest.main()
