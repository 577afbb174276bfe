#!/usr/bin/python3
"""Idempotency tokens, from a policy in YAML to what pillionctl, metrics and the explanation show of them.

Usage: tokens_test.py <pillion-control-plane> <pillion-sidecar> <pillionctl>
"""
import json
import os
import re
import subprocess
import sys
import unittest
import urllib.request

import gateway
import mesh
import token_redis
import web_tokens
from gateway import policy, route
from mesh import HOST

PILLIONCTL = sys.argv[3]
TO_ALL = route("r", ["{backendRefs: [{name: echo-v1, port: 80}]}"])
TOKENS = policy("IdempotencyPolicy", "echo-v1")


class Tokens(gateway.Gateway):
    names = ("v1",)
    behind_sidecars = True
    clients = {"explain": True}

    def tokens(self, of, *hashes):
        done = subprocess.run([PILLIONCTL, "tokens", "--sidecar", f"{HOST}:{self.admin[of]}", *hashes], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def log(self, of):
        try:
            with open(os.path.join(self.directory, "log-" + of), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""  # nothing was written yet

    def metrics(self, of):
        with urllib.request.urlopen(f"http://{HOST}:{self.admin[of]}/metrics", timeout=mesh.WAIT) as page:
            return dict(line.rsplit(" ", 1) for line in page.read().decode().splitlines() if not line.startswith("#"))

    def verdicts(self, of):
        """{verdict: count} over all routes."""
        found = {}
        for series, value in self.metrics(of).items():
            if series.startswith("pillion_token_verdicts_total"):
                verdict = re.search('verdict="([^"]*)"', series)[1]
                found[verdict] = found.get(verdict, 0) + int(value)
        return found

    def test_what_becomes_of_a_token_is_shown(self):
        self.assertIn("No records: this sidecar enforces no domain.", self.tokens("client-default"))
        self.apply(TO_ALL, TOKENS)

        def explained():
            status, seen = self.ask("/pay", "POST", x_pillion_explain="1")
            self.assertEqual(status, 200)
            self.assertFalse([name for name, _ in seen["fields"] if name.lower().startswith("pillion-")], "the app sees nothing of it")
            return re.search("token=([0-9a-f]{16}); verdict=([a-z-]+)", self.answer.getheader("x-pillion-explain") or "")

        # The client's side knows of the domain when the connection has told it.
        mesh.wait_until(explained, "requests have tokens")
        shown = subprocess.run([PILLIONCTL, "status", "--address", f"{HOST}:{self.control}"], capture_output=True, text=True, check=True).stdout
        self.assertRegex(shown, r"tokens of default/echo-v1:80 \(domain [0-9a-f]{16}\): stamping, all 1 endpoints enforce them\n")
        before = self.verdicts("echo-v1").get("executed", 0)
        found = explained()
        self.assertEqual(found[2], "executed")
        self.assertEqual(self.verdicts("echo-v1")["executed"], before + 1)
        # One line at each side, of one token.
        for side in ("client-default", "echo-v1"):
            mesh.wait_until(lambda side=side: found[1] in self.log(side), "its line in the log of " + side)
            line = next(line for line in map(json.loads, self.log(side).splitlines()) if line.get("token_hash") == found[1])
            self.assertEqual((line["token_verdict"], line["response_code"], line["path"]), ("executed", 200, "/pay"))
        record = self.tokens("echo-v1", found[1])
        self.assertRegex(record, r"state: +completed\n")
        self.assertRegex(record, r"the app's status: +200\n")
        self.assertIn("No record", self.tokens("echo-v1", "0123456789abcdef"))
        shown = self.tokens("echo-v1")
        self.assertRegex(shown, r"(?m)^[0-9a-f]{16} +0 +%d +0 +0 +0 +0 " % (before + 1))
        self.assertRegex(shown, r"(?m)^inbound +inbound .* executed=%d$" % (before + 1))
        self.assertRegex(self.tokens("client-default"), r"(?m)^outbound +default/r/0 .* %d +executed=%d$" % (before + 1, before + 1))
        self.assertEqual(self.ask("/pay", "GET")[0], 200)
        self.assertEqual(self.verdicts("echo-v1")["executed"], before + 1, "a GET has none")

    def test_what_may_have_run_is_not_run_again_and_shown_as_unknown(self):
        self.apply(TO_ALL, TOKENS)
        mesh.wait_until(lambda: self.ask("/warm", "POST", x_pillion_explain="1") and "token=" in (self.answer.getheader("x-pillion-explain") or ""),
                        "requests have tokens")
        identity = self.fresh()
        status, _ = self.ask("/pay", "POST", x_reset=f"1 {identity}", x_pillion_explain="1")
        self.assertEqual(status, 500)
        found = re.search("token=([0-9a-f]{16}); verdict=([a-z-]+)", self.answer.getheader("x-pillion-explain"))
        self.assertEqual(found[2], "unknown")
        self.assertEqual(self.apps["v1"].server.counts[identity], 1, "the app was asked once")
        self.assertRegex(self.tokens("echo-v1", found[1]), r"state: +unknown\n")
        metrics = self.metrics("echo-v1")
        self.assertEqual([value for series, value in metrics.items() if "pillion_token_records" in series and "unknown" in series], ["1"])
        self.assertEqual([value for series, value in metrics.items() if "double_execution" in series], ["0"])

    def test_what_is_wrong_with_a_question_is_said(self):
        def fails(*arguments):
            done = subprocess.run([PILLIONCTL, "tokens", *arguments], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            return done.stderr

        self.assertIn("expected hash= and 16 hexadecimal digits", fails("--sidecar", f"{HOST}:{self.admin['echo-v1']}", "xyz"))
        self.assertIn("connect", fails("--sidecar", f"{HOST}:{mesh.free_port()}").lower())
        self.assertIn("expected the admin address", fails("--sidecar", f"{HOST}:{self.apps['v1'].port}"))


class Keys(gateway.Gateway):
    """Idempotency-Key."""

    names = ("v1",)
    behind_sidecars = True
    clients = {"explain": True}

    def post(self, path, key=None, **fields):
        """(status, what the app saw, or the problem that is told, has it been told again?)"""
        status, seen = self.ask(path, "POST", x_pillion_explain="1", **({"idempotency_key": key} if key else {}), **fields)
        return status, seen, self.answer.getheader("idempotent-replayed") == "true"

    def apply_keys(self, **spec):
        self.apply(TO_ALL, policy("IdempotencyPolicy", "echo-v1", **spec))

        def stamped():
            self.post("/warm", self.fresh())
            return "token=" in (self.answer.getheader("x-pillion-explain") or "")

        mesh.wait_until(stamped, "requests with keys are stamped")

    def endpoints(self, *ports):
        self.write("services", self.service("echo", [(self.inbound["v1"], True)]) + self.service("echo-v1", [(port, True) for port in ports]) +
                   self.service("echo-v1", [(self.inbound["v1"], True)], "other"))

    def status(self):
        return subprocess.run([PILLIONCTL, "status", "--address", f"{HOST}:{self.control}"], capture_output=True, text=True, check=True).stdout

    def test_row_71_an_app_that_sends_its_request_again(self):
        self.apply_keys(keySource="App", require=True)
        key, path = self.fresh(), "/" + self.fresh()
        status, seen, replayed = self.post(path, key)
        self.assertEqual((status, replayed), (200, False))
        fields = {name.lower(): value for name, value in seen["fields"]}
        self.assertEqual(fields["idempotency-key"], key, "the app sees its key")
        self.assertEqual([name for name in fields if name.startswith("pillion-")], [])
        self.assertEqual(self.post(path, '"%s"' % key), (200, seen, True))
        self.assertEqual(self.seen_by("v1", path), 1)
        status, problem, _ = self.post(path)
        self.assertEqual((status, problem["type"]), (400, "urn:pillion:idempotency:key-required"))
        self.assertEqual(self.seen_by("v1", path), 1)
        # Another version of the policy knows what the one before promised.
        self.apply_keys(keySource="AppOrMint", methods=["POST", "PUT"])
        mesh.wait_until(lambda: self.post("/plain")[0] == 200, "no key is required any more")
        self.assertEqual(self.post(path, key), (200, seen, True))
        self.assertEqual(self.seen_by("v1", path), 1)

    def test_row_31_keys_that_are_a_users(self):
        issuer, next_one = web_tokens.Issuer(), web_tokens.Issuer(kid="two", rsa=True)
        file = os.path.join(issuer.folder, "jwks.json")
        self.apply_keys(keySource="App", principal={"issuer": issuer.name, "audiences": ["pay"], "jwksFile": file})
        key, path = self.fresh(), "/" + self.fresh()

        def as_user(user, by=issuer):
            return self.post(path, key, authorization=by.bearer(user, aud="pay"))

        self.assertEqual(as_user("ann")[1]["type"], "urn:pillion:idempotency:users-unknown", "the file is not there yet")
        with open(file, "w", encoding="utf-8") as out:
            out.write(issuer.jwks())
        mesh.wait_until(lambda: as_user("ann")[0] == 200, "the file is read")
        self.assertEqual([as_user("ann")[2], as_user("bob")[2], as_user("bob")[2]], [True, False, True])
        self.assertEqual(self.seen_by("v1", path), 2)
        for refused, name in ((self.post(path, key), "user-required"), (as_user("ann", next_one), "bad-user"),
                              (self.post(path, key, authorization=issuer.bearer("ann", aud="pay", valid_s=-120)), "bad-user")):
            self.assertEqual((refused[0], refused[1]["type"]), (401, "urn:pillion:idempotency:" + name))
        # The issuer has other keys, which stand in the policy now: the users are the same.
        self.apply_keys(keySource="App", principal={"issuer": issuer.name, "audiences": ["pay"], "jwks": next_one.jwks()})
        mesh.wait_until(lambda: as_user("ann", next_one)[0] == 200, "the keys are the new ones")
        self.assertEqual([as_user(user, next_one)[2] for user in ("ann", "bob")], [True, True])
        self.assertEqual(as_user("ann")[0], 401)
        self.assertEqual(self.seen_by("v1", path), 2)

    def test_row_61_a_service_that_gets_another_endpoint(self):
        self.apply_keys(keySource="App")
        key, path = self.fresh(), "/" + self.fresh()
        _, seen, _ = self.post(path, key)
        self.assertNotIn("keys of apps are refused", self.status())
        try:
            self.endpoints(self.inbound["v1"], mesh.free_port())

            def refused():
                status, told, _ = self.post(path, key)
                self.assertTrue(status == 503 or (status, told) == (200, seen), (status, told))
                return status == 503 and told is not None and told["type"] == "urn:pillion:idempotency:keys-elsewhere"

            mesh.wait_until(refused, "keys are refused")
            mesh.wait_until(lambda: "keys of apps are refused (503)" in self.status(), "status says so")
            self.assertRegex(self.status(), r"spec.keySource: expected Mint or Passthrough, mode: Shared, or a Service with one endpoint: keys are known to one "
                                            r"process, and default/echo-v1:80 has 2 that are ready")
            checked = subprocess.run([PILLIONCTL, "validate", self.config], capture_output=True, text=True)
            self.assertNotEqual(checked.returncode, 0)
            self.assertIn("keys are known to one process", checked.stdout + checked.stderr)
        finally:
            self.endpoints(self.inbound["v1"])
        mesh.wait_until(lambda: self.post(path, key)[0] == 200, "keys are known again")
        self.assertEqual(self.post(path, key), (200, seen, True))
        self.assertEqual(self.seen_by("v1", path), 1)

    def test_keys_that_the_app_looks_at_itself(self):
        self.apply(TO_ALL, policy("IdempotencyPolicy", "echo-v1", keySource="Passthrough"))
        identity = self.fresh()
        status, seen = self.ask("/pay", "POST", idempotency_key="k", x_reset=f"1 {identity}", x_pillion_explain="1")
        self.assertEqual(status, 200)
        self.assertIn("attempts=2", self.answer.getheader("x-pillion-explain"))
        self.assertIn(["idempotency-key", "k"], [[name.lower(), value] for name, value in seen["fields"]])
        self.assertEqual(self.apps["v1"].server.counts[identity], 2)
        self.assertNotIn("tokens of", self.status(), "nobody has to enforce it")
        other = self.fresh()
        self.assertEqual(self.ask("/pay", "POST", x_reset=f"1 {other}")[0], 502)
        self.assertEqual(self.apps["v1"].server.counts[other], 1)


def on_route(name, **spec):
    """An IdempotencyPolicy on the HTTPRoute of that name."""
    return "---\n" + json.dumps({"apiVersion": "policy.pillion.dev/v1alpha1", "kind": "IdempotencyPolicy", "metadata": {"name": "on-" + name},
                                 "spec": {"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name}], **spec}}) + "\n"


class SeveralBackends(gateway.Gateway):
    """A route with two of them, and policies on routes."""

    behind_sidecars = True
    clients = {"explain": True}
    status = Keys.status
    both = "backendRefs: [{name: echo-v1, port: 80}, {name: echo-v2, port: 80}]"

    def post(self, path, **more):
        """(status, has it a token?)"""
        status, seen = self.ask(path, "POST", x_pillion_explain="1", **more)
        stamped = "token=" in (self.answer.getheader("x-pillion-explain") or "")
        return status, (seen or {}).get("backend"), stamped

    def stamped(self, path):
        """Which backends' requests have tokens, of those that several in a row come to."""
        seen = {}
        for _ in range(4):
            status, backend, stamped = self.post(path)
            self.assertEqual(status, 200)
            seen.setdefault(backend, set()).add(stamped)
        return {backend: found == {True} for backend, found in seen.items()}

    def wait_stamped(self, path, **expected):
        mesh.wait_until(lambda: self.stamped(path) == expected, f"{path}: {expected}")

    def lines(self):
        return sorted(re.sub("[0-9a-f]{16}", "D", line) for line in self.status().splitlines() if line.startswith("tokens of"))

    def ask_and_lose(self, path, times):
        """{(status, has it a token?)} of requests whose app breaks off; each has come to an app once."""
        told = set()
        for _ in range(times):
            identity = self.fresh()
            status, _, stamped = self.post(path, x_reset=f"1 {identity}")
            told.add((status, stamped))
            self.assertEqual(sum(app.server.counts[identity] for app in self.apps.values()), 1)
        return told

    def test_each_backend_has_the_policy_of_its_service(self):
        self.apply(route("r", ["{%s}" % self.both]), TOKENS)
        self.wait_stamped("/pay", v1=True, v2=False)
        self.assertEqual(self.ask_and_lose("/pay", 4), {(500, True), (502, False)}, "what may have run, and what policy says nothing of")

    def test_a_policy_on_a_route_is_for_its_requests_alone(self):
        pay = route("pay", ["{matches: [{path: {value: /pay}}], %s}" % self.both])
        rest = route("rest", ["{matches: [{path: {value: /rest}}], %s}" % self.both])
        self.apply(pay, rest, on_route("pay", validity="1m"))
        self.wait_stamped("/pay", v1=True, v2=True)
        self.wait_stamped("/rest", v1=False, v2=False)
        self.assertEqual(self.ask_and_lose("/pay", 4), {(500, True)})
        stamping = "stamping, all 1 endpoints enforce them"
        of_route = [f"tokens of default/echo-{one}:80 by HTTPRoute default/pay (domain D): {stamping}" for one in self.names]
        self.assertEqual(self.lines(), of_route)
        # A Service's own policy is for the rest, and another domain.
        self.apply(pay, rest, on_route("pay", validity="1m"), policy("IdempotencyPolicy", "echo-v1", validity="2m"))
        self.wait_stamped("/rest", v1=True, v2=False)
        self.wait_stamped("/pay", v1=True, v2=True)
        self.assertEqual(self.lines(), sorted(of_route + [f"tokens of default/echo-v1:{port} (domain D): {stamping}" for port in (80, 8080)]))
        domains = {one: set(re.findall(f"tokens of default/{one}:80 .*domain ([0-9a-f]{{16}})", self.status())) for one in ("echo-v1", "echo-v2")}
        self.assertEqual({one: len(found) for one, found in domains.items()}, {"echo-v1": 2, "echo-v2": 1})
        for one, found in domains.items():
            self.assertLessEqual(found, set(re.findall("(?m)^[0-9a-f]{16}", Tokens.tokens(self, one))), "it has records of each")

    def test_a_backend_is_paused_by_itself(self):
        self.apply(route("r", ["{%s}" % self.both]), on_route("r"))
        self.wait_stamped("/pay", v1=True, v2=True)
        try:
            # Ready, and nobody's who enforces anything; what is sent there is tried again at the other.
            more = mesh.free_port()
            self.write("services", self.service("echo", [(self.inbound["v1"], True)]) + self.service("echo-v1", [(self.inbound["v1"], True)]) +
                       self.service("echo-v2", [(self.inbound["v2"], True), (more, True)]) + "".join(
                           self.service("echo-" + one, [(self.inbound[one], True)], "other") for one in self.names))
            self.wait_stamped("/pay", v1=True, v2=False)
            self.assertEqual(self.lines(), [
                "tokens of default/echo-v1:80 by HTTPRoute default/r (domain D): stamping, all 1 endpoints enforce them",
                f"tokens of default/echo-v2:80 by HTTPRoute default/r (domain D): not stamping yet, of 2 endpoints some do not enforce them: {HOST}:{more}"])
        finally:
            self.write_services({one: (port, True) for one, port in self.inbound.items()})
        self.wait_stamped("/pay", v1=True, v2=True)

    def test_what_cannot_be_is_said(self):
        def problems(*yaml):
            path = os.path.join(self.directory, "checked")
            os.makedirs(path, exist_ok=True)
            with open(os.path.join(path, "all.yaml"), "w", encoding="utf-8") as file:
                file.write("".join(gateway.service("echo-" + one, []) for one in self.names) + gateway.service("echo", []) + "".join(yaml))
            done = subprocess.run([PILLIONCTL, "validate", path], capture_output=True, text=True)
            return done.returncode, done.stdout + done.stderr

        both = route("r", ["{%s}" % self.both])
        code, said = problems(both, on_route("r"))
        self.assertEqual(code, 0, said)
        code, said = problems(both, on_route("r", keySource="App"))
        self.assertEqual(code, 1)
        self.assertIn("spec.keySource: expected Mint or Passthrough where a target is a route", said)
        code, said = problems(both, on_route("s"))
        self.assertEqual(code, 1)
        self.assertIn("spec.targetRefs[0]: expected an HTTPRoute, there is no default/s", said)


class SharedRecords(gateway.Gateway):
    """mode: Shared, with a real Redis server and its replica, and keys that the control plane makes."""

    behind_sidecars = True
    clients = {"explain": True}
    post, status = Keys.post, Keys.status

    @classmethod
    def setUpClass(cls):
        cls.servers = token_redis.Servers(1)
        cls.addClassCleanup(cls.servers.stop)
        super().setUpClass()

    @classmethod
    def spawn(cls, *command):
        if command[0] == gateway.CONTROL_PLANE:
            path = os.path.join(cls.directory, "token-key")
            with open(path, "w", encoding="ascii") as file:
                file.write("0f" * 32 + "\n")
            command += ("--token-key-file", path)
        super().spawn(*command)

    @classmethod
    def sidecar(cls, name, namespace, **more):
        super().sidecar(name, namespace, **more, **({"service": "echo"} if name.startswith("echo") else {}))

    def page(self, of, path):
        with urllib.request.urlopen(f"http://{HOST}:{self.admin[of]}{path}", timeout=mesh.WAIT) as page:
            return page.read().decode()

    def test_a_key_is_known_to_all_replicas_of_the_service(self):
        addresses = [f"{HOST}:{one.port}" for one in self.servers.all]
        self.apply(route("r", ["{backendRefs: [{name: echo, port: 80}]}"]), policy("IdempotencyPolicy", "echo", keySource="AppOrMint", mode="Shared", store={"addresses": addresses}))
        mesh.wait_until(lambda: re.search(r"tokens of default/echo:80 \(domain [0-9a-f]{16}\): stamping, all 2 endpoints enforce them", self.status()),
                        "they are enforced")
        self.servers.age("default/echo")

        def stamped():
            status, _, _ = self.post("/warm", self.fresh())
            return status == 200 and "token=" in (self.answer.getheader("x-pillion-explain") or "")

        mesh.wait_until(stamped, "requests with keys are stamped, and the store knows what there was")
        for _ in range(4):  # whichever process they come to
            key, path = self.fresh(), "/" + self.fresh()
            status, seen, replayed = self.post(path, key)
            self.assertEqual((status, replayed), (200, False))
            for _ in range(4):
                self.assertEqual(self.post(path, key), (200, seen, True))
            self.assertEqual(sum(self.seen_by(one, path) for one in self.names), 1)
        # What opens the answers is nowhere to be read.
        for of in ("echo-v1", "echo-v2"):
            dump = self.page(of, "/config_dump")
            self.assertIn("token-store|echo.default.svc.cluster.local", dump)
            self.assertIn("[redacted]", dump)
            mesh.wait_until(lambda of=of: [(one["workers"], one["ready"], one["trouble"]) for one in json.loads(self.page(of, "/tokens"))["stores"]] ==
                            [(1, 1, "")] * 2, "it says so: of tokens, and of keys")
            self.assertIn("STORE OF", Tokens.tokens(self, of))
        self.assertGreater(sum(one["claims"] for of in ("echo-v1", "echo-v2") for one in json.loads(self.page(of, "/tokens"))["stores"]), 20)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
