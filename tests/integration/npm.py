"""Runs the foreign clients of tests/npm."""

import hashlib
import json
import os
import pwd
import subprocess

import mesh


def _command(script, arguments):
    here = os.path.join(os.environ.get("TEST_SRCDIR", ""), os.environ.get("TEST_WORKSPACE", ""), "tests/npm")
    if not os.path.isdir(here):
        here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../npm")
    with open(os.path.join(here, "package-lock.json"), "rb") as lock:
        place = hashlib.sha256(lock.read()).hexdigest()[:16]
    modules = os.path.join(pwd.getpwuid(os.getuid()).pw_dir, ".cache/pillion-npm", place, "node_modules")
    if not os.path.isdir(modules):
        raise AssertionError("deploy/install-packages has not installed the clients of tests/npm: " + modules)
    return ["node", os.path.join(here, script), *arguments], {**os.environ, "NODE_PATH": modules}


def run(script, *arguments, ca=None):
    """What the script prints, as JSON. `ca`: an authority that it trusts."""
    command, env = _command(script, arguments)
    if ca:
        env["NODE_EXTRA_CA_CERTS"] = ca
    ran = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=3 * mesh.WAIT)
    if ran.returncode != 0:
        raise AssertionError("%s: %s" % (script, ran.stderr.decode()))
    return json.loads(ran.stdout.decode())


class Server:
    """A script that serves, prints its port and ends with its stdin."""

    def __init__(self, script, *arguments):
        command, env = _command(script, arguments)
        self._process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.address = (mesh.HOST, int(self._process.stdout.readline()))

    def stop(self):
        self._process.stdin.close()
        code = self._process.wait(timeout=mesh.WAIT)
        self._process.stdout.close()
        if code != 0:
            raise AssertionError("a server of tests/npm ended with %d" % code)
