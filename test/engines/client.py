"""Drives a gateway with openai-python and prints one line of JSON a step; then keeps its connections until stdin ends.

panels.test.ts runs it: client.py http://127.0.0.1:8080/v1 plain
"""

import json
import sys

import openai

base_url, model = sys.argv[1:]
client = openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=60)
messages = [{"role": "user", "content": "How many days are in a week?"}]


def tell(step, **found):
    print(json.dumps({"step": step, **found}), flush=True)


def plain():
    completion = client.chat.completions.create(model=model, messages=messages, temperature=0, max_tokens=32)
    choice = completion.choices[0]
    tell(
        "plain",
        model=completion.model,
        text=choice.message.content,
        finish=choice.finish_reason,
        completionTokens=completion.usage.completion_tokens,
    )


def stream():
    with client.chat.completions.stream(
        model=model,
        messages=messages,
        temperature=0,
        max_tokens=32,
        stream_options={"include_usage": True},
    ) as events:
        for _ in events:
            pass
        completion = events.get_final_completion()
    choice = completion.choices[0]
    tell(
        "stream",
        model=completion.model,
        role=choice.message.role,
        text=choice.message.content,
        finish=choice.finish_reason,
        completionTokens=completion.usage.completion_tokens,
    )


def error(step, **request):
    try:
        client.chat.completions.create(**{"model": model, "messages": messages, **request})
        tell(step)
    except openai.APIStatusError as thrown:
        tell(step, error=type(thrown).__name__, status=thrown.status_code, code=thrown.code, type=thrown.type, requestId=thrown.request_id)


def abort():
    chunks = client.chat.completions.create(model=model, messages=messages, max_tokens=512, stream=True, extra_body={"ignore_eos": True})
    for chunk in chunks:
        if chunk.choices and chunk.choices[0].delta.content:
            break
    chunks.close()
    tell("abort")


plain()
stream()
error("unknown model", model="no-such-model")
error("context overflow", messages=[{"role": "user", "content": "word " * 3000}])
abort()
sys.stdin.read()
