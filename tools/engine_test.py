#!/usr/bin/env python3
"""Tests of tools/engine: the parts that need no network and no compiler."""

import base64
import hashlib
import importlib.machinery
import importlib.util
import io
import os
import subprocess
import sys
import tempfile
import unittest
from unittest import mock
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent / "engine"
sys.dont_write_bytecode = True  # it would lie beside the script, which has no suffix
loader = importlib.machinery.SourceFileLoader("engine", str(SCRIPT))
engine = importlib.util.module_from_spec(importlib.util.spec_from_loader("engine", loader))
loader.exec_module(engine)


class Options(unittest.TestCase):
    def test_a_full_processor_keeps_the_defaults(self):
        cpuinfo = "processor : 0\nflags\t\t: sse4_2 avx avx2 fma f16c bmi2 ht\n"
        self.assertEqual(engine.cpu_options("x86_64", cpuinfo), [])

    def test_what_the_processor_lacks_is_turned_off(self):
        cpuinfo = "flags : sse4_2 avx\n"
        self.assertEqual(engine.cpu_options("x86_64", cpuinfo),
                         ["GGML_AVX2=OFF", "GGML_FMA=OFF", "GGML_F16C=OFF", "GGML_BMI2=OFF"])

    def test_other_architectures_keep_the_defaults(self):
        self.assertEqual(engine.cpu_options("aarch64", "Features : fp asimd\n"), [])

    def test_the_key_names_version_machine_and_options(self):
        key = engine.build_key("1.2.3", "x86_64", ["A=ON"], {})
        self.assertRegex(key, r"^1\.2\.3-x86_64-[0-9a-f]{8}$")
        self.assertEqual(key, engine.build_key("1.2.3", "x86_64", ["A=ON"], {}))
        self.assertNotEqual(key, engine.build_key("1.2.3", "x86_64", ["A=OFF"], {}))

    def test_without_patches_the_key_is_that_of_the_options_alone(self):
        digest = hashlib.sha256(b"A=ON\nB=OFF").hexdigest()[:8]
        self.assertEqual(engine.build_key("1.2.3", "x86_64", ["A=ON", "B=OFF"], {}),
                         f"1.2.3-x86_64-{digest}")

    def test_the_key_changes_with_what_patches_say_and_not_with_their_names(self):
        def key(patches):
            return engine.build_key("1.2.3", "x86_64", ["A=ON"], patches)
        self.assertNotEqual(key({}), key({"0001-a.patch": b"a"}))
        self.assertNotEqual(key({"0001-a.patch": b"a"}), key({"0001-a.patch": b"b"}))
        self.assertEqual(key({"0001-a.patch": b"a"}), key({"0001-b.patch": b"a"}))


class Patches(unittest.TestCase):
    def patch(self, before, after):
        return (f"Why it is there.\n\ndiff --git a/file b/file\n--- a/file\n+++ b/file\n"
                f"@@ -1 +1 @@\n-{before}\n+{after}\n").encode()

    def apply(self, patches):
        """What becomes of a file that says `one`, and what the log says."""
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["git", "init", "-q", folder], check=True, env=engine.clean_env())
            (Path(folder) / "file").write_text("one\n")
            log = io.StringIO()
            try:
                engine.apply_patches(patches, folder, "package 1.2.3", log)
            finally:
                self.left = (Path(folder) / "file").read_text()
            return log.getvalue()

    def test_they_are_applied_in_the_order_of_their_names(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "0002-b.patch").write_bytes(self.patch("two", "three"))
            (Path(folder) / "0001-a.patch").write_bytes(self.patch("one", "two"))
            (Path(folder) / "notes.txt").write_text("no patch")
            patches = engine.read_patches(Path(folder))
        log = self.apply(patches)
        self.assertEqual(self.left, "three\n")
        self.assertLess(log.index("0001-a.patch"), log.index("0002-b.patch"))

    def test_one_that_does_not_apply_is_named_and_leaves_the_sources_alone(self):
        with self.assertRaisesRegex(
                engine.EngineError,
                r"(?s)cmake/engine/patches/0001-a\.patch does not apply to .*package 1\.2\.3"
                r".*patch failed: file:1"):
            self.apply({"0001-a.patch": self.patch("two", "three")})
        self.assertEqual(self.left, "one\n")

    def test_a_folder_that_is_not_there_has_none(self):
        self.assertEqual(engine.read_patches(Path("/nowhere")), {})


class Plugins(unittest.TestCase):
    LOCK = {"version": "1.2.3", "plugins": {"vulkan": {"file": "package/bins/libx.so"}}}

    def test_one_that_was_fetched_is_put_beside_the_server(self):
        with tempfile.TemporaryDirectory() as cache:
            target = Path(cache) / "key"
            kept = Path(cache) / "1.2.3-vulkan"
            target.mkdir()
            kept.mkdir()
            (kept / "libx.so").write_text("plug-in")
            with mock.patch.object(engine.platform, "machine", return_value="x86_64"):
                with self.assertRaisesRegex(engine.EngineError, "no llama-server"):
                    engine.install_plugin(self.LOCK, "vulkan", target, target)
                (target / "llama-server").write_text("")
                engine.install_plugin(self.LOCK, "vulkan", target, target)
            self.assertEqual((target / "libx.so").read_text(), "plug-in")
            self.assertEqual(sorted(p.name for p in target.iterdir()), ["libx.so", "llama-server"])

    def test_other_processors_are_told(self):
        with mock.patch.object(engine.platform, "machine", return_value="aarch64"):
            with self.assertRaisesRegex(engine.EngineError, "x86-64 only"):
                engine.install_plugin(self.LOCK, "vulkan", Path("/x"), Path("/x"))


class Cache(unittest.TestCase):
    def test_order_of_places(self):
        every = {"TONNAGE_CACHE_DIR": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}
        self.assertEqual(engine.cache_dir(every), Path("/a/engine"))
        del every["TONNAGE_CACHE_DIR"]
        self.assertEqual(engine.cache_dir(every), Path("/b/tonnage/engine"))
        del every["XDG_CACHE_HOME"]
        self.assertEqual(engine.cache_dir(every), Path("/c/.cache/tonnage/engine"))

    def test_no_place_at_all_is_an_error(self):
        with self.assertRaisesRegex(engine.EngineError, "TONNAGE_CACHE_DIR"):
            engine.cache_dir({"HOME": ""})

    def test_a_build_that_is_there_is_not_made_again(self):
        with tempfile.TemporaryDirectory() as cache:
            environ = {**os.environ, "TONNAGE_CACHE_DIR": cache}
            path = subprocess.check_output([SCRIPT, "path"], env=environ, text=True).strip()
            os.makedirs(path)
            (Path(path) / "engine.json").write_text("{}")
            out = subprocess.check_output([SCRIPT, "build"], env=environ, text=True)
            self.assertIn("is there", out)


class Integrity(unittest.TestCase):
    def test_the_pinned_bytes_pass(self):
        pin = "sha512-" + base64.b64encode(hashlib.sha512(b"bytes").digest()).decode()
        engine.verify_integrity(b"bytes", pin, "package@1")

    def test_other_bytes_are_refused_with_both_sums(self):
        pin = "sha512-" + base64.b64encode(hashlib.sha512(b"bytes").digest()).decode()
        with self.assertRaisesRegex(engine.EngineError, r"(?s)expected sha512-.*received sha512-"):
            engine.verify_integrity(b"other", pin, "package@1")

    def test_a_weaker_sum_is_refused(self):
        with self.assertRaisesRegex(engine.EngineError, "sha512"):
            engine.verify_integrity(b"bytes", "sha1-abc", "package@1")


if __name__ == "__main__":
    unittest.main()
