"""token_keys_test.py in mode `shared`: keys of applications are known to all replicas, and gRPC."""

import unittest

import token_keys_test as rows
from token_keys_test import KEYS
from token_shared_rig import Shared


class KeysAtTheService(Shared, rows.KeysAtTheService):
    def test_row_03_a_key_that_comes_to_another_replica(self):
        peer, order = self.start(**KEYS), self.order()
        other = self.start_another(**KEYS)
        first = self.ask(peer, "k", order)
        self.expect(first, 201, "executed")
        again = self.ask(other, "k", order)
        self.expect(again, 201, "replayed")
        self.assertEqual(again.body, first.body)
        self.ran(order)

    def test_row_44_keys_that_are_not_known_are_refused_while_it_is_in_doubt(self):
        peer, order = self.start(**KEYS), self.order()
        self.expect(self.ask(peer, "k", order), 201, "executed")
        self.servers.primary.do("FLUSHALL")
        self.expect(self.ask(peer, "k", order), 503, "doubt")
        self.expect(self.ask(peer, "other", order), 503, "doubt")
        self.ran(order)

    test_row_61_keys_that_another_process_knows = None  # all processes know them

    def test_a_stamp_that_names_another_process_never_runs(self):
        """Any process will do."""
        peer, order = self.start(**KEYS), self.order()
        self.expect(self.ask(peer, "k", order, stamped=True, first=b"\x01" * 16), 201, "executed")
        self.expect(self.ask(peer, "k", order), 201, "replayed")
        self.ran(order)


class KeysBetweenTwo(Shared, rows.KeysBetweenTwo):
    test_passed_through_the_app_is_asked_again_with_its_key = None  # nobody keeps records

    def start(self, policy=None, **more):
        super().start(policy={"shared": True, **(policy or {})}, **more)


class Calls(Shared, rows.Calls):
    def start(self, policy=None, **more):
        super().start(policy={"shared": True, **(policy or {})}, **more)


if __name__ == "__main__":
    unittest.main(verbosity=2)
