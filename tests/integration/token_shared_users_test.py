"""token_users_test.py in mode `shared`: a user's keys are known to all replicas, and no other user's."""

import unittest

import token_users_test as rows
from token_keys_test import KEYS
from token_shared_rig import Shared
from token_users_test import principal


class UsersAtTheService(Shared, rows.UsersAtTheService):
    def test_row_31_at_another_replica(self):
        peer, order = self.start(**KEYS, **principal(self.issuer)), self.order()
        other = self.start_another(**KEYS, **principal(self.issuer))
        first = self.as_user(peer, self.issuer.bearer("ann"), order)
        self.expect(first, 201, "executed")
        self.expect(self.as_user(other, self.issuer.bearer("bob"), order), 201, "executed")
        again = self.as_user(other, self.issuer.bearer("ann", jti="2"), order)
        self.expect(again, 201, "replayed")
        self.assertEqual(again.body, first.body)
        self.ran(order, 2)


class UsersBetweenTwo(Shared, rows.UsersBetweenTwo):
    def start(self, policy=None, **more):
        super().start(policy={"shared": True, **(policy or {})}, **more)


if __name__ == "__main__":
    unittest.main(verbosity=2)
