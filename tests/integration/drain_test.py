"""SIGTERM: what is under way completes, the peers are told, the process exits 0, and nobody is accepted any more."""

import socket
import time
import unittest

import h2.events

import mesh
from bad_input_test import Http2Client
from mesh import OK


def refused(port):
    try:
        socket.create_connection((mesh.HOST, port), timeout=mesh.WAIT).close()
        return False
    except ConnectionResetError:
        return False  # it fell into the moment between the last accept and the close
    except ConnectionRefusedError:
        return True


class Drain(mesh.MeshTest):
    def both_ways(self, drain_s=10):
        """One sidecar with an inbound and an outbound listener, both to the app."""
        self.port, self.inbound_port = mesh.free_port(), mesh.free_port()
        self.made = [mesh.Sidecar([mesh.listener("outbound", self.port, "app"),
                                   mesh.listener("inbound", self.inbound_port, "app", direction="INBOUND")],
                                  [mesh.cluster("app", [self.app.address])], drain_s)]
        return self.made[0]

    def inbound_client(self):
        self.clients.append(mesh.Conversation(socket.create_connection((mesh.HOST, self.inbound_port))))
        return self.clients[-1]

    def test_a_request_under_way_completes_and_the_client_is_told_to_close(self):
        self.start()
        client = self.get()
        app, _ = self.accept_request()
        for sidecar in self.made:
            sidecar.terminate()
        mesh.wait_until(lambda: refused(self.port), "the listener closes")
        app.send(OK)
        head = client.head()
        self.assertEqual((head.status, head.all("connection")), (200, ["close"]))
        self.assertEqual(client.rest(), b"hi")
        for sidecar in self.made:
            self.assertEqual(sidecar.wait(), 0)

    def test_a_body_under_way_completes(self):
        self.start()
        client = self.ask("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\nhello")
        app, _ = self.accept_request()
        for sidecar in self.made:
            sidecar.terminate()
        mesh.wait_until(lambda: refused(self.port), "the listener closes")
        client.send("world")
        self.assertEqual(app.exactly(10), b"helloworld")
        app.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        self.assertEqual(client.head().status, 200)
        app.send("cd")
        self.assertEqual(client.rest(), b"abcd")
        for sidecar in self.made:
            self.assertEqual(sidecar.wait(), 0)

    def test_an_http2_client_gets_goaway_and_its_answers(self):
        self.start()
        client = Http2Client(self.port)
        stream = client.request("/")
        app, _ = self.accept_request()
        for sidecar in self.made:
            sidecar.terminate()
        client.next_event(lambda event: isinstance(event, h2.events.ConnectionTerminated))
        app.send(OK)
        # python3-h2 hears nothing after a GOAWAY; the answer is looked for in the bytes.
        data = b""
        while b"hi" not in data:
            more = client.sock.recv(65536)
            self.assertNotEqual(more, b"")
            data += more
        client.close()
        for sidecar in self.made:
            self.assertEqual(sidecar.wait(), 0)

    def test_an_idle_sidecar_ends_at_once(self):
        self.start()
        client = self.get()
        app, _ = self.accept_request()
        app.send(OK)
        client.head()
        client.exactly(2)
        begin = time.monotonic()
        for sidecar in self.made:
            sidecar.terminate()
        self.assertEqual(client.rest(), b"")  # the idle connection is closed
        client.close()
        for sidecar in self.made:
            self.assertEqual(sidecar.wait(), 0)
        self.assertLess(time.monotonic() - begin, 3)

    def test_a_second_signal_ends_at_once(self):
        self.start()
        client = self.get()
        self.accept_request()
        for sidecar in self.made:
            sidecar.terminate()
        mesh.wait_until(lambda: refused(self.port), "the listener closes")
        for sidecar in self.made:
            sidecar.terminate()
        for sidecar in self.made:
            self.assertEqual(sidecar.wait(), 0)
        client.rest_or_reset()  # at two the near one may still tell of the far one's end

    def test_at_the_deadline_what_is_left_is_ended(self):
        self.start(drain_s=1)
        client = self.get()
        self.accept_request()
        begin = time.monotonic()
        for sidecar in self.made:
            sidecar.terminate()
        for sidecar in self.made:
            self.assertEqual(sidecar.wait(), 0)
        self.assertLess(time.monotonic() - begin, 3)
        client.close()


class DrainAtTwo(mesh.AtTwo, Drain):
    pass


class DrainBothWays(Drain):
    def test_inbound_drains_before_outbound(self):
        sidecar = self.both_ways()
        waiting = self.inbound_client()
        waiting.send("GET /slow HTTP/1.1\r\nHost: shop\r\n\r\n")
        slow, _ = self.accept_request()
        sidecar.terminate()
        mesh.wait_until(lambda: refused(self.inbound_port), "inbound closes")
        self.assertFalse(refused(self.port))
        client = self.get()  # the app, serving its last request, may still call others
        app, _ = self.accept_request()
        app.send(OK)
        self.assertEqual(client.head().status, 200)
        client.exactly(2)
        slow.send(OK)
        self.assertEqual(waiting.head().all("connection"), ["close"])
        self.assertEqual(waiting.rest(), b"hi")
        waiting.close()
        self.assertEqual(client.rest(), b"")
        client.close()
        self.assertEqual(sidecar.wait(), 0)
        self.assertTrue(refused(self.port))


if __name__ == "__main__":
    unittest.main()
