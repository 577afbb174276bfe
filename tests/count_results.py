"""Counts the tests of one Bazel run: prints "passed failed" from its build event file; a finished tidy action counts as nothing."""
import json
import sys

passed = failed = 0
try:
    with open(sys.argv[1], encoding="utf-8") as events:
        for line in events:
            summary = json.loads(line).get("testSummary")
            if summary is None:
                continue
            if summary.get("overallStatus") == "PASSED":
                passed += 1
            else:
                failed += 1
except (OSError, ValueError):
    pass
print(passed, failed)
