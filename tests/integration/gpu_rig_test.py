"""The rig of GPUs that do not exist, by itself: what the tests with a daemon on it rely on."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import unittest

from daemon import wait_until
from gpu_rig import (FIRST, MIB, MISSING_LIBRARY, PROGRAMS, SECOND, Card, Engine, GpuRig)

# A model of 2 GiB with 4096 tokens in all: weights, 256 MiB of cache, and what computing takes.
WEIGHTS_MIB = 2048
CACHE_MIB = 256
CUDA_CONTEXT_MIB = 300


class RigTest(unittest.TestCase):
    def rig(self, *cards, lag_ms=0):
        rig = GpuRig(*cards, lag_ms=lag_ms)
        self.addCleanup(rig.__exit__, None, None, None)
        rig.__enter__()
        rig.model("two", 2)
        return rig

    def dry_run(self, rig, model="two", *flags):
        return subprocess.run(
            [rig.engine / "llama-fit-params", "--model", rig.folder / f"{model}.gguf",
             "--ctx-size", "4096", "--parallel", "2", "--batch-size", "512", "--ubatch-size",
             "512", "--cache-type-k", "f16", "--cache-type-v", "f16",
             *(flags or ("--gpu-layers", "999")), "--fit", "off", "--fit-print", "on",
             "--offline"], env={}, capture_output=True, text=True, check=False)

    def rows(self, rig, *more):
        """device -> [model, context, compute] in MiB."""
        done = self.dry_run(rig, *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [line.split() for line in done.stdout.splitlines()]
        return {row[0]: [int(word) for word in row[1:]] for row in rows}


class Memory(RigTest):
    def test_a_server_takes_what_its_dry_run_said_and_a_context(self):
        rig = self.rig()
        rows = self.rows(rig)
        self.assertEqual(list(rows), ["CUDA0", "Host"])
        self.assertAlmostEqual(rows["CUDA0"][0], WEIGHTS_MIB, delta=1)
        self.assertEqual(rows["CUDA0"][1], CACHE_MIB)
        with Engine(rig, "two") as server:
            server.wait_ready()
            used = rig.used_mib()
            self.assertAlmostEqual(used, sum(rows["CUDA0"]) + CUDA_CONTEXT_MIB, delta=4)
            (card,) = rig.doctor()["devices"]
            self.assertEqual(card["used_bytes"] // MIB, used)
            self.assertEqual([p["pid"] for p in card["processes"]], [server.process.pid])
            smi = subprocess.run([rig.drivers / "nvidia-smi", "--query-gpu=memory.used"],
                                 env=rig.environment(), capture_output=True, text=True, check=True)
            self.assertEqual(int(smi.stdout), used)

    def test_what_a_killed_server_held_comes_back_after_the_lag(self):
        rig = self.rig(lag_ms=400)
        with Engine(rig, "two") as server:
            server.wait_ready()
            server.process.kill()
            server.wait()
            first = rig.report()
            self.assertEqual(first["devices"][0]["processes"], {})
            self.assertGreater(first["devices"][0]["used"], 2000 * MIB)
            wait_until(lambda: rig.used_mib() == 0, 10, "the memory is back")
            self.assertGreaterEqual(rig.report()["time_ms"] - first["time_ms"], 390)

    def test_sigterm_ends_it_with_success(self):
        rig = self.rig()
        with Engine(rig, "two") as server:
            server.wait_ready()
            server.process.terminate()
            self.assertEqual(server.wait()[0], 0)
            self.assertEqual(rig.used_mib(), 0)

    def test_a_leak_stays(self):
        rig = self.rig()
        rig.behave("two", leak_mib=700)
        with Engine(rig, "two") as server:
            server.wait_ready()
            self.assertEqual(rig.device()["leaked"], 0)
            server.process.terminate()
            server.wait()
        device = rig.device()
        self.assertEqual((device["used"], device["leaked"]), (700 * MIB, 700 * MIB))
        (card,) = rig.doctor()["devices"]
        self.assertEqual((card["used_bytes"], card["processes"]), (700 * MIB, []))

    def test_layers_that_are_left_in_the_host_take_nothing_on_the_device(self):
        rig = self.rig()
        some = self.rows(rig, "two", "--gpu-layers", "11")
        # 11 of 33 layers, of which the output has no cache.
        self.assertAlmostEqual(some["CUDA0"][0], WEIGHTS_MIB / 3, delta=1)
        self.assertEqual(some["CUDA0"][1], CACHE_MIB * 10 // 32)
        self.assertAlmostEqual(some["Host"][0], WEIGHTS_MIB * 2 / 3, delta=2)
        none = self.rows(rig, "two", "--device", "none")
        self.assertEqual(list(none), ["Host"])
        with Engine(rig, "two", "--device", "none") as server:
            server.wait_ready()
            self.assertEqual(rig.used_mib(), 0)

    def test_a_dry_run_may_be_wrong_and_the_server_is_not(self):
        rig = self.rig()
        right = self.rows(rig)["CUDA0"]
        for permille in (600, 1400):
            rig.behave(estimate_permille=permille)
            wrong = self.rows(rig)["CUDA0"]
            for told, true in zip(wrong, right):
                self.assertAlmostEqual(told, true * permille / 1000, delta=1.5)
        with Engine(rig, "two") as server:
            server.wait_ready()
            self.assertAlmostEqual(rig.used_mib(), sum(right) + CUDA_CONTEXT_MIB, delta=4)

    def test_a_dry_run_opens_a_context_for_its_time(self):
        rig = self.rig()
        self.assertEqual(self.dry_run(rig).returncode, 0)
        device = rig.device()
        self.assertEqual(device["used"], 0)
        self.assertEqual(device["used_max"], CUDA_CONTEXT_MIB * MIB)

    def test_a_cache_that_grows(self):
        rig = self.rig()
        rig.behave(grow_at=2, grow_mib=500)
        with Engine(rig, "two") as server:
            server.wait_ready()
            before = rig.used_mib()
            self.assertEqual(server.chat()[0], 200)
            self.assertEqual(rig.used_mib(), before)
            self.assertEqual(server.chat()[0], 200)
            self.assertEqual(rig.used_mib(), before + 500)


class Devices(RigTest):
    def two(self):
        return self.rig(Card(), Card("large", 24576, 500, SECOND, "0000:09:00.0"))

    def test_devices_are_named_in_the_order_of_the_environment(self):
        rig = self.two()

        def listed(**environment):
            done = subprocess.run([rig.engine / "llama-server", "--list-devices"],
                                  env=environment, capture_output=True, text=True, check=True)
            return done.stdout.splitlines()
        self.assertEqual(listed(), ["Available devices:",
                                    "  CUDA0: large (24576 MiB, 24076 MiB free)",
                                    "  CUDA1: small (8192 MiB, 7892 MiB free)"])
        self.assertIn("CUDA0: small", listed(CUDA_VISIBLE_DEVICES=f"{FIRST},{SECOND}")[1])
        self.assertEqual(len(listed(CUDA_VISIBLE_DEVICES=SECOND)), 2)
        self.assertEqual(listed(CUDA_VISIBLE_DEVICES=""), ["Available devices:", "  (none)"])
        rig.behave(no_devices=True)
        self.assertEqual(listed(), ["Available devices:", "  (none)"])

    def test_a_model_on_the_device_that_was_chosen(self):
        rig = self.two()
        with Engine(rig, "two", env={"CUDA_VISIBLE_DEVICES": FIRST}) as server:
            server.wait_ready()
            self.assertGreater(rig.used_mib(0), WEIGHTS_MIB)
            self.assertEqual(rig.used_mib(1), 0)

    def test_a_model_over_two_devices_by_their_shares(self):
        rig = self.two()
        with Engine(rig, "two", "--gpu-layers", "999", "--tensor-split", "1,3",
                    env={"CUDA_VISIBLE_DEVICES": f"{FIRST},{SECOND}"}) as server:
            server.wait_ready()
            small, large = rig.used_mib(0), rig.used_mib(1)
        with Engine(rig, "two", "--gpu-layers", "999", "--split-mode", "none", "--main-gpu",
                    "1") as server:
            server.wait_ready()
            self.assertGreater(rig.used_mib(0), WEIGHTS_MIB)  # CUDA1 is the small one here
        # A quarter of the weights and cache, a context and a compute buffer.
        self.assertGreater(small, 800)
        self.assertLess(small, 1200)
        self.assertGreater(large, 2000)

    def test_a_device_that_is_not_there(self):
        rig = self.rig()
        done = self.dry_run(rig, "two", "--device", "CUDA1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("invalid device: CUDA1", done.stderr)

    def test_a_device_that_falls_off_the_bus(self):
        rig = self.rig()
        rig.behave(token_ms=20)
        with Engine(rig, "two") as server:
            server.wait_ready()
            rig.control("lose 0")
            with self.assertRaises(OSError):
                server.chat()
            status, log = server.wait()
            self.assertEqual(status, -signal.SIGABRT)
            self.assertIn("CUDA error: unspecified launch failure", log)
        self.assertIn("NVML_ERROR_GPU_IS_LOST", json.dumps(rig.doctor()["failed"]))
        self.assertEqual(rig.refused("server"), 0)


class Failures(RigTest):
    """With the words and the status that the real programs have."""

    def fails(self, rig, model="two", *flags):
        with Engine(rig, model, *flags) as server:
            return server.wait()

    def test_weights_that_do_not_fit(self):
        rig = self.rig()
        rig.model("nine", 9)
        status, log = self.fails(rig, "nine")
        self.assertEqual(status, 1)
        self.assertRegex(log, r"ggml_backend_cuda_buffer_type_alloc_buffer: allocating \d+\.\d\d "
                              r"MiB on device 0: cudaMalloc failed: out of memory")
        self.assertIn("error loading model: unable to allocate CUDA0 buffer", log)
        self.assertIn("exiting due to model loading error", log)
        refusal, = rig.report()["refusals"]
        self.assertEqual(refusal["owner"], "server")
        self.assertEqual(refusal["free_bytes"], (8192 - 300 - CUDA_CONTEXT_MIB) * MIB)

    def test_a_cache_that_does_not_fit(self):
        rig = self.rig()
        rig.model("wide", 7)
        status, log = self.fails(rig, "wide", "--gpu-layers", "999", "--ctx-size", "16384")
        self.assertEqual(status, 1)
        self.assertIn("failed to allocate buffer for kv cache", log)

    def test_a_compute_buffer_that_does_not_fit(self):
        rig = self.rig(Card(total_mib=2048 + 300 + 256 + 20, reserved_mib=0))
        status, log = self.fails(rig)
        self.assertEqual(status, 1)
        self.assertIn("failed to allocate compute pp buffers", log)

    def test_no_room_for_a_context(self):
        rig = self.rig(Card(total_mib=200, reserved_mib=0))
        status, log = self.fails(rig)
        self.assertEqual(status, -signal.SIGABRT)
        self.assertIn("CUDA error: out of memory\n  current device: 0, in function", log)

    def test_out_of_memory_in_use_takes_all_requests_along(self):
        rig = self.rig()
        rig.behave(oom_at=3, token_ms=5)
        with Engine(rig, "two", slots=4) as server:
            server.wait_ready()
            self.assertEqual(server.chat()[0], 200)
            results = []

            def ask():
                try:
                    results.append(server.chat(max_tokens=400))
                except OSError as error:
                    results.append(error)
            threads = [threading.Thread(target=ask) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            status, log = server.wait()
        self.assertEqual(status, -signal.SIGABRT)
        self.assertIn("CUDA error: out of memory", log)
        self.assertTrue(all(isinstance(result, OSError) for result in results), results)
        with Engine(rig, "two", slots=4) as server:  # it was to happen once
            server.wait_ready()
            for _ in range(4):
                self.assertEqual(server.chat()[0], 200)

    def test_no_memory_for_one_request(self):
        rig = self.rig()
        rig.behave(short_at=2)
        with Engine(rig, "two") as server:
            server.wait_ready()
            self.assertEqual(server.chat()[0], 200)
            self.assertEqual(server.chat(stream=True), (
                500, '{"error":{"code":500,"message":"Compute error.","type":"server_error"}}'))
            self.assertEqual(server.chat()[0], 200)
        self.assertIn("on device 0: cudaMalloc failed: out of memory", server.log)
        self.assertIn("process_ubatch: failed to compute graph, compute status: -2", server.log)

    def test_an_architecture_that_it_does_not_know(self):
        rig = self.rig()
        rig.model("zork", 1, architecture="zorkk")
        status, log = self.fails(rig, "zork")
        self.assertEqual(status, 1)
        self.assertIn("error loading model: unknown model architecture: 'zorkk'", log)
        done = self.dry_run(rig, "zork")
        self.assertEqual(done.returncode, -signal.SIGABRT)
        self.assertIn("unknown model architecture", done.stderr)

    def test_last_words(self):
        rig = self.rig()
        rig.behave("two", last_words=MISSING_LIBRARY, exit_status=127)
        status, log = self.fails(rig)
        self.assertEqual(status, 127)
        self.assertIn("error while loading shared libraries", log)

    def test_an_argument_that_it_does_not_know(self):
        status, log = self.fails(self.rig(), "two", "--zork")
        self.assertEqual(status, 1)
        self.assertIn("error: invalid argument: --zork", log)

    def test_a_socket_that_is_taken(self):
        rig = self.rig()
        with Engine(rig, "two") as server:
            server.wait_ready()
            again = subprocess.run(server.arguments, env={}, capture_output=True, text=True,
                                   check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn("couldn't bind HTTP server socket", again.stderr)


class Serving(RigTest):
    def test_it_says_that_it_loads(self):
        rig = self.rig()
        rig.behave(hang_at_load=True)
        with Engine(rig, "two") as server:
            status, text = wait_until(lambda: self.health(server), 10, "it answers")
            self.assertEqual(status, 503)
            self.assertEqual(json.loads(text)["error"]["message"], "Loading model")
            wait_until(lambda: rig.used_mib() > WEIGHTS_MIB, 10, "it has its weights")

    def health(self, server):
        try:
            return server.request("GET", "/health")
        except OSError:
            return None

    def test_answers_are_signed(self):
        rig = self.rig()
        with Engine(rig, "two") as server:
            server.wait_ready()
            for stream in (False, True):
                for path in ("/v1/chat/completions", "/v1/completions"):
                    status, text = server.chat(stream, path=path)
                    self.assertEqual((status, text), (200, "two: that never were"), path)
            self.assertEqual(server.request("POST", "/v1/embeddings", {"input": "x"})[0], 501)
            status, text = server.request("POST", "/v1/chat/completions", {
                "messages": [{"role": "user", "content": "x" * 20000}]})
            self.assertEqual(status, 400)
            self.assertEqual(json.loads(text)["error"]["type"], "exceed_context_size_error")

    def test_embeddings(self):
        rig = self.rig()
        with Engine(rig, "two", "--gpu-layers", "999", "--embeddings") as server:
            server.wait_ready()
            status, text = server.request("POST", "/v1/embeddings", {"input": ["a", "b", "a"]})
            self.assertEqual(status, 200)
            vectors = [entry["embedding"] for entry in json.loads(text)["data"]]
            self.assertEqual(vectors[0], vectors[2])
            self.assertNotEqual(vectors[0], vectors[1])
            self.assertEqual(json.loads(text)["model"], "two")

    def busy(self, server):
        slots = json.loads(server.request("GET", "/slots")[1])
        self.assertEqual(len(slots), 2)
        return sum(slot["is_processing"] for slot in slots)

    def test_a_client_that_leaves_frees_its_slot(self):
        rig = self.rig()
        rig.behave(token_ms=10)
        with Engine(rig, "two") as server:
            server.wait_ready()
            body = json.dumps({"messages": [], "max_tokens": 100000, "stream": False})
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(server.socket))
            client.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: "
                           f"{len(body)}\r\n\r\n{body}".encode())
            wait_until(lambda: self.busy(server) == 1, 10, "it works")
            client.close()
            wait_until(lambda: self.busy(server) == 0, 10, "it stops")
            server.process.terminate()
            self.assertIn("cancel task", server.wait()[1])

    def test_more_requests_than_slots_wait(self):
        rig = self.rig()
        rig.behave(token_ms=10)
        with Engine(rig, "two") as server:
            server.wait_ready()
            results = []
            threads = [threading.Thread(target=lambda: results.append(server.chat()))
                       for _ in range(7)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual([status for status, _ in results], [200] * 7)

    def test_one_that_hangs_in_use_answers_nobody(self):
        rig = self.rig()
        rig.behave(hang_at=1)
        with Engine(rig, "two") as server:
            server.wait_ready()
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(server.socket))
            body = '{"messages":[]}'
            client.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: "
                           f"{len(body)}\r\n\r\n{body}".encode())
            client.settimeout(0.3)
            with self.assertRaises(TimeoutError):
                client.recv(100)
            probe = socket.socket(socket.AF_UNIX)
            probe.connect(str(server.socket))
            probe.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            probe.settimeout(0.3)
            with self.assertRaises(TimeoutError):
                probe.recv(100)
            client.close()
            probe.close()

    def test_slots_are_saved_and_restored(self):
        rig = self.rig()
        with Engine(rig, "two", "--gpu-layers", "999", "--slot-save-path",
                    str(rig.folder)) as server:
            server.wait_ready()
            body = {"filename": "saved"}
            self.assertEqual(server.request("POST", "/slots/0?action=restore", body)[0], 400)
            self.assertEqual(server.request("POST", "/slots/0?action=save", body)[0], 200)
            self.assertEqual(server.request("POST", "/slots/1?action=restore", body)[0], 200)
            self.assertEqual(server.request("POST", "/slots/1?action=erase")[0], 200)


class Drivers(RigTest):
    def test_a_stale_one_tells_for_ever_what_it_saw_first(self):
        # One process, as the daemon is: it loads the library once.
        program = """
import ctypes, sys
nvml = ctypes.CDLL("libnvidia-ml.so.1")
nvml.nvmlInit_v2()
card = ctypes.c_void_p()
nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(card))
memory = (ctypes.c_uint64 * 3)()
for _ in range(2):
    assert nvml.nvmlDeviceGetMemoryInfo(card, memory) == 0
    print(memory[2] >> 20, flush=True)
    sys.stdin.readline()
"""
        rig = self.rig()
        for drivers, then in (("current", 1300), ("stale", 300)):
            rig.control("release 0 7")
            reader = subprocess.Popen(
                [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                text=True, env=rig.environment(LD_LIBRARY_PATH=str(PROGRAMS / drivers)))
            self.assertEqual(reader.stdout.readline(), "300\n", drivers)
            rig.control("allocate 0 7 1000")
            output, _ = reader.communicate("\n\n", timeout=10)
            self.assertEqual(output, f"{then}\n", drivers)


class Hog(RigTest):
    def test_it_takes_and_gives_back_and_is_seen(self):
        rig = self.rig()
        with rig.hog(3072, hold=200, away=200) as hog:
            wait_until(lambda: rig.used_mib() == 3072, 10, "it has its memory")
            wait_until(lambda: rig.report()["counters"].get("hog:0", 0) >= 2, 10, "two rounds")
            wait_until(lambda: rig.device()["processes"] == {str(hog.pid): 3072 * MIB}, 10,
                       "it has it again")
        self.assertEqual(hog.returncode, 0)
        wait_until(lambda: rig.used_mib() == 0, 10, "it has left")
        self.assertEqual(rig.refused("foreign"), 0)

    def test_what_it_is_refused_is_counted_and_tried_again(self):
        rig = self.rig()
        rig.model("six", 6)
        with Engine(rig, "six") as server:
            server.wait_ready()
            with rig.hog(3072, pace=20):
                wait_until(lambda: rig.refused("foreign") >= 2, 10, "it is refused, twice")
                self.assertEqual(rig.report()["refusals"][-1]["owner"], "foreign")
                server.process.kill()
                wait_until(lambda: rig.used_mib() == 3072, 10, "it has its memory in the end")


if __name__ == "__main__":
    assert (PROGRAMS / "engine/llama-server").exists(), f"{PROGRAMS} has no engine: {os.getcwd()}"
    unittest.main()
