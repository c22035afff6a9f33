#!/usr/bin/env python3
"""Tests of count_results.py on small result folders."""

import tempfile
import unittest
from pathlib import Path

import count_results

GTEST_TWO_PASSED = """<testsuites tests="3"><testsuite name="S">
<testcase name="a" status="run" result="completed"/>
<testcase name="b" status="run" result="completed"/>
<testcase name="c" status="run" result="skipped"><skipped message=""/></testcase>
<testcase name="d" status="notrun" result="suppressed"/></testsuite></testsuites>"""
GTEST_ONE_FAILED = """<testsuites><testsuite name="S">
<testcase name="a" status="run" result="completed"/>
<testcase name="b" status="run" result="completed"><failure message="m"/></testcase>
</testsuite></testsuites>"""


def ctest(**status_of):
    body = ""
    for name, status in status_of.items():
        failure = "<failure/>" if status == "fail" else ""
        if status == "skip":
            status, failure = "notrun", '<skipped message="SKIP_RETURN_CODE=77"/>'
        body += f'<testcase name="{name}" status="{status}">{failure}</testcase>'
    return f"<testsuite>{body}</testsuite>"


class CountResults(unittest.TestCase):
    def count(self, **files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                suffix = ".txt" if name.startswith("txt_") else ".xml"
                (Path(folder) / (name + suffix)).write_text(text)
            return count_results.count_run(Path(folder))

    def test_counts_cases_and_not_programs(self):
        counts = self.count(ctest=ctest(core_test="run"), core_test=GTEST_TWO_PASSED)
        self.assertEqual(counts, (2, 0))

    def test_a_failed_case_is_counted_once(self):
        counts = self.count(ctest=ctest(core_test="fail"), core_test=GTEST_ONE_FAILED)
        self.assertEqual(counts, (1, 1))

    def test_a_program_that_fails_after_its_cases_passed_is_a_failure(self):
        counts = self.count(ctest=ctest(core_test="fail"), core_test=GTEST_TWO_PASSED)
        self.assertEqual(counts, (2, 1))

    def test_a_crash_before_any_result_is_a_failure(self):
        self.assertEqual(self.count(ctest=ctest(core_test="fail", tidy="run")), (1, 1))

    def test_a_program_that_is_not_there_is_a_failure_and_a_skipped_one_is_not(self):
        self.assertEqual(self.count(ctest=ctest(core_test="notrun", gpu_test="skip")), (0, 1))

    def test_a_file_that_was_cut_off_is_a_failure(self):
        self.assertEqual(self.count(core_test=GTEST_TWO_PASSED[:60]), (0, 1))

    def test_text_files_of_other_runners(self):
        self.assertEqual(self.count(txt_node="12 1\n", txt_seeds="1 0"), (13, 1))

    def test_a_broken_text_file_is_a_failure(self):
        self.assertEqual(self.count(txt_node="twelve"), (0, 1))


if __name__ == "__main__":
    unittest.main()
