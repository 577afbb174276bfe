"""As token_chaos_test.py, with records that the replicas share: attempts go to any of them, a hundred duplicates come to all at once,
and the Redis servers fail as well."""

import threading
import unittest

import mesh
import token_chaos_test as chaos
import token_redis
from token_rig import Peer


class Chaos(chaos.Chaos):
    FAULTS = chaos.Chaos.FAULTS + ["failover", "everything lost", "store stopped"]
    POLICY = {"shared": True}

    def setUp(self):
        self.servers = token_redis.Servers(2)
        self.addCleanup(self.servers.stop)

    def make_replica(self, milliseconds):
        store = {"cluster": "store", "service": token_redis.SERVICE, "key": {"inline_string": "0123456789abcdef" * 4}, "lease": "2s"}
        made = chaos.Replica(milliseconds, {"store": store, "skew": "0.2s"}, [mesh.cluster("store", self.servers.addresses())])
        ready = "pillion_token_store_ready"
        mesh.wait_until(lambda: sum(count for series, count in made.sidecar.metrics().items() if series.startswith(ready)) == 2,
                        "the store can be asked")
        return made

    def befall(self, replica):
        what = self.chance.choice(self.FAULTS)
        if what == "failover":
            self.servers.fail_over()
        elif what == "everything lost":
            self.servers.primary.do("FLUSHALL")
        elif what == "store stopped":
            self.servers.primary.pause()
            threading.Event().wait(self.chance.choice([0.2, 0.5, 1.5, 3]))
            self.servers.primary.resume()
        else:
            return super().befall(replica, what)
        return what

    def peers(self, number):
        """Of two replicas at once."""
        made = []
        try:
            for at in (number, number + 1):
                made.append(Peer(self.replicas[at % len(self.replicas)].sidecar_port))
        except (OSError, AssertionError):
            for peer in made:
                peer.close()
            raise
        return made


if __name__ == "__main__":
    unittest.main()
