"""What turns tests of idempotency tokens into tests of mode `shared`, with real Redis servers."""

import json

import mesh
import token_redis
from token_rig import DOMAIN, verdict

KEY = "0123456789abcdef" * 4
SERIES = 'pillion_token_store_events_total{domain="%016x",what="%%s"}' % DOMAIN


class Shared:
    """What makes a class of tests one of mode `shared`. The servers are the class's, and empty at the beginning of each test."""

    REPLICAS = 1
    ready = True  # what is started is waited for

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.servers = token_redis.Servers(cls.REPLICAS)

    @classmethod
    def tearDownClass(cls):
        cls.servers.stop()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        if self.servers:
            self.servers.primary.do("FLUSHALL")

    def filter(self, store=None, **terms):
        settings = {"cluster": "store", "service": token_redis.SERVICE, "key": {"inline_string": KEY}, "lease": "10s",
                    "replica_wait": "1s", **(store or {})}
        return super().filter(store=settings, **terms)

    def clusters(self):
        return [mesh.cluster("store", self.servers.addresses())]

    def settle(self, workers=1):
        """The store can be asked, and knows of all that ever was."""
        if self.ready:
            self.wait_for_store(workers)
            self.servers.primary.age()

    def wait_for_store(self, workers=1):
        sidecar = self.made[-1]
        try:
            mesh.wait_until(lambda: sidecar.metrics().get('pillion_token_store_ready{domain="%016x"}' % DOMAIN) == workers,
                            "the store can be asked")
        except AssertionError as error:
            raise AssertionError("%s: %s" % (error, self.trouble()))

    def trouble(self):
        return self.tokens()["stores"][0]["trouble"]

    def tokens(self):
        return json.loads(self.made[-1].page("/tokens"))

    def count(self, what, sidecar=None):
        return (sidecar or self.made[-1]).metrics()[SERIES % what]

    def start_another(self, **more):
        """One more sidecar of the service, and a caller's connection to it."""
        first, self.inbound = self.inbound, mesh.free_port()
        self.start_sidecar(**more)
        peer = self.connect()
        self.inbound = first
        return peer

    def until_not(self, said, ask):
        """The first answer with another verdict."""
        answers = []
        mesh.wait_until(lambda: answers.append(ask()) or verdict(answers[-1]) != said, "another verdict than " + said)
        return answers[-1]
