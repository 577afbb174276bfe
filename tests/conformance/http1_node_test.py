"""Our HTTP/1 parser and Node's (llhttp) give the same verdicts on the same bytes, whole and cut at every offset; where they do not,
http1_corpus/differences.txt says so, with the sentence that decides. A difference that is not listed fails, and so does a listed one
that is none any more.

What is compared is the messages that are read: heads, bodies, trailers, and that something is an error. Two readers that both accept
bytes and see different messages in them are what request smuggling lives on: for mutated messages only one bug of an old Node is listed."""
import os
import random
import subprocess
import unittest

import http1_corpus

NAMES = ("requests", "desync", "responses")
MUTATIONS = 20000
SEED = 1


def node_major():
    version = subprocess.run(http1_corpus.node()[:1] + ["--version"], stdout=subprocess.PIPE, check=True).stdout
    return version.decode().lstrip("v").split(".")[0]


def load_differences(major):
    """({case name: (ours, node's)}, {our detail}, {Node's code}, {start of an item of ours that Node reads otherwise}) for that
    version; each has its sentence above it."""
    cases, stricter, laxer, otherwise = {}, {}, {}, {}
    why = ""
    ruled = True
    path = os.path.join(http1_corpus.HERE, "http1_corpus", "differences.txt")
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if line.startswith("# "):
                why = line[2:] if ruled else why + line[2:]
                ruled = False
                continue
            ruled = True
            if line == "":
                why = ""
                continue
            kind, _, rest = line.partition(": ")
            kind, _, only = kind.partition("@")
            if only not in ("", major):
                continue
            assert "RFC" in why, "differences.txt:%d: no sentence above it" % number
            if kind == "case":
                name, ours, node = rest.split(" => ")
                cases[name] = (ours, node)
            elif kind == "we refuse":
                stricter[rest] = why
            elif kind == "node refuses":
                laxer[rest] = why
            elif kind == "node reads otherwise":
                otherwise[rest] = why
            else:
                raise AssertionError("differences.txt:%d: %r" % (number, line))
    return cases, stricter, laxer, otherwise


def short(verdict):
    """What a line of differences.txt says of it."""
    if verdict.cut:
        return "depends on the cut"
    return "refused" if verdict.error else "accepted"


def agree_so_far(ours, node):
    """What both had read before one of them refused is the same."""
    a = [item for item in ours.comparable() if item != "error"]
    b = [item for item in node.comparable() if item != "error"]
    common = min(len(a), len(b))
    if common == 0 or a[:common] == b[:common]:
        return True
    # One may have read more of a body before it saw what was wrong.
    last, other = a[common - 1], b[common - 1]
    return a[:common - 1] == b[:common - 1] and last.startswith("body ") and other.startswith("body ") and \
        (last.startswith(other) or other.startswith(last))


def same(ours, node):
    if ours.cut or node.cut:
        return False
    a, b = ours.comparable(), node.comparable()
    if a[-1:] == ["error"] and b[-1:] == ["error"]:  # a refusal may come with the head or behind it
        return agree_so_far(ours, node)
    if node.detail == "UPGRADED":  # it leaves the rest to whoever knows whether there is an upgrade
        return a[:len(b)] == b
    # Node tells of an incomplete head nothing at all.
    return a == b or (a[-1:] == ["more"] and a[:-1] == b)


def mutate(rng, texts, donors):
    text = rng.choice(texts)
    for _ in range(rng.randrange(1, 3)):
        at = rng.randrange(len(text) + 1)
        other = rng.choice(donors)
        start = rng.randrange(len(other))
        kind = rng.randrange(6)
        if kind == 0:
            text = text[:at] + bytes([rng.choice(b"\r\n\t\0\x0b\x7f\x80 :;,0aA/")]) + text[at:]
        elif kind == 1:
            text = text[:at] + bytes([rng.randrange(256)]) + text[at + 1:]
        elif kind == 2:
            text = text[:at] + text[at + rng.randrange(1, 9):]
        elif kind == 3:
            text = text[:at] + other[start:start + rng.randrange(1, 30)] + text[at:]
        elif kind == 4:
            lines = text.split(b"\r\n")
            lines.insert(rng.randrange(len(lines)), rng.choice(other.split(b"\r\n")))
            text = b"\r\n".join(lines)
        else:
            text = text[:at] + text[at:at + 12].swapcase() + text[at + 12:]
    return text[:2000]


class Differential(unittest.TestCase):
    def judge(self, cases):
        tasks = [case.task() for case in cases]
        return list(zip(cases, http1_corpus.judge(http1_corpus.tool(), tasks),
                        http1_corpus.judge(http1_corpus.node(), tasks)))

    def test_the_corpus(self):
        listed, _, _, _ = load_differences(node_major())
        found = {}
        seen = {}
        for name in NAMES:
            for case, ours, node in self.judge(http1_corpus.load(name)):
                self.assertFalse(ours.cut, ours.text)
                if not same(ours, node):
                    key = name + "/" + case.name
                    found[key] = (short(ours), short(node) if short(ours) != short(node) else "accepted otherwise")
                    seen[key] = "\n  ours: %s\n  node: %s" % (ours.text, node.text)
        wrong = ["%s: %s%s" % (key, found[key], seen[key]) for key in found if listed.get(key) != found[key]]
        wrong += ["%s is listed and is no difference" % key for key in listed if key not in found]
        self.assertFalse(wrong, "\n" + "\n".join(wrong))

    def test_mutations(self):
        _, stricter, laxer, otherwise = load_differences(node_major())
        rng = random.Random(SEED)
        cases = []
        for name in NAMES:
            corpus = [case for case in http1_corpus.load(name) if len(case.bytes) < 1000]
            good = [case.bytes for case in corpus if not case.items[-1].startswith("error")]
            texts = [case.bytes for case in corpus]
            for i in range(MUTATIONS // len(NAMES)):
                case = http1_corpus.Case("%s mutation %d" % (name, i), corpus[0].role)
                case.bytes = mutate(rng, good if rng.randrange(4) else texts, texts)
                case.method = rng.choice(("GET", "HEAD")) if case.role == "R" else "GET"
                case.eof = True
                cases.append(case)
        used = set()
        wrong = []
        accepted = 0
        for case, ours, node in self.judge(cases):
            accepted += not ours.error
            if same(ours, node):
                continue
            text = "%s %r\n  ours: %s\n  node: %s" % (case.name, case.bytes, ours.text, node.text)
            if node.cut and not ours.cut:
                continue  # Node's own business; no reader of ours depends on it
            if any(item.startswith(start) for start in otherwise for item in ours.items):
                continue
            if not ours.cut and agree_so_far(ours, node):
                if ours.error and ours.detail in stricter:
                    used.add("we refuse: " + ours.detail)
                    continue
                if node.error and not ours.error and node.detail in laxer:
                    used.add("node refuses: " + node.detail)
                    continue
            wrong.append(text)
        stale = ["%s is listed and was never seen" % one for one in
                 sorted({"we refuse: " + d for d in stricter} | {"node refuses: " + d for d in laxer}) if one not in used]
        self.assertGreater(accepted, MUTATIONS // 10)
        self.assertFalse(wrong, "\n%d\n" % len(wrong) + "\n".join(wrong[:40]))
        self.assertFalse(stale)


if __name__ == "__main__":
    unittest.main()
