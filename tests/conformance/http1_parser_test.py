"""The HTTP/1 corpus against our parser: whole, cut at every offset, byte by byte."""
import unittest

import http1_corpus


class Corpus(unittest.TestCase):
    def check(self, name):
        cases = http1_corpus.load(name)
        self.assertGreater(len(cases), 20)
        for case, verdict in zip(cases, http1_corpus.judge(http1_corpus.tool(), [c.task() for c in cases])):
            with self.subTest(case=case.name):
                self.assertTrue(case.why, "a verdict needs its reason")
                self.assertFalse(verdict.cut, verdict.text)
                self.assertEqual(verdict.items, case.items)

    def test_requests(self):
        self.check("requests")

    def test_desync_pairs(self):
        self.check("desync")

    def test_responses(self):
        self.check("responses")


if __name__ == "__main__":
    unittest.main()
