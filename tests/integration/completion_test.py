"""Completion in a real bash, and the manual page in a real man, where there is one."""

import re
import shutil
import subprocess
import unittest

from daemon import TONNAGE, Daemon, demo_models


class Completion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = demo_models("test")
        cls.daemon = Daemon({
            "budgets": {"host": {"limit": "300MiB", "reserve": "0%"}},
            "models": {"test-a": {"gguf": str(folder / "test-a.gguf"), "aliases": ["an alias"]},
                       "org/test:8b": {"gguf": str(folder / "test-b.gguf")}}})
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def completed(self, line, env=None):
        """What bash offers for the line, in its order."""
        # bash splits its words at COMP_WORDBREAKS; the script reads the line itself.
        script = ('source <("$1" completion bash) || exit 1; COMP_LINE=$2; COMP_POINT=${#2}; '
                  'COMP_WORDS=("$1"); _tonnage; printf "%s\\n" "${COMPREPLY[@]}"')
        result = subprocess.run(["bash", "--norc", "-c", script, "bash", str(TONNAGE), line],
                                env=env or self.daemon.env, capture_output=True, text=True,
                                timeout=60, check=False)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout.split("\n")[:-1]

    def test_commands_options_and_values(self):
        self.assertEqual(self.completed("tonnage lo"), ["load", "log"])
        self.assertIn("history", self.completed("tonnage "))
        self.assertEqual(self.completed("tonnage serve --mod"), ["--models"])
        self.assertEqual(self.completed("tonnage log w"), ["warn"])
        self.assertEqual(self.completed("tonnage serve --log-level "),
                         ["debug", "info", "warn", "error"])
        self.assertEqual(self.completed("tonnage completion z"), ["zsh"])
        self.assertEqual(self.completed("tonnage why x --limit "), [""])

    def test_models_of_the_running_daemon(self):
        self.assertEqual(self.completed("tonnage load t"), ["test-a"])
        self.assertEqual(self.completed("tonnage why an"), [r"an\ alias"])
        self.assertEqual(self.completed("tonnage events --model org"), ["org/test:8b"])
        # Behind a colon, bash replaces only what follows it.
        self.assertEqual(self.completed("tonnage pin org/test:"), ["8b"])

    def test_without_a_daemon_it_is_silent(self):
        env = {**self.daemon.env, "TONNAGE_RUNTIME_DIR": "/nonexistent"}
        self.assertEqual(self.completed("tonnage load ", env), [""])

    def test_other_shells_can_read_theirs(self):
        for shell in ("zsh", "fish"):
            script = subprocess.check_output([TONNAGE, "completion", shell], text=True)
            self.assertIn("history", script)
            if not shutil.which(shell):
                continue  # the text is checked by the unit tests
            with self.subTest(shell=shell):
                checked = subprocess.run([shell, "-n"], input=script, capture_output=True,
                                         text=True, check=False)
                self.assertEqual((checked.returncode, checked.stderr), (0, ""))

    @unittest.skipUnless(shutil.which("groff"), "groff is not installed here")
    def test_the_manual_page_is_good_roff(self):
        page = subprocess.check_output([TONNAGE, "man"])
        shown = subprocess.run(["groff", "-man", "-Tascii", "-ww", "-P-c"], input=page,
                               capture_output=True, check=False)
        self.assertEqual((shown.returncode, shown.stderr.decode()), (0, ""))
        text = re.sub(".\b", "", shown.stdout.decode())  # it prints bold letters twice
        for words in ("tonnage history", "EXIT STATUS", "No daemon answers.", "--since DURATION"):
            self.assertIn(words, text)


if __name__ == "__main__":
    unittest.main()
