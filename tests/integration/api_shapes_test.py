"""The memory API in all its shapes, on a real daemon: asking loads nothing, the contract holds."""

import json
import re
import unittest

from daemon import Daemon, demo_models, wait_until

FOUNDING = ["/memory/stats", "/memory/health", "/memory/models", "/memory/evictions",
            "/system/memory", "/api/memory/status"]


def config(**more):
    folder = demo_models("demo")
    models = {name: {"gguf": str(folder / f"{name}.gguf"), "context": 1024, "slots": 1}
              for name in ("demo-small", "demo-medium")}
    return {"budgets": {"host": {"limit": "160MiB", "reserve": "0%"}}, "models": models, **more}


class Shapes(unittest.TestCase):
    def test_asking_loads_nothing(self):
        with Daemon(config(), arguments=["--cpu"]) as daemon:
            wait_until(lambda: daemon.get_json("/api/memory/status")["pools"][0]["used_bytes"] > 0,
                       20, "a sample of the host")
            for path in FOUNDING + ["/openapi.json", "/metrics", "/health"]:
                status, _, text = daemon.request("GET", path)
                self.assertEqual(status, 200, f"{path}: {text[:300]}")
            self.assertEqual(daemon.server_pids(), {})
            self.assertEqual(daemon.get_json("/memory/models"), [])
            stats = daemon.get_json("/memory/stats")
            self.assertEqual((stats["models_loaded"], stats["total_evictions"]), (0, 0))
            self.assertFalse(stats["cuda_available"])

    def test_what_they_say_of_a_model_that_runs_and_one_that_left(self):
        with Daemon(config(), arguments=["--cpu"]) as daemon:
            # They do not fit together.
            self.assertEqual(daemon.chat("demo-small")[0], 200)
            self.assertEqual(daemon.chat("demo-medium")[0], 200)
            daemon.get_json("/api/memory/status")
            models = daemon.get_json("/memory/models")
            self.assertEqual([m["model_name"] for m in models], ["demo-medium"])
            self.assertEqual(models[0]["location"], "cpu")
            self.assertGreater(models[0]["memory_mb"], 90)
            self.assertEqual(models[0]["use_count"], 1)
            stats = daemon.get_json("/memory/stats")
            self.assertEqual((stats["models_loaded"], stats["total_evictions"]), (1, 1))
            self.assertGreater(stats["cpu_used_mb"], 90)
            left = daemon.get_json("/memory/evictions")
            self.assertEqual([(e["model_name"], e["reason"], e["action"]) for e in left],
                             [("demo-small", "room_for_other", "unloaded")])
            memory = daemon.get_json("/system/memory")
            self.assertEqual(memory["loaded_models"]["demo-medium"]["path"], "demo-medium.gguf")
            self.assertEqual(memory["loaded_models"]["demo-medium"]["n_ctx"], 1024)
            self.assertGreater(memory["ram_total_mb"], memory["ram_available_mb"])
            status = daemon.get_json("/api/memory/status")
            self.assertEqual(status["router"]["active_member"], "demo-medium")
            self.assertRegex(status["router"]["last_unload"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            self.assertEqual([m["name"] for m in status["ollama"]["loaded_models"]],
                             ["demo-medium"])
            used = status["system"]["total_gb"] - status["system"]["available_gb"]
            self.assertAlmostEqual(used / status["system"]["total_gb"] * 100,
                                   status["system"]["pressure_percent"], delta=2)
            self.assertTrue(daemon.get_json("/memory/health")["healthy"])
            self.check_metrics(daemon)
            self.check_command_line(daemon)

    def check_metrics(self, daemon):
        text = daemon.request("GET", "/metrics")[2]
        for pattern in (r'tonnage_model_predicted_bytes\{model="demo-medium",pool="host"\} [1-9]',
                        r'tonnage_model_reserved_bytes\{model="demo-medium",pool="host"\} [1-9]',
                        r'tonnage_model_weights_bytes\{model="demo-medium"\} [1-9]',
                        r'tonnage_pool_used_bytes\{pool="host"\} [1-9]',
                        r'tonnage_pool_pressure_level\{pool="host"\} 0',
                        r'tonnage_evictions_total\{model="demo-small",reason="room_for_other"\} 1'):
            self.assertRegex(text, pattern)

    def check_command_line(self, daemon):
        result = daemon.command("status")
        self.assertEqual(result.returncode, 0, result.stderr)
        for words in ("host  [", "ours ", "others ", "free ", "reserved ", "TIER", "LAST USE"):
            self.assertIn(words, result.stdout)
        self.assertRegex(result.stdout, r"demo-medium +ready +host .* ago")
        self.assertLessEqual(max(len(line) for line in result.stdout.splitlines()), 80)
        whole = json.loads(daemon.command("status", "--json").stdout)
        self.assertEqual(whole["pools"][0]["pool"], "host")

    def test_scopes(self):
        keys = [{"name": "reader", "key": "r" * 20, "scopes": ["read"]},
                {"name": "user", "key": "u" * 20, "scopes": ["infer"]}]
        with Daemon(config(keys=keys), arguments=["--cpu"]) as daemon:
            for path in FOUNDING:
                self.assertEqual(daemon.request("GET", path)[0], 401, path)
                for key, expected in (("r" * 20, 200), ("u" * 20, 403)):
                    headers = {"Authorization": f"Bearer {key}"}
                    status = daemon.request("GET", path, headers=headers)[0]
                    self.assertEqual(status, expected, path)
            self.assertEqual(daemon.request("GET", "/openapi.json")[0], 200)


class Contract(unittest.TestCase):
    def test_every_documented_path_is_served_with_its_scope(self):
        keys = [{"name": "user", "key": "u" * 20, "scopes": ["infer"]}]
        with Daemon(config(keys=keys), arguments=["--cpu"]) as daemon:
            document = daemon.get_json("/openapi.json")
            self.assertEqual(document["openapi"], "3.1.0")
            headers = {"Authorization": "Bearer " + "u" * 20, "Content-Type": "application/json"}
            counted = 0
            for path, methods in document["paths"].items():
                real = path.replace("{number}", "1")
                real = re.sub(r"\{\w+\}", "demo-small", real)
                for method, operation in methods.items():
                    counted += 1
                    bare = daemon.request(method.upper(), real, "{}",
                                          {"Content-Type": "application/json"})[0]
                    self.assertEqual(bare, 200 if operation["x-tonnage-scope"] == "open" else 401,
                                     f"{method} {real}")
                    if operation["x-tonnage-scope"] in ("read", "admin"):
                        status, _, text = daemon.request(method.upper(), real, "{}", headers)
                        self.assertEqual(status, 403, f"{method} {real}: {text[:200]}")
            self.assertGreater(counted, 40)
            self.assertEqual(daemon.server_pids(), {})


if __name__ == "__main__":
    unittest.main()
