"""The corpus of HTTP/1 messages in http1_corpus/, and what reads it.

  == name                      a case
  # RFC 9112 section 5.1: ...  why its verdict is what it is
  ! method HEAD                responses: the request that is answered (GET)
  ! eof                        the connection ends after the bytes
  > GET / HTTP/1.1\\r\\n         the bytes: all these lines joined; \\r \\n \\t \\\\ \\xNN, and \\{COUNT*TEXT} repeats
  = GET / HTTP/1.1 ...         the transcript, an item a line; see below
  < GET / HTTP/1.1\\r\\n         what leaves the sidecar on its other side, byte for byte
  <                            nothing leaves

Items: a head (`METHOD TARGET VERSION host=H keep|close [name: value]...`, or `STATUS VERSION ...`), `body TEXT`, `end
[name: value]...` with the trailers, `error STATUS`, and `more` where a message is not complete."""
import os
import re
import subprocess

HERE = os.path.dirname(os.path.realpath(__file__))
ITEM_END = "\x1f"
DETAIL = "\x1e"


class Case:
    def __init__(self, name, role):
        self.name = name
        self.role = role  # "Q": requests, "R": responses
        self.why = []
        self.method = "GET"
        self.eof = False
        self.bytes = b""
        self.items = []
        self.sent = None  # bytes, or None when the corpus does not say

    def task(self):
        return "%s %s %s %s" % (self.role, self.method, "eof" if self.eof else "open", self.bytes.hex())


def unescape(text):
    text = re.sub(r"\\\{(\d+)\*([^}]*)\}", lambda m: m.group(2) * int(m.group(1)), text)
    simple = {"r": "\r", "n": "\n", "t": "\t", "\\": "\\"}
    return re.sub(r"\\(x[0-9a-f]{2}|.)", lambda m: simple[m.group(1)] if m.group(1) in simple
                  else chr(int(m.group(1)[1:], 16)), text).encode("latin-1")


def load(name):
    """The cases of http1_corpus/NAME.txt in their order."""
    cases = []
    role = "R" if name.startswith("responses") else "Q"
    with open(os.path.join(HERE, "http1_corpus", name + ".txt"), encoding="ascii") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            mark, rest = line[:1], line[2:]
            if line.startswith("== "):
                cases.append(Case(line[3:], role))
            elif mark == "" or not cases:
                continue
            elif mark == "#":
                cases[-1].why.append(rest)
            elif mark == "!":
                if rest == "eof":
                    cases[-1].eof = True
                else:
                    cases[-1].method = rest.split(" ")[1]
            elif mark == ">":
                cases[-1].bytes += unescape(rest)
            elif mark == "=":
                cases[-1].items.append(rest)
            elif mark == "<":
                cases[-1].sent = (cases[-1].sent or b"") + unescape(rest)
            else:
                raise AssertionError("%s.txt:%d: not a line of a corpus: %r" % (name, number, line))
    names = [case.name for case in cases]
    assert len(set(names)) == len(names), "a name is used twice"
    return cases


class Verdict:
    def __init__(self, line):
        self.cut = line.startswith("CUT")  # it depends on how the bytes are cut
        self.text = line.replace(ITEM_END, " | ")
        items, _, self.detail = line.partition(DETAIL)
        self.items = items.split(ITEM_END) if items else []

    @property
    def error(self):
        return bool(self.items) and self.items[-1].startswith("error")

    def comparable(self):
        """The messages, up to the last of the connection: nothing behind it is one (RFC 9112 section 9.6). That something is
        an error counts, and not with which status; nor does it whether a connection is used again after a 204."""
        taken = []
        for item in self.items:
            if item.startswith("error"):
                item = "error"
            elif item.startswith("204 "):
                item = re.sub(" (keep|close)", "", item, count=1)
            taken.append(item)
            if item.startswith("end") and " close" in taken[-2 if not taken[-2].startswith("body ") else -3]:
                break
        return taken


def judge(command, tasks):
    """What the program says of each task."""
    done = subprocess.run(command, input="".join(task + "\n" for task in tasks).encode(), stdout=subprocess.PIPE,
                          check=True)
    lines = done.stdout.decode("latin-1").split("\n")[:-1]
    assert len(lines) == len(tasks), (len(lines), len(tasks))
    return [Verdict(line) for line in lines]


def tool():
    """Our parser's verdicts."""
    return [os.path.join(os.environ["TEST_SRCDIR"], os.environ["TEST_WORKSPACE"],
                         "tests/conformance/http1_verdict")]


def node():
    return ["/usr/bin/node", "--no-deprecation", os.path.join(HERE, "node_verdict.js")]
