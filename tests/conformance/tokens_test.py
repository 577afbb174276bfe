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


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
