"""The HTTP/1 corpus through real sidecars, one and two of them: what an upstream that takes only the one unambiguous form of a message
sees of each request, byte for byte, and what the client is told; and the same for responses."""
import os
import re
import select
import socket
import sys
import threading
import unittest

import http1_corpus
import mesh
import strict_http1

WRITE = os.environ.get("PILLION_CORPUS_WRITE")  # a folder: puts what leaves into copies of the corpus there, to be read and kept


class RecordingApp:
    """Answers each complete request with an empty 200 and keeps what it was sent."""

    def __init__(self):
        self.sock = socket.socket()
        self.sock.bind((mesh.HOST, 0))
        self.sock.listen(128)
        self.address = self.sock.getsockname()
        self.lock = threading.Condition()
        self.clear()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def clear(self):
        with self.lock:
            self.received = b""
            self.complete = []
            self.incomplete = 0  # connections that ended in the middle of a request
            self.ambiguous = []

    def _serve(self):
        readers = {}
        while True:
            ready, _, _ = select.select([self.sock] + list(readers), [], [])
            for sock in ready:
                if sock is self.sock:
                    if self.sock.fileno() < 0:
                        return
                    readers[self.sock.accept()[0]] = strict_http1.Reader()
                    continue
                try:
                    data = sock.recv(65536)
                except OSError:
                    data = b""
                with self.lock:
                    self._take(sock, readers, data)
                    self.lock.notify_all()

    def _take(self, sock, readers, data):
        reader = readers[sock]
        before = len(reader.complete())
        try:
            reader.feed(data)
        except strict_http1.Ambiguous as wrong:
            self.ambiguous.append(str(wrong))
            data = b""
        self.received += data
        done = reader.complete()[before:]
        self.complete += done
        if not data:
            if reader.messages and not reader.messages[-1].complete:
                self.incomplete += 1
            sock.close()
            del readers[sock]
            return
        try:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * len(done))
        except OSError:
            pass

    def wait(self, condition):
        with self.lock:
            return self.lock.wait_for(condition, timeout=mesh.WAIT)


def unchunked(messages):
    return [(message.head, message.body, message.trailers) for message in messages]


class Requests(mesh.MeshTest):
    def setUp(self):
        super().setUp()
        self.recorder = RecordingApp()
        self.start(addresses=[self.recorder.address])

    def talk(self, case, step):
        """(responses, statuses) after sending the bytes `step` at a time."""
        self.recorder.clear()
        client = mesh.Conversation(socket.create_connection((mesh.HOST, self.port), timeout=mesh.WAIT))
        reader = strict_http1.Reader(responses=True, answered=lambda i: case_methods(case)[i])
        try:
            for at in range(0, len(case.bytes), step):
                client.send(case.bytes[at:at + step])
            client.half_close()
        except OSError:
            pass  # it was refused and closed before all was sent
        try:
            reader.feed(client.rest_or_reset())
        finally:
            client.close()
        reader.end()
        return [int(message.first.group(2)) for message in reader.complete()], reader

    def expected_statuses(self, case):
        statuses = []
        for item in case.items:
            if item.startswith("error"):
                statuses.append(int(item.split(" ")[1]))
            elif item.startswith("end"):
                statuses.append(405 if case_methods(case)[len(statuses)] == b"CONNECT" else 200)
            if " close" in item and not item.startswith("body"):
                return [200]
        return statuses

    def check(self, case, step):
        statuses, reader = self.talk(case, step)
        expected = self.expected_statuses(case)
        # A client that leaves in the middle of its request is told nothing.
        self.assertEqual(statuses, expected)
        if expected and expected[-1] >= 400 and expected[-1] != 405:
            self.assertEqual(reader.complete()[-1].all("connection"), [b"close"])
        whole = sum(status == 200 for status in expected)
        self.assertTrue(self.recorder.wait(lambda: len(self.recorder.complete) >= whole))
        self.assertEqual(self.recorder.ambiguous, [])
        self.assertEqual(len(self.recorder.complete), whole, self.recorder.received)

    def all_cases(self):
        for name in ("requests", "desync"):
            for case in http1_corpus.load(name):
                yield name, case

    def test_what_leaves_is_what_was_read(self):
        left = {}
        for name, case in self.all_cases():
            with self.subTest(case=case.name):
                self.check(case, len(case.bytes))
                if "error" in case.items[-1] or case.items[-1] == "more":
                    if case.sent is not None:
                        self.assertEqual((case.sent, self.recorder.received), (b"", b""))
                    continue
                left[name, case.name] = self.recorder.received
                if not WRITE:
                    self.assertIsNotNone(case.sent, "the corpus does not say what leaves")
                    expected = strict_http1.Reader()
                    # RFC 9113 section 8.2.3: over HTTP/2 several Cookie fields become one, to the same effect.
                    expected.feed(case.sent if self.sidecars == 1 else case.sent.replace(b"\r\nCookie: b", b"; b"))
                    self.assertEqual(unchunked(self.recorder.complete), unchunked(expected.complete()))
                    if self.sidecars == 1:
                        self.assertEqual(self.recorder.received, case.sent)
        if WRITE and self.sidecars == 1:
            write_corpus(left)

    def test_byte_by_byte(self):
        for name, case in self.all_cases():
            if len(case.bytes) < 400:
                with self.subTest(case=case.name):
                    self.check(case, 1)


class RequestsAtTwo(mesh.AtTwo, Requests):
    pass


def case_methods(case):
    heads = [item for item in case.items if re.match(r"\S+ \S+ HTTP/1", item)]
    return [item.split(" ")[0].encode() for item in heads] + [b"GET"]


class Responses(mesh.MeshTest):
    def exchange(self, case):
        """What the client was sent, and whether the connection ended without a reset."""
        client = self.client()
        client.send("%s / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % case.method)
        app = self.app.accept()
        app.head()
        try:
            app.send(case.bytes)
            if case.eof:
                app.half_close()
        except OSError:
            pass
        got = client.rest_or_reset()
        client.close()
        app.close()
        self.app.connections.clear()
        self.clients.clear()
        return got

    def test_what_leaves_is_what_was_read(self):
        self.start()
        left = {}
        for case in http1_corpus.load("responses"):
            with self.subTest(case=case.name):
                got = self.exchange(case)
                reader = strict_http1.Reader(responses=True, answered=lambda i: case.method.encode())
                reader.feed(got)
                finals = [m for m in reader.messages if int(m.first.group(2)) >= 200]
                self.assertLessEqual(len(finals), 1, "two answers to one request")
                if case.items[-1].startswith("error"):
                    if len(case.items) == 1 or "error" in case.items[0]:
                        self.assertEqual([(m.first.group(2), m.complete) for m in finals], [(b"502", True)])
                    else:
                        # Found before its head was passed on, or behind it.
                        whole = [m.first.group(2) for m in finals if m.complete]
                        self.assertIn(whole, ([], [b"502"]), "a broken answer looks whole: %r" % got)
                    continue
                reader.end()
                self.assertEqual([m.complete for m in finals], [True])
                left["responses", case.name] = got
                if not WRITE:
                    self.assertIsNotNone(case.sent, "the corpus does not say what leaves")
                    expected = strict_http1.Reader(responses=True, answered=lambda i: case.method.encode())
                    expected.feed(case.sent)
                    expected.end()
                    self.assertEqual(unchunked(reader.complete()), unchunked(expected.complete()))
        if WRITE and self.sidecars == 1:
            write_corpus(left)


class ResponsesAtTwo(mesh.AtTwo, Responses):
    pass


def escaped(data):
    text = ""
    for byte in data:
        char = chr(byte)
        text += {"\r": "\\r", "\n": "\\n", "\t": "\\t", "\\": "\\\\"}.get(
            char, char if 0x20 <= byte < 0x7f else "\\x%02x" % byte)
    return text


def write_corpus(left):
    for name in {name for name, _ in left}:
        lines = []
        case = None
        with open(os.path.join(http1_corpus.HERE, "http1_corpus", name + ".txt")) as file:
            for line in file.read().split("\n"):
                if line.startswith("== "):
                    case = line[3:]
                if line.startswith("<"):
                    continue
                if line == "" and case is not None and len(left.get((name, case), b"x" * 9999)) < 2000:
                    for part in re.findall(rb".*?\n|.+\Z", left[name, case], re.S) or [b""]:
                        lines.append(("< " + escaped(part)).rstrip())
                    case = None
                lines.append(line)
        with open(os.path.join(WRITE, name + ".txt"), "w") as file:
            file.write("\n".join(lines))


if __name__ == "__main__":
    sys.setrecursionlimit(10000)
    unittest.main()
