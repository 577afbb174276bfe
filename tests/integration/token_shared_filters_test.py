"""Mode `shared` behind a filter that holds an answer until all of it is there: the answer waits for the store, and then for the filter."""

import unittest

import mesh
import token_rig
from mesh import HOST
from token_shared_rig import Shared

BRIDGE = "bridge", mesh.typed("envoy.extensions.filters.http.grpc_http1_bridge.v3.Config")
CALL = "/pay.Pay/Charge"


class BehindTheBridge(Shared, token_rig.AtTheService):
    def start_sidecar(self, app=None, concurrency=1, flags=(), http2=False, **terms):
        terms = {"key_source": "APP", "keys": "8", "grpc_methods": [CALL], **terms}
        self.made.append(mesh.Sidecar(
            [mesh.listener("inbound", self.inbound, "app", direction="INBOUND", peer=True, filters=[BRIDGE, self.filter(**terms)])],
            [mesh.cluster("app", [app or (HOST, self.app.port)], http2=http2), *self.clusters()], concurrency=concurrency, drain_s=1,
            admin=True, flags=flags))
        self.settle(concurrency)

    def call(self, *do, **terms):
        """Of an HTTP/1.1 client of a gRPC app: the length of the answer."""
        self.start(**terms)
        order = self.order()
        conversation = mesh.Conversation(mesh.socket.create_connection((HOST, self.inbound), timeout=mesh.WAIT))
        self.peers.append(conversation)
        commands = ("status 200", "field content-type:application/grpc", "field grpc-status:0", *do)
        conversation.send("POST %s HTTP/1.1\r\nHost: pay\r\nContent-Type: application/grpc\r\nIdempotency-Key: k\r\nx-order: %s\r\n"
                          "Content-Length: 8\r\n%s\r\n" % (CALL, order, "".join("x-do: %s\r\n" % one for one in commands)))
        conversation.send(b"\0\0\0\0\3abc")
        head = conversation.head()
        self.assertEqual(head.status, 200)
        self.ran(order)
        return len(conversation.exactly(int(head.get("content-length"))))

    def test_an_answer_that_is_kept(self):
        self.assertGreater(self.call(), 0)

    def test_an_answer_of_which_only_the_status_is_kept(self):
        self.assertGreater(self.call(retain="TOMBSTONE"), 0)

    def test_an_answer_that_is_too_large_to_be_kept(self):
        self.assertEqual(self.call("size 300000", max_response_bytes=100000), 300000)


if __name__ == "__main__":
    unittest.main(verbosity=2)
