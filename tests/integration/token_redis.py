"""Real Redis servers for the tests of shared records: a primary and its replicas, which may be killed, held up and promoted."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile

import mesh
from mesh import HOST

SERVICE = "orders"
SHARDS = 64
MEMORY = "/dev/shm"


class Server:
    def __init__(self, *arguments, primary=None):
        self.port = mesh.free_port()
        # In memory: one that becomes a replica has its log written to the disk first, and answers nobody meanwhile.
        self.folder = tempfile.mkdtemp(dir=MEMORY if os.access(MEMORY, os.W_OK) else os.environ.get("TEST_TMPDIR"), prefix="pillion-redis.")
        self.arguments = list(arguments)
        if primary:
            self.arguments += ["--replicaof", HOST, str(primary.port)]
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", HOST, "--dir", self.folder, "--save", "", "--appendonly", "yes",
             "--appendfsync", "no", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", "--databases", "1",
             "--min-replicas-to-write", "1", "--min-replicas-max-lag", "2", *self.arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        mesh.wait_until(lambda: self.ask("PING") == "PONG", "the server answers")

    def ask(self, *words):
        """The reply as text, or a list of those; None: there is none, or nobody who gives one."""
        try:
            talk = mesh.Conversation(socket.create_connection((HOST, self.port), timeout=mesh.WAIT))
        except ConnectionError:
            return None
        try:
            words = [str(word).encode() for word in words]
            talk.send(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
            return self.reply(talk)
        finally:
            talk.sock.close()

    def reply(self, talk):
        line = talk.until(b"\r\n")[:-2]
        kind, rest = line[:1], line[1:].decode()
        if kind == b"$":
            return None if rest == "-1" else talk.exactly(int(rest) + 2)[:-2].decode("latin-1")
        if kind == b"*":
            return [self.reply(talk) for _ in range(int(rest))]
        return rest

    def do(self, *words):
        said = self.ask(*words)
        if said != "OK":
            raise AssertionError("%s: %s" % (" ".join(map(str, words)), said))

    def info(self, name):
        return dict(line.split(":", 1) for line in self.ask("INFO").splitlines() if ":" in line).get(name)

    def records(self):
        return [key for key in self.ask("KEYS", "p:*") if not key.endswith((":epoch", ":ends", ":ends-of-keys"))]

    def age(self, service=SERVICE):
        """As if the store had been there for long: what it does not know was never there."""
        for shard in range(SHARDS):
            self.ask("HSET", "p:{%s:%d}:epoch" % (service, shard), "start", "1")

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Servers:
    """A primary and so many replicas of it, in step."""

    def __init__(self, replicas=1, *arguments):
        self.primary = Server(*arguments)
        self.replicas = [Server(*arguments, primary=self.primary) for _ in range(replicas)]
        self.all = [self.primary] + self.replicas
        self.in_step()

    def in_step(self):
        mesh.wait_until(lambda: self.primary.info("connected_slaves") == str(len(self.replicas)) and
                        all(one.info("master_link_status") == "up" for one in self.replicas), "the replicas follow")
        # One that is refused while the primary counts them proves nothing.
        mesh.wait_until(lambda: self.primary.ask("SET", "step", "1") == "OK", "the primary takes writes")
        mesh.wait_until(lambda: all(one.ask("GET", "step") == "1" for one in self.replicas), "the replicas have them")
        self.primary.ask("DEL", "step")

    def promote(self, replica):
        """It is the primary, and the other replicas follow it. Whoever was before is dead, or believes that it is still."""
        self.primary = replica
        self.replicas.remove(replica)
        replica.do("REPLICAOF", "NO", "ONE")
        for other in self.replicas:
            other.do("REPLICAOF", HOST, replica.port)
        self.in_step()

    def fail_over(self):
        """The primary dies and a replica takes its place; it comes back as a replica of that."""
        old = self.primary
        old.kill()
        self.promote(self.replicas[0])
        old.arguments = ["--replicaof", HOST, str(self.primary.port)]
        old.start()
        self.replicas.append(old)
        self.in_step()

    def age(self, service=SERVICE):
        self.primary.age(service)

    def addresses(self):
        return [(HOST, one.port) for one in self.all]

    def stop(self):
        for one in self.all:
            one.resume()
            one.kill()
            shutil.rmtree(one.folder, ignore_errors=True)
