"""Load from tools and clients that people use, and apps as processes, for tests that do something while it runs: who was asked how
often, and how many answers were bad."""

import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading

import mesh

WRK_SCRIPT = """
local threads = 0
function setup(thread) thread:set("id", threads); threads = threads + 1 end
function init(args) count = 0 end
function request()
  count = count + 1
  return wrk.format("GET", "/get/wrk-" .. id .. "-" .. count, {Host = "%s"})
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("requests %%d bad %%d", summary.requests, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


class Tool:
    """A tool that asks for so many seconds."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def result(self):
        """(requests, bad ones)"""
        said = self.process.communicate(timeout=10 * mesh.WAIT)[0].decode()
        assert self.process.returncode == 0, said
        return self.read(said)


class Wrk(Tool):
    """HTTP/1.1; each request has a path of its own."""

    def __init__(self, port, seconds, connections=8, host="shop", at=None):
        with tempfile.NamedTemporaryFile("w", suffix=".lua", dir=os.environ.get("TEST_TMPDIR"), delete=False) as script:
            script.write(WRK_SCRIPT % host)
        super().__init__("wrk", "-t1", "-c%d" % connections, "-d%ds" % seconds, "--timeout", "30s", "-s", script.name,
                         "http://%s:%d/" % (at or mesh.HOST, port))

    @staticmethod
    def read(said):
        return tuple(int(number) for number in re.search(r"requests (\d+) bad (\d+)", said).groups())


class H2load(Tool):
    """HTTP/2 with prior knowledge."""

    def __init__(self, port, seconds, connections=2, streams=4, host="shop", at=None):
        super().__init__("h2load", "-D", str(seconds), "-c", str(connections), "-m", str(streams), "-H", ":authority: " + host,
                         "http://%s:%d/get/h2load" % (at or mesh.HOST, port))

    @staticmethod
    def read(said):
        found = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", said)
        done, succeeded, failed, errored, timeout = (int(number) for number in found.groups())
        return done, max(done - succeeded, failed, errored, timeout)


class Posts(threading.Thread):
    """A client that sends one POST after the other, each with a path of its own, until it is told to stop."""

    made = 0

    def __init__(self, port, host="shop", at=None):
        super().__init__(daemon=True)
        self.where = at or mesh.HOST, port
        self.host = host
        Posts.made += 1
        self.name = "/post/%d-" % Posts.made
        self.statuses = {}  # by path; a text: why there was no answer
        self.over = threading.Event()
        self.start()

    def run(self):
        client = None
        while not self.over.is_set():
            client = client or http.client.HTTPConnection(*self.where, timeout=10 * mesh.WAIT)
            path = self.name + str(len(self.statuses))
            try:
                client.request("POST", path, body=b"abc", headers={"Host": self.host})
                answer = client.getresponse()
                answer.read()
                self.statuses[path] = answer.status
            except (OSError, http.client.HTTPException) as error:
                self.statuses[path] = repr(error)
                client.close()
                client = None
        if client is not None:
            client.close()

    def stop(self):
        self.over.set()
        self.join()
        return self.statuses


class CountingApp:
    """A process (counting_app.py) that can be killed, stopped and started again at the same address."""

    PROGRAM = os.path.join(os.path.dirname(os.path.realpath(__file__)), "counting_app.py")

    def __init__(self, milliseconds=10, host=None, port=None, prefix=()):
        """`host`, `port`: where it is reached, if not here; `prefix`: the command that runs it there."""
        self.address = host or mesh.HOST, port or mesh.free_port()
        with tempfile.NamedTemporaryFile(dir=os.environ.get("TEST_TMPDIR"), delete=False) as file:
            self.file = file.name
        self.command = [*prefix, sys.executable, self.PROGRAM, "0.0.0.0" if host else mesh.HOST, str(self.address[1]), self.file, str(milliseconds)]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)

    def wait(self):
        mesh.wait_until(lambda: mesh.listens(self.address[1], self.address[0]), "the app listens")

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def executed(self):
        """The paths of its POSTs, each as often as it was run."""
        with open(self.file) as file:
            return file.read().split()

    def stop(self):
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
        self.kill()
        os.unlink(self.file)
