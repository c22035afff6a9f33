"""An error after a stream began is the same as the one before it, in both dialects."""

import json
import os
import signal
import threading
import unittest

from daemon import Daemon, demo_models, wait_until

OPENAI, ANTHROPIC = "/v1/chat/completions", "/v1/messages"
JSON = {"Content-Type": "application/json"}


def body(model, content="Hello", **more):
    return {"model": model, "stream": True, "max_tokens": 8,
            "messages": [{"role": "user", "content": content}], **more}


def wait_in_line(daemon, busy, path, request, then=lambda: None):
    """Asks while `busy` is at work; lets go of it once comments have come. (status, lines)."""
    holder = daemon.connection()
    holder.request("POST", OPENAI, json.dumps(body(busy, max_tokens=8000)), JSON)
    wait_until(lambda: daemon.models()[busy]["leases"] == 1, 30, "it is busy")
    client = daemon.connection()
    client.request("POST", path, json.dumps(request), JSON)
    answer = client.getresponse()
    lines = []
    for line in answer:
        lines.append(line.decode().rstrip("\r\n"))
        if lines[-1].startswith(": tonnage queue") and holder:
            then()
            holder.close()
            holder = None
    client.close()
    if holder:
        holder.close()
    return answer.status, lines


def one_error(test, lines, path):
    """The error object of a stream that holds comments and one error."""
    rest = [line for line in lines if line and not line.startswith(":")]
    if path == ANTHROPIC:
        test.assertEqual(rest.pop(0), "event: error")
    test.assertEqual(len(rest), 1, lines)
    test.assertTrue(rest[0].startswith("data: "), rest)
    return json.loads(rest[0][6:])


class LateErrors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = demo_models("demo")
        models = {name: {"gguf": str(folder / f"{name}.gguf"), "context": size, "slots": 1}
                  for name, size in (("demo-small", 1024), ("demo-medium", 8192))}
        models["broken"] = {"gguf": str(folder / "no-such-file.gguf")}
        cls.daemon = Daemon({"residency": {"single_model": True},
                             "queue": {"yield_after": "60s", "degrade_after": "90s"},
                             "load": {"retry_backoff_min": "1s", "retry_backoff_max": "1s"},
                             "models": models})
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(None, None, None)

    def early(self, path, request):
        status, headers, text = self.daemon.request("POST", path, request)
        return status, headers, json.loads(text)

    def both(self, path, request):
        """The error's object, which has to be the same early and late."""
        self.assertEqual(self.daemon.chat("demo-small")[0], 200)
        status, _, early = self.early(path, request)
        begun, lines = wait_in_line(self.daemon, "demo-medium", path, request)
        self.assertEqual(begun, 200)
        self.assertTrue(lines[0].startswith(": tonnage queue place 1, request "), lines)
        late = one_error(self, lines, path)
        self.assertEqual(early, late)
        self.assertEqual(early["error"]["status"], status)
        return early

    def test_a_prompt_that_is_too_long(self):
        error = self.both(OPENAI, body("demo-small", "y" * 5000))["error"]
        self.assertEqual((error["status"], error["code"], error["type"]),
                         (400, "context_length_exceeded", "exceed_context_size_error"))
        self.assertGreater(error["n_prompt_tokens"], 5000)
        self.assertEqual(error["n_ctx"], 1024)
        self.assertNotIn("{", error["message"])

        whole = self.both(ANTHROPIC, body("demo-small", "y" * 5000))
        error = whole["error"]
        self.assertEqual((whole["type"], error["type"], error["engine_type"]),
                         ("error", "invalid_request_error", "exceed_context_size_error"))
        self.assertEqual(error["details"]["error_code"], "context_length_exceeded")
        self.assertTrue(error["message"].startswith("prompt is too long: "), error)

    def test_requests_that_the_engine_refuses(self):
        schema = {"type": "json_schema", "json_schema": {"schema": {"type": "nonsense"}}}
        error = self.both(OPENAI, body("demo-small", response_format=schema))["error"]
        self.assertEqual((error["status"], error["type"]), (400, "invalid_request_error"))
        self.assertIn("nonsense", error["message"])
        for path in (OPENAI, ANTHROPIC):
            error = self.both(path, body("demo-small", max_tokens="many"))["error"]
            self.assertEqual((error["status"], error["code"]), (400, "invalid_request"))
            self.assertIn("max_tokens", error["message"])

    def test_a_model_that_cannot_be_loaded(self):
        for path, kind in ((OPENAI, "server_error"), (ANTHROPIC, "api_error")):
            _, lines = wait_in_line(self.daemon, "demo-medium", path, body("broken"))
            if not any(line.startswith(": tonnage queue") for line in lines):
                error = json.loads("".join(lines))["error"]  # it rests: answered at once
            else:
                error = one_error(self, lines, path)["error"]
            self.assertEqual((error["status"], error["type"]), (502, kind))
            self.assertIn("no such file", error["message"])

    def test_the_number_in_a_comment_is_the_one_that_why_takes(self):
        seen = []

        def ask():
            place = self.daemon.get_json("/api/memory/status")["waiting"]
            seen.append(place)

        self.assertEqual(self.daemon.chat("demo-small")[0], 200)
        _, lines = wait_in_line(self.daemon, "demo-medium", OPENAI, body("demo-small"), ask)
        self.assertEqual(seen, [1])
        number = lines[0].split("request ")[1].split(",")[0]
        told = self.daemon.command("why", number)
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertIn("demo-small", told.stdout)

    def test_a_server_that_dies_in_the_middle_of_its_answer(self):
        for path in (OPENAI, ANTHROPIC):
            client = self.daemon.connection()
            client.request("POST", path, json.dumps(body("demo-medium", max_tokens=8000)), JSON)
            answer = client.getresponse()
            lines = [answer.readline().decode()]
            wait_until(lambda: self.daemon.server_pid("demo-medium"), 20, "it has a server")
            killer = threading.Thread(target=self.kill, args=("demo-medium",))
            killer.start()
            lines += [line.decode() for line in answer]
            killer.join()
            client.close()
            text = "".join(lines)
            self.assertNotIn("[DONE]", text)
            last = [line for line in text.splitlines() if line.startswith("data: ")][-1]
            error = json.loads(last[6:])["error"]
            self.assertEqual((error["status"], error["code"]), (502, "server_lost"))

    def kill(self, model):
        pid = self.daemon.server_pid(model)
        if pid:
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    unittest.main()
