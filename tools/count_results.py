#!/usr/bin/env python3
"""Adds up what the test runners left in build/results.

Prints `N passed, N failed` and exits 1 if anything failed; `--run FOLDER` counts one run only.

Each folder of build/results is one run and may hold
  ctest.xml    ctest's JUnit file: one entry per test program
  NAME.xml     GoogleTest's file for the program NAME: one entry per case; they are counted, and
               not ctest's entry of that name
  *.txt        one line `PASSED FAILED` from any other runner
A program that failed without a failed case (a crash, a sanitizer report at its end) counts as one
failure.
"""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def count_gtest(path):
    """(passed, failed) of a GoogleTest file; skipped and disabled cases are neither."""
    passed = failed = 0
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None:
            failed += 1
        elif case.get("status") == "run" and case.get("result", "completed") == "completed":
            passed += 1
    return passed, failed


def ctest_failed(entry):
    """Whether a program failed, or could not be started at all; asking to be skipped is neither."""
    skipped = entry.find("skipped")
    asked = skipped is not None and skipped.get("message", "").startswith("SKIP_")
    return entry.find("failure") is not None or (entry.get("status") == "notrun" and not asked)


def count_run(folder):
    passed = failed = 0
    cases = {}
    for path in sorted(folder.glob("*.xml")):
        if path.name != "ctest.xml":
            try:
                cases[path.stem] = count_gtest(path)
            except ElementTree.ParseError:
                cases[path.stem] = (0, 1)  # cut off: the program died while it wrote
    ctest = folder / "ctest.xml"
    if ctest.exists():
        for entry in ElementTree.parse(ctest).getroot().iter("testcase"):
            program_failed = ctest_failed(entry)
            if entry.get("name") in cases:
                if program_failed and cases[entry.get("name")][1] == 0:
                    failed += 1
            elif program_failed:
                failed += 1
            elif entry.get("status") == "run":
                passed += 1
    for path in sorted(folder.glob("*.txt")):
        numbers = path.read_text().split()
        if len(numbers) == 2 and all(number.isdigit() for number in numbers):
            cases[path.name] = (int(numbers[0]), int(numbers[1]))
        else:
            cases[path.name] = (0, 1)
    passed += sum(counts[0] for counts in cases.values())
    failed += sum(counts[1] for counts in cases.values())
    return passed, failed


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--run":
        passed, failed = count_run(Path(arguments[1]))
        print(f"{passed} passed, {failed} failed")
        return 1 if failed else 0
    root = Path(__file__).resolve().parent.parent
    results = Path(arguments[0]) if arguments else root / "build/results"
    total_passed = total_failed = 0
    for folder in sorted(path for path in results.glob("*") if path.is_dir()):
        passed, failed = count_run(folder)
        print(f"  {folder.name}: {passed} passed, {failed} failed")
        total_passed += passed
        total_failed += failed
    print(f"{total_passed} passed, {total_failed} failed")
    return 1 if total_failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
