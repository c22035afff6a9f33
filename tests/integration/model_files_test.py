"""Every file that a model names belongs to it, and the context that is promised is enforced.

From bugs that users of neighbouring programs reported."""

import json
import os
import shutil
import tempfile
import unittest

from daemon import Daemon, demo_models, wait_until

MIB = 1 << 20
BUDGET = {"host": {"limit": "4GiB", "reserve": "0%"}}


def config(models):
    return {"budgets": BUDGET, "models": models}


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = demo_models("demo")

    def model(self, name="demo-medium", **more):
        return {"gguf": str(self.folder / f"{name}.gguf"), "context": 2048, "slots": 1, **more}

    def test_what_never_fits_names_each_file(self):
        draft = self.folder / "demo-small.gguf"
        config = {"budgets": {"host": {"limit": "48MiB"}},
                  "models": {"drafted": self.model(draft=str(draft))}}
        with Daemon(config) as daemon:
            status, _, text = daemon.chat("drafted")
        self.assertEqual(status, 400, text)
        self.assertRegex(json.loads(text)["error"]["message"],
                         r"Its files: demo-medium.gguf \d+ MiB, draft demo-small.gguf \d+ MiB\.")

    def test_a_draft_is_predicted_and_a_shared_file_charged_once(self):
        draft = self.folder / "demo-small.gguf"
        models = {"plain": self.model(), "drafted": self.model(draft=str(draft)),
                  "third": self.model("demo-small")}
        with Daemon(config(models)) as daemon:
            predicted = {}
            for name in ("plain", "drafted"):
                self.assertEqual(daemon.chat(name, max_tokens=1900)[0], 200)
                model = daemon.models()[name]
                predicted[name] = model["predicted_bytes"]
                self.assertEqual(model["source"], "dry_run")
                wait_until(lambda n=name: daemon.models()[n]["measured_bytes"], 20, "a sample")
                model = daemon.models()[name]
                held = model["measured_bytes"] + model["weights_bytes"]
                self.assertGreaterEqual(model["predicted_bytes"], held, name)
            self.assertGreater(predicted["drafted"] - predicted["plain"], draft.stat().st_size)
            self.assertEqual(daemon.chat("third")[0], 200)
            pool = daemon.get_json("/api/memory/status")["pools"][0]
            both = draft.stat().st_size + (self.folder / "demo-medium.gguf").stat().st_size
            self.assertEqual(pool["reserved_weights_bytes"], both)

    @unittest.skipUnless(os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK),
                         "needs /dev/shm")
    def test_weights_on_tmpfs_are_charged_once(self):
        with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="tonnage-test-") as folder:
            shutil.copy(self.folder / "demo-medium.gguf", folder)
            models = {"ram": self.model(), "disk": self.model()}
            models["ram"]["gguf"] = f"{folder}/demo-medium.gguf"
            with Daemon(config(models), arguments=["--cpu"]) as daemon:
                held = {}
                for name in models:
                    self.assertEqual(daemon.chat(name, max_tokens=200)[0], 200)
                    # A first sample may have seen the server before it mapped its weights.
                    wait_until(lambda n=name: daemon.models()[n]["measured_bytes"], 20, "a sample")
                    self.assertEqual(daemon.chat(name, max_tokens=200)[0], 200)
                    held[name] = daemon.models()[name]["reserved_bytes"]
                self.assertLess(held["ram"], held["disk"] + 16 * MIB)

    def test_a_missing_file_is_named_before_a_server_starts_and_seen_when_it_comes(self):
        flags = ["--model-draft", "-md", "--lora", "--lora-scaled", "--mmproj", "--control-vector"]
        with Daemon(config({"plain": self.model("demo-small")})) as daemon:
            models = {}
            for number, flag in enumerate(flags):
                path = daemon.folder / f"gone{number}.gguf"
                value = f"{path}:0.5" if flag == "--lora-scaled" else str(path)
                models[f"m{number}"] = self.model("demo-small", args=[flag, value])
            daemon.config.write_text(json.dumps(config(models)), encoding="utf-8")
            self.assertEqual(daemon.command("reload").returncode, 0)
            for number in range(len(flags)):
                status, _, text = daemon.chat(f"m{number}")
                self.assertEqual(status, 502, text)
                self.assertIn(f"gone{number}.gguf: there is no such file", text)
                self.assertEqual(daemon.models()[f"m{number}"]["loads"], 0)
            checked = daemon.command("check", str(daemon.config)).stdout
            for number in range(len(flags)):
                self.assertIn(f"gone{number}.gguf", "".join(checked.split()))
            # What was mended is tried at once, however long the model would rest.
            shutil.copy(self.folder / "demo-small.gguf", daemon.folder / "fresh")
            os.replace(daemon.folder / "fresh", daemon.folder / "gone0.gguf")
            wait_until(lambda: daemon.state("m0") != "failed", 20, "the file is seen")
            self.assertEqual(daemon.chat("m0")[0], 200)

    def test_an_exchanged_second_file_is_a_change(self):
        with Daemon(config({"plain": self.model("demo-small")})) as daemon:
            second = daemon.folder / "second.gguf"
            shutil.copy(self.folder / "demo-small.gguf", second)
            models = {"swap": self.model("demo-small", draft=str(second))}
            daemon.config.write_text(json.dumps(config(models)), encoding="utf-8")
            self.assertEqual(daemon.command("reload").returncode, 0)
            self.assertEqual(daemon.chat("swap")[0], 200)
            shutil.copy(self.folder / "demo-small.gguf", daemon.folder / "fresh")
            os.replace(daemon.folder / "fresh", second)
            told = daemon.command("reload")
            self.assertIn("swap", told.stdout)

    def test_files_and_variables_that_cannot_be_accounted_for_are_refused(self):
        models = {"a": self.model(args=["--mmproj=x.gguf"]),
                  "b": self.model(env={"LLAMA_ARG_MODEL_DRAFT": "x"}),
                  "c": self.model(draft="d.gguf", args=["-md", "e.gguf"])}
        with Daemon(config({"plain": self.model("demo-small")})) as daemon:
            daemon.config.write_text(json.dumps(config(models)), encoding="utf-8")
            checked = daemon.command("check", str(daemon.config))
            self.assertNotEqual(checked.returncode, 0)
            said = " ".join((checked.stdout + checked.stderr).split())
            for words in ("--mmproj=x.gguf", "LLAMA_ARG_MODEL_DRAFT", "is named by a key"):
                self.assertIn(words, said)

    def test_dry_runs_are_kept_across_starts(self):
        models = {"plain": self.model("demo-small")}
        with Daemon(config(models)) as daemon:
            self.assertEqual(daemon.chat("plain")[0], 200)
            kept = daemon.state_dir / "dry-runs"
            wait_until(kept.exists, 20, "the results are kept")
            saved = daemon.folder.with_suffix(".state")
            shutil.copytree(daemon.state_dir, saved)
        self.addCleanup(shutil.rmtree, saved)
        with Daemon(config(models), env={"TONNAGE_STATE_DIR": str(saved)}) as daemon:
            self.assertEqual(daemon.chat("plain")[0], 200)
            self.assertEqual(daemon.models()["plain"]["source"], "dry_run")
        (saved / "dry-runs").write_text("damaged\n", encoding="utf-8")
        with Daemon(config(models), env={"TONNAGE_STATE_DIR": str(saved)}) as daemon:
            self.assertEqual(daemon.chat("plain")[0], 200)
            self.assertIn("dry-run again", daemon.log)


class Context(unittest.TestCase):
    def test_more_than_was_trained_is_neither_promised_nor_charged(self):
        folder = demo_models("test")
        demo = demo_models("demo")
        models = {"encoder": {"gguf": str(folder / "test-embed.gguf")},
                  "trained": {"gguf": str(folder / "test-embed.gguf"), "context": 2048},
                  "odd": {"gguf": str(demo / "demo-small.gguf"), "context": 3000, "slots": 1}}
        with Daemon(config(models)) as daemon:
            def embed(model, text):
                return daemon.request("POST", "/v1/embeddings", {"model": model, "input": text})
            for name in ("encoder", "trained"):
                self.assertEqual(embed(name, "x")[0], 200)
            encoder, trained = daemon.models()["encoder"], daemon.models()["trained"]
            self.assertEqual(encoder["placement"]["context"], 2048)
            self.assertEqual(encoder["predicted_bytes"], trained["predicted_bytes"])
            self.assertIn("2048 that the model was trained for", daemon.log)
            checked = " ".join(daemon.command("check", str(daemon.config)).stdout.split())
            self.assertIn("models.encoder: the default context of 4096 tokens is more", checked)
            pid = daemon.server_pid("encoder")
            for length in (2050, 5000):
                status, _, text = embed("encoder", "x" * length)
                self.assertGreaterEqual(status, 400)
                self.assertIn("2048", text)
            self.assertEqual(daemon.server_pid("encoder"), pid)
            self.assertEqual(daemon.models()["encoder"]["failures"], 0)
            self.assertEqual(daemon.chat("odd", max_tokens=4, content="y" * 3000)[0], 200)
            self.assertEqual(daemon.models()["odd"]["placement"]["context"], 3072)
            status, _, text = daemon.chat("odd", max_tokens=4, content="y" * 3100)
            self.assertEqual(status, 400)
            self.assertIn("3072", text)


if __name__ == "__main__":
    unittest.main()
