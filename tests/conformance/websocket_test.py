"""WebSocket with npm's ws as client and server: without a sidecar, through one and through two."""
import unittest

import mesh
import npm

CASES = {"text_and_binary", "compressed", "of_16_mib", "in_fragments", "ping", "subprotocol", "closed_by_the_server",
         "server_that_vanishes", "many_at_once"}


class Direct(mesh.MeshTest):
    def meet(self, address):
        return address[1]

    def test_ws(self):
        server = npm.Server("websocket_server.js", mesh.HOST)
        self.addCleanup(server.stop)
        results = npm.run("websocket_client.js", "%s:%d" % (mesh.HOST, self.meet(server.address)))
        self.assertEqual(set(results), CASES)
        for case, result in results.items():
            with self.subTest(case):
                self.assertEqual(result, "ok")


class ThroughOne(Direct):
    def meet(self, address):
        self.start(addresses=[address], out={"hcm": {"upgrade_configs": [{"upgrade_type": "websocket"}]}})
        return self.port


class ThroughTwo(mesh.AtTwo, ThroughOne):
    pass


if __name__ == "__main__":
    unittest.main()
