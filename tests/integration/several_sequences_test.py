"""One request that takes several slots: answers by the number, lists of prompts, lists of texts."""

import json
import os
import signal
import threading
import unittest

from daemon import Daemon, demo_models, wait_until


class SeveralSequences(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        demo, test = demo_models("demo"), demo_models("test")
        cls.config = {"models": {
            "chat": {"gguf": str(demo / "demo-medium.gguf"), "slots": 4, "context": 4096},
            "embed": {"gguf": str(test / "test-embed.gguf"), "slots": 2}}}

    def leases(self, daemon, model="chat"):
        return daemon.models()[model]["leases"]

    def stream(self, daemon, **more):
        """A client that streams and can leave; its answer has begun."""
        connection = daemon.connection()
        connection.request("POST", "/v1/chat/completions", json.dumps(
            {"model": "chat", "stream": True, "max_tokens": 3000,
             "messages": [{"role": "user", "content": "Hello"}], **more}),
            {"Content-Type": "application/json"})
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200)
        answer.readline()
        return connection, answer

    def leave(self, client):
        connection, answer = client
        answer.close()
        connection.close()

    def busy_slots(self, daemon, model):
        slots = json.loads(daemon.request("GET", f"/upstream/{model}/slots")[2])
        return sum(slot["is_processing"] for slot in slots)

    def test_who_leaves_beside_two_answers_frees_the_own_slot_alone(self):
        with Daemon(self.config) as daemon:
            self.assertEqual(daemon.chat("chat")[0], 200)
            both = self.stream(daemon, n=2)
            others = [self.stream(daemon) for _ in range(2)]
            self.assertEqual(self.leases(daemon), 3)
            for client in others:
                self.leave(client)
            wait_until(lambda: self.leases(daemon) == 1, 30, "the others' leases end")
            self.assertEqual(daemon.chat("chat")[0], 200)
            self.assertTrue(both[1].readline(), "the stream goes on")
            self.assertEqual(self.leases(daemon), 1)
            self.leave(both)
            wait_until(lambda: self.leases(daemon) == 0, 30, "the last lease ends")
            self.assertEqual(self.busy_slots(daemon, "chat"), 0)

    def test_several_answers_wait_for_as_many_slots(self):
        with Daemon(self.config) as daemon:
            results = []

            def ask():
                status, _, text = daemon.request("POST", "/v1/chat/completions", {
                    "model": "chat", "n": 3, "max_tokens": 30,
                    "messages": [{"role": "user", "content": "Hello"}]})
                results.append((status, len(json.loads(text).get("choices", []))))
            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(results, [(200, 3)] * 4)

    def test_more_answers_than_slots_are_refused_with_the_number(self):
        with Daemon(self.config) as daemon:
            status, _, text = daemon.request("POST", "/v1/chat/completions", {
                "model": "chat", "n": 5, "messages": [{"role": "user", "content": "Hello"}]})
            self.assertEqual(status, 400)
            error = json.loads(text)["error"]
            self.assertEqual(error["param"], "n")
            self.assertIn("at most 4", error["message"])
            self.assertEqual(daemon.models()["chat"]["loads"], 0)

    def test_a_list_of_prompts_that_is_left_frees_all_slots(self):
        with Daemon(self.config) as daemon:
            self.assertEqual(daemon.chat("chat")[0], 200)
            connection = daemon.connection()
            connection.request("POST", "/v1/completions", json.dumps(
                {"model": "chat", "prompt": ["hello"] * 20, "max_tokens": 2000}),
                {"Content-Type": "application/json"})
            wait_until(lambda: self.busy_slots(daemon, "chat") == 4, 30, "all slots work")
            connection.close()
            wait_until(lambda: self.leases(daemon) == 0, 30, "its lease ends")
            self.assertEqual(self.busy_slots(daemon, "chat"), 0)
            self.assertEqual(daemon.chat("chat")[0], 200)

    def embed(self, daemon, texts):
        status, headers, text = daemon.request("POST", "/v1/embeddings",
                                               {"model": "embed", "input": texts}, timeout=300)
        return status, headers, json.loads(text)

    def test_hundreds_of_texts_do_not_keep_a_single_one_waiting_to_their_end(self):
        texts = [f"{number} " + "x" * 500 for number in range(400)]
        with Daemon(self.config) as daemon:
            self.assertEqual(self.embed(daemon, "hello")[0], 200)
            long = []
            thread = threading.Thread(target=lambda: long.append(self.embed(daemon, texts)))
            thread.start()
            wait_until(lambda: self.leases(daemon, "embed") == 1, 30, "the long one runs")
            # One that leaves in the queue, or at the server, takes nobody's place for long.
            leaver = daemon.connection()
            leaver.request("POST", "/v1/embeddings",
                           json.dumps({"model": "embed", "input": "bye"}),
                           {"Content-Type": "application/json"})
            leaver.close()
            status, _, single = self.embed(daemon, texts[7])
            self.assertEqual(status, 200)
            self.assertTrue(thread.is_alive(), "the long one was answered first")
            self.assertLessEqual(self.leases(daemon, "embed"), 1)
            thread.join()
            status, headers, answer = long[0]
            self.assertEqual(status, 200)
            self.assertIn("x-tonnage-request", headers)
            self.assertEqual([row["index"] for row in answer["data"]], list(range(400)))
            self.assertEqual(answer["object"], "list")
            near = zip(answer["data"][7]["embedding"], single["data"][0]["embedding"], strict=True)
            self.assertLess(max(abs(a - b) for a, b in near), 1e-3)
            tokens = sum(self.embed(daemon, text)[2]["usage"]["prompt_tokens"]
                         for text in (texts[0], texts[10], texts[100]))
            of_one = self.embed(daemon, texts[0])[2]["usage"]["prompt_tokens"]
            self.assertEqual(tokens, 3 * of_one + 3)
            self.assertEqual(answer["usage"]["prompt_tokens"],
                             400 * of_one + 90 + 2 * 300)
            self.assertEqual(answer["usage"]["total_tokens"], answer["usage"]["prompt_tokens"])
            self.assertEqual(daemon.models()["embed"]["failures"], 0)

    def test_a_list_with_one_text_that_is_too_long_fails_as_a_whole(self):
        texts = ["x" * 500 for _ in range(40)] + ["x" * 6000]
        with Daemon(self.config) as daemon:
            status, _, answer = self.embed(daemon, texts)
            self.assertGreaterEqual(status, 400)
            self.assertIn("error", answer)
            self.assertEqual(self.leases(daemon, "embed"), 0)

    def test_a_kill_in_the_middle_of_many_texts_costs_nothing_but_time(self):
        texts = ["x" * 500 for _ in range(200)]
        with Daemon(self.config) as daemon:
            self.assertEqual(self.embed(daemon, "hello")[0], 200)
            long = []
            thread = threading.Thread(target=lambda: long.append(self.embed(daemon, texts)))
            thread.start()
            wait_until(lambda: self.leases(daemon, "embed") == 1, 30, "the long one runs")
            os.kill(daemon.server_pid("embed"), signal.SIGKILL)
            thread.join()
            self.assertEqual(long[0][0], 200)
            self.assertEqual(len(long[0][2]["data"]), 200)


if __name__ == "__main__":
    unittest.main()
