#!/usr/bin/python3
"""The style rules as a test (STYLE.md R17). Each ban says what to do instead. Exceptions stand in ratchet.json with a reason and a
number that only comes down: the test fails when there are more, and also when there are fewer than it says.

Function sizes are checked by clang-tidy (readability-function-size); here only that nobody loosened it."""
import json
import os
import re
import sys
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
SKIP = {".git", ".run", "node_modules"}
MAX_FILE_LINES = 800
CODECS = ("sidecar/http/", "sidecar/http1/", "sidecar/http2/")


def files(*endings):
    for folder, names, leaves in os.walk(TOP):
        names[:] = sorted(n for n in names if n not in SKIP and not n.startswith("bazel-") and not os.path.islink(os.path.join(folder, n)))
        for leaf in sorted(leaves):
            if leaf.endswith(endings):
                path = os.path.join(folder, leaf)
                with open(path, encoding="utf-8") as file:
                    yield os.path.relpath(path, TOP), file.read()


def without_comments_and_strings(text):
    text = re.sub(r'R"(\w*)\((.*?)\)\1"', lambda m: '""' + "\n" * m.group(0).count("\n"), text, flags=re.S)
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)
    text = re.sub(r"//[^\n]*", "", text)
    return re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group(0).count("\n"), text, flags=re.S)


def is_test(path):
    return path.endswith(("_test.cc", "_fuzz.cc", "_benchmark.cc", "http1/transcript.h")) or path.startswith(("tests/", "sidecar/testing/"))


class Tidy(unittest.TestCase):
    def setUp(self):
        with open(os.path.join(TOP, "tests", "tidy", "ratchet.json"), encoding="utf-8") as file:
            self.ratchet = json.load(file)

    def judge(self, rule, found, instead):
        """`found`: {path: [finding, ...]}. Compares with the ratchet."""
        allowed = self.ratchet.get(rule, {})
        wrong = []
        for path in sorted(set(found) | set(allowed)):
            count = len(found.get(path, []))
            limit = allowed.get(path, {}).get("count", 0)
            if limit and not allowed[path].get("reason"):
                wrong.append(f"{path}: its entry in ratchet.json has no reason")
            if count > limit:
                wrong += [f"{path}: {finding}" for finding in found[path]]
            elif count < limit:
                wrong.append(f"{path}: ratchet.json allows {limit}, there are {count}: lower the number")
        self.assertFalse(wrong, f"\n{rule}: {instead}\n  " + "\n  ".join(wrong))

    def ban(self, rule, pattern, instead, applies, text_of=without_comments_and_strings):
        found = {}
        for path, text in files(".cc", ".h"):
            if not applies(path):
                continue
            for number, line in enumerate(text_of(text).splitlines(), 1):
                if re.search(pattern, line):
                    found.setdefault(path, []).append(f"line {number}: {line.strip()[:100]}")
        self.judge(rule, found, instead)

    def test_files_are_not_too_long(self):
        found = {p: [f"{t.count(chr(10))} lines"] for p, t in files(".cc", ".h", ".py", ".proto") if t.count("\n") > MAX_FILE_LINES}
        self.judge("file size", found, f"a file over {MAX_FILE_LINES} lines is two things; split it")

    def test_functions_are_held_to_70_lines_by_clang_tidy(self):
        with open(os.path.join(TOP, ".clang-tidy"), encoding="utf-8") as file:
            text = file.read()
        self.assertIn("readability-function-size", text)
        self.assertLessEqual(int(re.search(r"LineThreshold: (\d+)", text).group(1)), 70)
        self.assertIn("WarningsAsErrors: '*'", text)

    def test_codecs_do_no_io_read_no_clock_and_log_nothing(self):
        self.ban("codec includes",
                 r'#include\s*(<(chrono|ctime|time\.h|sys/time\.h|sys/socket\.h|netinet/.*|unistd\.h|iostream|cstdio|stdio\.h|spdlog/.*)>|'
                 r'"sidecar/(time|net|session|stream|telemetry)/)',
                 "bytes and now go in, events and bytes come out (R2)",
                 lambda p: p.startswith(CODECS) and not is_test(p), text_of=lambda t: t)

    def test_nothing_throws_or_catches(self):
        self.ban("exceptions", r"\b(throw|catch)\b", "answer with a RequestError, absl::Status or Validated (R8)",
                 lambda p: not is_test(p))

    def test_the_same_word_means_the_same_thing(self):
        self.ban("banned words", r"\bdownstream\b|\bDownstream", "say client side or upstream side (R14)",
                 lambda p: "contract" not in p, text_of=lambda t: t)

    def test_type_names_say_what_the_type_is(self):
        self.ban("type names", r"\b(class|struct)\s+\w*(Manager|Helper|Util|Utils|Impl|Base|Context|Data|Info)\b(?!\s*;)",
                 "name what it is or does (R14)", lambda p: True)

    def test_only_seams_read_the_clock_or_sleep(self):
        self.ban("clocks and sleep", r"\b(clock_gettime|gettimeofday|steady_clock::now|system_clock::now|high_resolution_clock|sleep_for|usleep|nanosleep)\b|\bsleep\(",
                 "take time::Clock, arm a Timer; in tests use VirtualClock (R15)", lambda p: True)

    def test_no_singletons_and_no_static_registration(self):
        self.ban("singletons", r"\b(GetInstance|Singleton|instance\(\)|REGISTER_\w+)\b", "main builds the graph (R6)", lambda p: True)

    def test_std_regex_is_not_used(self):
        self.ban("std::regex", r"std::regex|#include <regex>", "use RE2: linear time", lambda p: True)

    def test_abstract_classes_stay_few(self):
        found = {}
        for path, text in files(".h"):
            if is_test(path):
                continue
            pure = len(re.findall(r"virtual[^;]*=\s*0;", without_comments_and_strings(text), flags=re.S))
            if pure:
                found[path] = [f"pure virtual number {i + 1}" for i in range(pure)]
        self.judge("pure virtuals", found, "an abstract class needs two real implementations today (R5)")

    def test_names_in_back_quotes_exist(self):
        tree = set()
        words = set()
        for folder, names, leaves in os.walk(TOP):
            names[:] = [n for n in names if n not in SKIP and not n.startswith("bazel-") and not os.path.islink(os.path.join(folder, n))]
            for name in names + leaves:
                tree.add(os.path.relpath(os.path.join(folder, name), TOP))
        for path, text in files(".cc", ".h", ".py", ".proto", ".bzl", ".bazel", ".txt", ".yaml", ".json", ".tsv", ".bazelrc"):
            words.update(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text))
        for name in ("test", "quickstart", ".ci/run", "deploy/install-packages", "tests/bench/run", "tests/bench/soak"):
            with open(os.path.join(TOP, name), encoding="utf-8") as file:
                words.update(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", file.read()))
        found = {}
        for path, text in files(".md"):
            text = re.sub(r"```.*?```", lambda m: "\n" * m.group(0).count("\n"), text, flags=re.S)
            for number, line in enumerate(text.splitlines(), 1):
                for quoted in re.findall(r"`([^`]+)`", line):
                    if not self.exists(quoted, os.path.dirname(path), tree, words):
                        found.setdefault(path, []).append(f"line {number}: `{quoted}`")
        self.judge("back-quoted names", found, "name only what is in the tree (R12)")

    def exists(self, quoted, folder, tree, words):
        for candidate in (quoted, os.path.join(folder, quoted)):
            if os.path.normpath(candidate.strip("/")) in tree or any(t.endswith("/" + quoted.strip("/")) for t in tree):
                return True
        if quoted.startswith("/"):  # a path of the operating system
            return True
        names = [w for w in re.findall(r"[A-Za-z_][A-Za-z0-9_]*", quoted) if len(w) > 2]
        return bool(names) and all(name in words for name in names) or not names


if __name__ == "__main__":
    sys.argv = sys.argv[:1]
    unittest.main()
