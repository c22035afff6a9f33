"""What a server keeps of a conversation from turn to turn, with real models and defaults."""

import json
import unittest

from daemon import Daemon
from real_models import real_model

KEPT_SHARE_MIN = 0.85

QUESTIONS = ["Tell me in a few sentences how bread is baked at home and what matters most.",
             "And how does the kind of flour change the result?",
             "What about the oven and the temperature?"]
# As a chat page asks after each answer: one template, several tasks.
SIDE_REQUESTS = [
    "### Task:\nGenerate a concise, 3-5 word title summarizing the chat history.\n"
    "### Guidelines:\n- The title should represent the main theme of the conversation.\n"
    "- Write the title in the chat's primary language.\n### Output:\n"
    'JSON format: { "title": "your concise title here" }\n### Chat History:\n',
    "### Task:\nGenerate 1-3 broad tags categorizing the main themes of the chat history.\n"
    "### Guidelines:\n- Start with high-level domains, such as Science, Arts, Business, Health\n"
    '### Output:\nJSON format: { "tags": ["tag1"] }\n### Chat History:\n',
    "### Task:\nSuggest 3-5 relevant follow-up questions that the user might ask next.\n"
    "### Guidelines:\n- Write all questions from the user's point of view.\n"
    '### Output:\nJSON format: { "follow_ups": ["Question 1?"] }\n### Chat History:\n']


class Conversation:
    """Counts what each turn found of the turns before."""

    def __init__(self, daemon, model):
        self.daemon = daemon
        self.model = model
        self.messages = []
        self.held = 0
        self.shares = []

    def ask(self, messages, max_tokens):
        status, _, text = self.daemon.request("POST", "/v1/chat/completions", {
            "model": self.model, "messages": messages, "max_tokens": max_tokens,
            "temperature": 0})
        if status != 200:
            raise AssertionError(f"{status} {text}")
        return json.loads(text)

    def turn(self, question, max_tokens=40):
        self.messages.append({"role": "user", "content": question})
        answer = self.ask(self.messages, max_tokens)
        timings = answer["timings"]
        if self.held:
            self.shares.append(timings["cache_n"] / self.held)
        # The last token of an answer is not computed any more.
        self.held = timings["cache_n"] + timings["prompt_n"] + timings["predicted_n"] - 1
        self.messages.append(answer["choices"][0]["message"])

    def side_requests(self):
        history = "\n".join(f"{message['role'].upper()}: {message['content']}"
                            for message in self.messages)
        for task in SIDE_REQUESTS:
            self.ask([{"role": "user", "content": task + history}], 12)


class KeptPrompts(unittest.TestCase):
    def assert_kept(self, conversation):
        for share in conversation.shares:
            self.assertGreaterEqual(share, KEPT_SHARE_MIN, conversation.shares)

    def test_a_conversation_shorter_than_its_window_is_kept(self):
        gemma3 = real_model("gemma3")
        with Daemon({"models": {"gemma3": {"gguf": str(gemma3), "context": 2048}}}) as daemon:
            conversation = Conversation(daemon, "gemma3")
            for question in QUESTIONS:
                conversation.turn(question)
            self.assertLess(conversation.held, 512)  # its window
            self.assert_kept(conversation)

    def test_side_requests_of_a_chat_page_leave_the_conversation(self):
        smollm2 = real_model("smollm2")
        with Daemon({"models": {"smollm2": {"gguf": str(smollm2), "context": 2048}}}) as daemon:
            conversation = Conversation(daemon, "smollm2")
            for question in QUESTIONS:
                conversation.turn(question)
                conversation.side_requests()
            self.assert_kept(conversation)


if __name__ == "__main__":
    unittest.main()
