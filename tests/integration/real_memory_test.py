"""A real model with a vocabulary of 262,144 runs where its real need fits, alone and beside
another, and the measured sum stays below the budget.

Each server then has every slot full at the same time: the context that is configured is the sum of
its slots, as the daemon promises it for each request.
"""

import json
import threading
import unittest

from daemon import Daemon
from real_models import real_model

MIB = 1 << 20
CONTEXT = 4096
SLOTS = 2
ANSWER = 16
ANSWER_S_MAX = 600
FULL_SHARE = 0.95
# One token and more of both models.
WORD = "bread "
WORDS_TO_COUNT = 64
OTHER_TOKENS_MAX = 16  # the number in front, the beginning of a text


class RealMemory(unittest.TestCase):
    def complete(self, daemon, model, prompt, max_tokens):
        """(status, tokens used, text)."""
        status, _, text = daemon.request("POST", "/v1/completions", {
            "model": model, "prompt": prompt, "max_tokens": max_tokens, "temperature": 0,
            "ignore_eos": True}, timeout=ANSWER_S_MAX)
        return status, json.loads(text)["usage"]["total_tokens"] if status == 200 else 0, text

    def full_prompt(self, daemon, model):
        """A prompt that, with its answer, fills what one request may use."""
        used = []
        for words in (WORDS_TO_COUNT, 2 * WORDS_TO_COUNT):
            status, tokens, text = self.complete(daemon, model, WORD * words, 1)
            self.assertEqual(status, 200, text)
            used.append(tokens)
        per_word = (used[1] - used[0]) / WORDS_TO_COUNT
        return WORD * int((CONTEXT - ANSWER - OTHER_TOKENS_MAX) / per_word)

    def full_request(self, daemon, model, prompt, number, results):
        """Prompts differ from their first word on: none is answered from another's cache."""
        status, used, text = self.complete(daemon, model, f"{number} {prompt}", ANSWER)
        results.append((model, status, used, text[:300]))

    def fill_all_slots(self, daemon, prompts):
        """(model, status, tokens used, text) of a request for each slot of each model, at once."""
        results = []
        threads = [threading.Thread(target=self.full_request,
                                    args=(daemon, model, prompt, slot, results))
                   for model, prompt in prompts.items() for slot in range(SLOTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def serve(self, limit, models):
        config = {"budgets": {"host": {"limit": limit, "reserve": "0%"}},
                  "models": {name: {"gguf": str(path), "context": CONTEXT, "slots": SLOTS}
                             for name, path in models.items()}}
        with Daemon(config) as daemon, daemon.truth() as truth:
            prompts = {model: self.full_prompt(daemon, model) for model in models}
            results = self.fill_all_slots(daemon, prompts)
            # In turns: neither makes room for the other.
            for _ in range(3):
                for model in models:
                    self.assertEqual(daemon.chat(model, max_tokens=2, timeout=ANSWER_S_MAX)[0], 200)
            shown = daemon.models()
        self.assertEqual(len(results), SLOTS * len(models))
        for model, status, used, text in results:
            self.assertEqual(status, 200, f"{model}: {text}")
            self.assertGreaterEqual(used, FULL_SHARE * CONTEXT, model)
        for model, entry in shown.items():
            self.assertEqual((entry["state"], entry["loads"], entry["evictions"]),
                             ("ready", 1, 0), model)
            self.assertEqual(entry["placement"]["slots"], SLOTS, model)
        self.assertLessEqual(truth["peak_bytes"], limit_bytes(limit))
        print(f"{' and '.join(models)} below {limit}: {truth['peak_bytes'] / MIB:.0f} MiB "
              f"measured, {truth['samples']} samples, {len(results)} full requests", flush=True)

    def test_alone_below_600_mib(self):
        self.serve("600MiB", {"gemma3": real_model("gemma3")})

    def test_beside_another_below_800_mib(self):
        self.serve("800MiB", {"gemma3": real_model("gemma3"), "smollm2": real_model("smollm2")})


def limit_bytes(text):
    return int(text.removesuffix("MiB")) * MIB


if __name__ == "__main__":
    unittest.main()
