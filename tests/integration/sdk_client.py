"""The official Python clients, told by lines of JSON what to ask; see sdk_errors_test.py."""

import json
import sys

import anthropic
import openai


def ask_openai(order):
    client = openai.OpenAI(base_url=order["url"] + "/v1", api_key="x", max_retries=0, timeout=120)
    return client.chat.completions.create(
        model=order["model"], max_tokens=order["max_tokens"], stream=order["stream"],
        messages=[{"role": "user", "content": order["content"]}])


def ask_anthropic(order):
    client = anthropic.Anthropic(base_url=order["url"], api_key="x", max_retries=0, timeout=120)
    return client.messages.create(
        model=order["model"], max_tokens=order["max_tokens"], stream=order["stream"],
        messages=[{"role": "user", "content": order["content"]}])


def facts(error):
    body = error.body if isinstance(error.body, dict) else {}
    return {"classes": [kind.__name__ for kind in type(error).__mro__],
            "http": getattr(error, "status_code", None), "type": error.type,
            "error": body.get("error", body), "message": str(error)}


def main():
    for line in sys.stdin:
        order = json.loads(line)
        ask = {"openai": ask_openai, "anthropic": ask_anthropic}[order["sdk"]]
        try:
            answer = ask(order)
            if order["stream"]:
                print(json.dumps({"begun": True}), flush=True)
                for _ in answer:
                    pass
            result = {"classes": []}
        except (openai.APIError, anthropic.APIError) as error:
            result = facts(error)
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
