"""Real models behind the daemon: what they say makes sense, so that the engine computes well."""

import json
import unittest

from daemon import Daemon
from real_models import cosine, real_model


class RealModels(unittest.TestCase):
    def test_an_encoder_knows_what_is_alike(self):
        minilm = real_model("minilm")
        with Daemon({"models": {"minilm": {"gguf": str(minilm)}}}) as daemon:
            status, _, text = daemon.request("POST", "/v1/embeddings", {
                "model": "minilm", "input": ["cat", "kitten", "spreadsheet"]})
            self.assertEqual(status, 200, text)
            cat, kitten, spreadsheet = [row["embedding"] for row in json.loads(text)["data"]]
        self.assertGreater(cosine(cat, kitten), 0.7)
        self.assertLess(cosine(cat, spreadsheet), 0.3)

    def test_a_language_model_knows_a_capital(self):
        smollm2 = real_model("smollm2")
        with Daemon({"models": {"smollm2": {"gguf": str(smollm2), "context": 2048}}}) as daemon:
            status, _, text = daemon.request("POST", "/v1/completions", {
                "model": "smollm2", "prompt": "The capital of France is", "max_tokens": 8,
                "temperature": 0})
            self.assertEqual(status, 200, text)
        self.assertIn("Paris", json.loads(text)["choices"][0]["text"])


if __name__ == "__main__":
    unittest.main()
