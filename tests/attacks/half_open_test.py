"""Peers whose machine vanished: no end, no reset, and nothing is answered any more. They live in a network namespace of their own
and lose the way back to the sidecar; the kernel's questions must find that out in half a minute. See attacks_test.py for what must hold.

  far machine (10.77.0.2)  --+--HTTP/1.1--> sidecar --> app on loopback
                             +--HTTP/2----> sidecar
                             +--TCP-------> sidecar --> app on loopback
                             <--HTTP/1.1--- sidecar <-- client on loopback"""
import json
import os
import subprocess
import sys
import time
import unittest

import mesh
from attack import ROUTES, Attack

NEAR, FAR = "10.77.0.1", "10.77.0.2"
FAR_PORT = 8080
OTHERS = 2        # the neighbour, and the connection that asks for metrics
LONGEST = 90.0  # seconds: 15 of silence, 3 questions 5 apart, and a loaded machine

# Does what the lines of its input say: {"ports": [HTTP/1, HTTP/2, TCP]} or nothing more. A word for each that is done.
FAR_MACHINE = r'''
import json, os, socket, subprocess, sys, threading
def run(*command): subprocess.run(command, check=True)
def done(word): print(word, flush=True)
done("here")
sys.stdin.readline()  # its end of the cable is in
run("ip", "addr", "add", sys.argv[2] + "/24", "dev", "far")
run("ip", "link", "set", "far", "up")
app = socket.create_server((sys.argv[2], int(sys.argv[3])))
def serve():
    while True:
        connection, _ = app.accept()
        held.append(connection)
        while b"\r\n\r\n" not in connection.recv(65536): pass
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nfar")
held = []
threading.Thread(target=serve, daemon=True).start()
done("up")
http1, http2, tcp = json.loads(sys.stdin.readline())["ports"]
settings = bytes(3) + b"\4" + bytes(5)
for port, says, part in ((http1, b"GET /direct HTTP/1.1\r\nHost: a\r\n\r\n", b"hi"),
                         (http2, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings, b"\4"), (tcp, b"hello", b"world")):
    one = socket.create_connection((sys.argv[1], port))
    one.sendall(says)
    got = b""
    while part not in got: got += one.recv(65536)
    held.append(one)
done("talking")
sys.stdin.readline()
run("ip", "route", "flush", "table", "main")
done("gone")
sys.stdin.readline()
'''


class FarMachine:
    def __init__(self):
        self.process = subprocess.Popen(["unshare", "-n", sys.executable, "-c", FAR_MACHINE, NEAR, FAR, str(FAR_PORT)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.word("here")
        for command in ("link set lo up", "link add near type veth peer name far", "addr add %s/24 dev near" % NEAR,
                        "link set near up", "link set far netns %d" % self.process.pid):
            subprocess.run(["ip", *command.split()], check=True)
        self.say("")
        self.word("up")

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def word(self, expected):
        got = self.process.stdout.readline()
        if got.strip() != expected:
            raise AssertionError("the far machine said %r instead of %s" % (got, expected))

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class HalfOpen(Attack):
    def setUp(self):
        self.far = FarMachine()
        self.addCleanup(self.far.end)
        super().setUp()

    def make_sidecar(self):
        self.relay_port = mesh.free_port()
        routes = [{"match": {"prefix": "/far"}, "route": {"cluster": "far"}}, *ROUTES]
        listeners = [mesh.listener("outbound", self.port, "app", routes=routes),
                     {"name": "relay", "address": {"socket_address": {"port_value": self.relay_port}},
                      "filter_chains": [mesh.tcp_chain("app")]}]
        for one in listeners:
            one["address"]["socket_address"]["address"] = "0.0.0.0"
        clusters = [mesh.cluster("app", [self.app.address]), mesh.cluster("far", [(FAR, FAR_PORT)])]
        return mesh.Sidecar(listeners, clusters, admin=True)

    def test_peers_that_vanished_are_noticed_and_counted(self):
        self.app.accept().close()  # what asked whether the relay listens
        mesh.wait_until(lambda: self.counter("client_connections_active") == OTHERS, "only the neighbour is there")
        descriptors = self.fewest_descriptors()
        self.far.say(json.dumps({"ports": [self.port, self.port, self.relay_port]}))
        relayed = self.app.accept()
        self.assertEqual(relayed.exactly(5), b"hello")
        relayed.send(b"world")
        self.far.word("talking")
        client = self.get(path="/far")
        self.assertEqual(client.head().status, 200)
        self.assertEqual(client.exactly(3), b"far")
        client.close()
        self.far.say("")
        self.far.word("gone")
        end = time.monotonic() + LONGEST
        while self.seen() != {"client": 3, "upstream": 1} and time.monotonic() < end:
            time.sleep(0.2)
        self.assertEqual(self.seen(), {"client": 3, "upstream": 1})
        self.assertTrue(relayed.closed())
        mesh.wait_until(lambda: self.counter("client_connections_active") == OTHERS, "only the neighbour is left")
        mesh.wait_until(lambda: self.sidecar.descriptors() <= descriptors, "descriptors return")
        self.others_are_served()
        self.memory_is_back()

    def fewest_descriptors(self):
        """Without the connection that asked for metrics, which may last a moment."""
        fewest = self.sidecar.descriptors()
        end = time.monotonic() + 1
        while time.monotonic() < end:
            time.sleep(0.01)
            fewest = min(fewest, self.sidecar.descriptors())
        return fewest

    def seen(self):
        return {side: self.counter('connections_silent_total{side="%s"}' % side) for side in ("client", "upstream")}


if __name__ == "__main__":
    if "PILLION_OWN_NETWORK" not in os.environ:
        os.environ["PILLION_OWN_NETWORK"] = "yes"
        os.execvp("unshare", ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-W", "ignore", *sys.argv])
    unittest.main()
