"""Rows 31 and 32 of the test matrix of specs/idempotency.md 4.4: keys of applications that are an end user's, whom a JWT names. Real
sidecars, keys that the test makes. In mode `shared` they run again in token_shared_users_test.py."""

import os
import unittest

import mesh
import token_keys_test as rows
import token_rig
import web_tokens
from token_keys_test import EITHER, KEYS, problem


def principal(issuer, file=None, **more):
    jwks = {"filename": file} if file else {"inline_string": issuer.jwks()}
    return {"principal": {"claim": "sub", "issuer": issuer.name, "jwks": jwks, **more}}


class UsersAtTheService(token_rig.AtTheService):
    begin, ask, directly = rows.KeysAtTheService.begin, rows.KeysAtTheService.ask, rows.KeysAtTheService.directly

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.issuer, cls.stranger = web_tokens.Issuer(), web_tokens.Issuer()

    def as_user(self, peer, authorization, order, *do, key="k", **more):
        fields = [("authorization", authorization)] if authorization else []
        return self.ask(peer, key, order, *do, fields=fields, **more)

    def expect_refused(self, answer, name):
        self.expect(answer, 401, "bad-token")
        self.assertEqual(answer.fields["content-type"], "application/problem+json")
        self.assertEqual(problem(answer.body), name)
        self.assertTrue(answer.fields["www-authenticate"].startswith("Bearer"), answer.fields)

    def test_row_31_the_same_key_of_another_user_is_another(self):
        peer, order = self.start(**KEYS, **principal(self.issuer)), self.order()
        bodies = {}
        for user in ("ann", "bob"):
            first = self.as_user(peer, self.issuer.bearer(user), order)
            self.expect(first, 201, "executed")
            bodies[user] = first.body
        self.ran(order, 2)
        for user in ("ann", "bob"):
            for stamped in (False, True):
                again = self.as_user(peer, self.issuer.bearer(user), order, stamped=stamped)
                self.expect(again, 201, "replayed")
                self.assertEqual(again.body, bodies[user], "its own answer")
        self.assertNotEqual(bodies["ann"], bodies["bob"])
        self.ran(order, 2)

    def test_row_31_who_is_not_believed_is_refused_and_not_run(self):
        peer, order = self.start(**KEYS, **principal(self.issuer, audiences=["pay"])), self.order()
        good = self.issuer.token("ann", aud="pay")
        head, claims, signature = good.split(".")
        none = web_tokens.encode({"alg": "none"})
        self.expect_refused(self.as_user(peer, None, order), "user-required")
        self.expect_refused(self.as_user(peer, "Basic YTpi", order), "user-required")
        for bad in (self.issuer.token("ann", aud="pay", valid_s=-120), self.issuer.token("ann", aud="pay", iss="https://other.test"),
                    self.issuer.token("ann", aud="ship"), self.issuer.token("ann"), self.issuer.token("ann", aud="pay", exp=None),
                    self.issuer.token("", aud="pay"), self.issuer.token(7, aud="pay"), self.stranger.token("ann", aud="pay"),
                    "%s.%s." % (none, claims), "%s.%s.%s" % (none, claims, signature), "%s.%s" % (head, claims), good + "A"):
            for stamped in (False, True):
                self.expect_refused(self.as_user(peer, "Bearer " + bad, order, stamped=stamped), "bad-user")
        self.ran(order, 0)
        self.expect(self.as_user(peer, "Bearer " + good, order), 201, "executed")
        self.expect_refused(self.as_user(peer, None, order), "user-required")
        self.ran(order)

    def test_row_31_two_tokens_are_none(self):
        peer, order = self.start(**KEYS, **principal(self.issuer)), self.order()
        ann, bob = self.issuer.bearer("ann"), self.issuer.bearer("bob")
        for pair in ((ann, bob), (ann, ann), (ann, ""), ("Basic YTpi", ann)):
            answer = self.ask(peer, "k", order, fields=[("authorization", one) for one in pair])
            self.expect_refused(answer, "user-required")
            self.assertEqual(self.directly(order, [b"Idempotency-Key: k", *(b"Authorization: " + one.encode() for one in pair)]).status, 401)
        self.expect_refused(self.as_user(peer, ann + ", " + bob, order), "bad-user")
        self.ran(order, 0)

    def test_row_32_a_token_that_is_renewed_between_attempts(self):
        peer, order = self.start(**KEYS, **principal(self.issuer)), self.order()
        first = self.as_user(peer, self.issuer.bearer("ann"), order, "echo authorization")
        self.expect(first, 201, "executed")
        renewed = self.issuer.bearer("ann", valid_s=600, jti="2")
        again = self.as_user(peer, renewed, order, "echo authorization")
        self.expect(again, 201, "replayed")
        self.assertEqual(again.body, first.body)
        self.assertTrue(first.fields["x-echo"].startswith("Bearer "), "the app sees it")
        self.ran(order)

    def test_row_66_cookies_are_told_again_to_the_user_that_they_were_for(self):
        peer, order = self.start(**EITHER, **principal(self.issuer)), self.order()
        for said in ("executed", "replayed"):
            answer = self.as_user(peer, self.issuer.bearer("ann"), order, "field set-cookie:session=1")
            self.expect(answer, 201, said)
            self.assertEqual(answer.fields["set-cookie"], "session=1")
        self.assertEqual(self.made[-1].metrics()["pillion_token_cookies_dropped_total"], 0)
        self.ran(order)

    def test_what_has_no_key_needs_no_token(self):
        peer, order = self.start(**EITHER, **principal(self.issuer)), self.order()
        self.assertEqual(self.as_user(peer, None, order, key=None).status, 201)
        self.assertEqual(self.as_user(peer, "Bearer a", order, key=None).status, 201)
        self.expect(peer.ask(peer.mint(), order), 201, "executed")
        self.ran(order, 3)

    def test_keys_of_the_issuer_in_a_file_are_followed(self):
        file = os.path.join(self.app.folder, "jwks.json")
        old, new = self.issuer, web_tokens.Issuer(kid="two", rsa=True)
        self.write(file, old.jwks())
        peer, order = self.start(**KEYS, **principal(old, file=file)), self.order()
        self.expect(self.as_user(peer, old.bearer("ann"), order), 201, "executed")
        self.expect_refused(self.as_user(peer, new.bearer("ann"), order), "bad-user")
        self.write(file, old.jwks(new))
        mesh.wait_until(lambda: self.as_user(peer, new.bearer("ann"), order).status == 201, "the file is followed")
        self.expect(self.as_user(peer, new.bearer("ann"), order), 201, "replayed")
        self.ran(order)

    def test_a_sidecar_whose_users_nobody_could_know_does_not_start(self):
        file = os.path.join(self.app.folder, "none.json")
        with self.assertRaisesRegex(AssertionError, "the sidecar ended with 1: .*keys of users in .*No such file"):
            self.start(**KEYS, **principal(self.issuer, file=file))
        with self.assertRaisesRegex(AssertionError, r"domains\[0\]\.principal\.jwks: keys: expected an array of JWK"):
            self.start(**KEYS, **principal(self.issuer, jwks={"inline_string": "{}"}))

    def write(self, file, text):
        with open(file + ".next", "w", encoding="utf-8") as out:
            out.write(text)
        os.rename(file + ".next", file)

    def test_nothing_shows_the_token_or_the_user(self):
        peer, order = self.start(**KEYS, **principal(self.issuer)), self.order()
        token = self.issuer.token("a-user-that-nobody-sees")
        told = [self.as_user(peer, "Bearer " + token, order), self.as_user(peer, "Bearer " + token, order),
                self.as_user(peer, "Bearer " + token[:-4], order)]
        self.assertEqual([answer.status for answer in told], [201, 201, 401])
        pages = [self.made[-1].page(page) for page in ("/tokens", "/metrics", "/certs", "/config_dump")]
        shown = "\n".join([*map(str, told), *map(str, pages), self.made[-1].stderr()])
        for secret in ("a-user-that-nobody-sees", *token.split(".")[1:]):
            self.assertNotIn(secret, shown)


class UsersBetweenTwo(token_rig.BetweenTwo):
    def start_with_users(self, **more):
        self.issuer, self.warm = web_tokens.Issuer(), 0
        self.start(policy={"key_source": "APP"}, stamps=False, **KEYS, **principal(self.issuer), **more)

        def stamped():
            self.warm += 1
            return self.token_of(self.as_user("warm-%d" % self.warm, "ann", "warm"))

        mesh.wait_until(stamped, "keys are stamped")

    def as_user(self, key, user, order, *do):
        fields = [("Idempotency-Key", key)] + ([("Authorization", self.issuer.bearer(user))] if user else [])
        return self.ask(order, *do, fields=fields)

    def test_row_31_by_a_sidecar_of_the_caller_whose_answer_is_lost(self):
        self.start_with_users()
        order = self.order()
        for count, user in enumerate(("ann", "bob"), 1):
            self.lose(1)
            head = self.as_user("k", user, order)
            self.assertEqual(head.status, 201)
            self.assertIn("verdict=replayed", head.get("x-pillion-explain"))
            self.assertIn("attempts=2", head.get("x-pillion-explain"))
            self.ran(order, count)

    def test_row_31_who_does_not_say_is_told_so(self):
        self.start_with_users()
        order = self.order()
        head = self.as_user("k", None, order)
        self.assertEqual((head.status, head.get("www-authenticate")), (401, "Bearer"))
        self.assertEqual(problem(self.body), "user-required")
        self.assertIn("attempts=1", head.get("x-pillion-explain"))
        self.assertEqual([name for name in head.names() if name.startswith("pillion-")], [])
        self.ran(order, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
