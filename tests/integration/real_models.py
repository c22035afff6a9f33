"""Real models for tests: those of tools/real_models, fetched where they may and can be."""

import math
import subprocess
import unittest
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools/real_models"
FETCH_S_MAX = 600


def run(*words):
    return subprocess.run([TOOL, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=FETCH_S_MAX, check=False)


def real_model(name):
    """The path of a model of tools/real_models, or the test is skipped with the reason."""
    fetched = run(name)
    if fetched.returncode != 0:
        raise unittest.SkipTest(fetched.stderr.strip())
    return Path(run("--path", name).stdout.strip())


def cosine(one, other):
    """How alike two embeddings are, from -1 to 1."""
    def length(vector):
        return math.sqrt(sum(number * number for number in vector))
    return sum(a * b for a, b in zip(one, other)) / (length(one) * length(other))
