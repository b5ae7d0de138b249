"""Drives a gateway with Python clients and prints what each step found as one line of JSON; then keeps its connections until stdin ends.

python.test.ts runs it and writes its plan to the first line of stdin: where the gateway is, and the steps, each with a client, a deed and a model.
"""

import asyncio
import inspect
import json
import sys
import time

import huggingface_hub
import openai
from openai.lib.responses_tool_runner import AsyncRegisteredFunction, AsyncResponsesToolRunner, RegisteredFunction, ResponsesToolRunner
from pydantic import BaseModel

QUESTION = "What is 2+3?"
TOOL_QUESTION = "What is 2+3? Use add."
JSON_QUESTION = "What is 2+3? Answer as JSON."


class Answer(BaseModel):
    answer: float


class Sum(BaseModel):
    """Adds two numbers."""

    a: float
    b: float


def tell(**found):
    print(json.dumps(found), flush=True)


async def got(value):
    """What a call gives, of a client that blocks or of one that is awaited."""
    return await value if inspect.isawaitable(value) else value


async def each(stream):
    """The items of a stream of either sort."""
    if hasattr(stream, "__aiter__"):
        async for item in stream:
            yield item
    else:
        for item in stream:
            yield item


def user(content):
    return [{"role": "user", "content": content}]


def numbers(text):
    given = Sum.model_validate_json(text)
    return given.a, given.b


# One of each class and key: to make one costs more than to use it.
MADE = {}


def new(make, place):
    return make(base_url=place["baseURL"], api_key=place["apiKey"], timeout=60)


def made(make, place):
    known = (make, place["apiKey"])
    if known not in MADE:
        MADE[known] = new(make, place)
    return MADE[known]


class Chat:
    """The chat completions of openai-python."""

    def __init__(self, make, place):
        self.client = made(make, place).with_options(max_retries=place["maxRetries"])
        self.model = place["model"]

    @property
    def api(self):
        return self.client.chat.completions

    async def plain(self):
        completion = await got(self.api.create(model=self.model, messages=user(QUESTION)))
        usage = completion.usage
        return {"text": completion.choices[0].message.content, "tokens": [usage.prompt_tokens, usage.completion_tokens]}

    async def helped(self, **request):
        """A stream read by the library's helper: its pieces of text, and the completion that it made of them."""
        pieces = []
        manager = self.api.stream(model=self.model, **request)
        stream = await manager.__aenter__() if hasattr(manager, "__aenter__") else manager.__enter__()
        async for event in each(stream):
            if event.type == "content.delta":
                pieces.append(event.delta)
        return pieces, await got(stream.get_final_completion())

    async def stream(self):
        pieces, _ = await self.helped(messages=user(QUESTION))
        return {"pieces": pieces}

    async def tools(self, streamed):
        request = {"messages": user(TOOL_QUESTION), "tools": [openai.pydantic_function_tool(Sum, name="add")]}
        added = []
        while True:
            if streamed:
                _, completion = await self.helped(**request)
            else:
                completion = await got(self.api.create(model=self.model, **request))
            message = completion.choices[0].message
            if not message.tool_calls:
                return {"text": message.content, "added": added}
            request["messages"] = [*request["messages"], message.model_dump(exclude_none=True)]
            for call in message.tool_calls:
                given = numbers(call.function.arguments)
                added.append(given)
                request["messages"].append({"role": "tool", "tool_call_id": call.id, "content": str(sum(given))})

    async def parsed(self):
        completion = await got(self.api.parse(model=self.model, messages=user(JSON_QUESTION), response_format=Answer))
        return {"parsed": completion.choices[0].message.parsed.model_dump()}

    async def leave(self):
        stream = await got(self.api.create(model=self.model, messages=user(QUESTION), stream=True))
        async for chunk in each(stream):
            if chunk.choices and chunk.choices[0].delta.content:
                break
        left = time.time() * 1000
        await got(stream.close())
        return {"leftMs": left}


class Responses(Chat):
    """The responses of openai-python."""

    @property
    def api(self):
        return self.client.responses

    async def plain(self):
        response = await got(self.api.create(model=self.model, input=QUESTION))
        return {"text": response.output_text, "tokens": [response.usage.input_tokens, response.usage.output_tokens]}

    async def stream(self):
        pieces = []
        manager = self.api.stream(model=self.model, input=QUESTION)
        stream = await manager.__aenter__() if hasattr(manager, "__aenter__") else manager.__enter__()
        async for event in each(stream):
            if event.type == "response.output_text.delta":
                pieces.append(event.delta)
        await got(stream.get_final_response())
        return {"pieces": pieces}

    async def tools(self, streamed):
        added = []

        def add(given):
            added.append((given["a"], given["b"]))
            return str(given["a"] + given["b"])

        async def add_later(given):
            return add(given)

        parameters = {**Sum.model_json_schema(), "additionalProperties": False}
        tool = {"type": "function", "name": "add", "description": Sum.__doc__, "parameters": parameters, "strict": True}
        request = {"model": self.model, "input": user(TOOL_QUESTION)}
        if isinstance(self.client, openai.AsyncOpenAI):
            runner = AsyncResponsesToolRunner(functions=[AsyncRegisteredFunction(tool, add_later)])
        else:
            runner = ResponsesToolRunner(functions=[RegisteredFunction(tool, add)])
        response = await got(runner.run(self.client, request, stream=streamed))
        return {"text": response.output_text, "added": added}

    async def parsed(self):
        response = await got(self.api.parse(model=self.model, input=JSON_QUESTION, text_format=Answer))
        return {"parsed": response.output_parsed.model_dump()}

    async def leave(self):
        stream = await got(self.api.create(model=self.model, input=QUESTION, stream=True))
        async for event in each(stream):
            if event.type == "response.output_text.delta":
                break
        left = time.time() * 1000
        await got(stream.close())
        return {"leftMs": left}


class Inference:
    """The chat completions of huggingface_hub, which reads streams by itself and never tries again."""

    def __init__(self, make, place):
        self.client = made(make, place)
        self.anew = lambda: new(make, place)
        self.model = place["model"]

    async def ask(self, content, **request):
        messages = content if isinstance(content, list) else user(content)
        return await got(self.client.chat_completion(messages, model=self.model, **request))

    async def plain(self):
        completion = await self.ask(QUESTION)
        usage = completion.usage
        return {"text": completion.choices[0].message.content, "tokens": [usage.prompt_tokens, usage.completion_tokens]}

    async def stream(self):
        pieces = []
        async for chunk in each(await self.ask(QUESTION, stream=True)):
            if chunk.choices and chunk.choices[0].delta.content:
                pieces.append(chunk.choices[0].delta.content)
        return {"pieces": pieces}

    async def turn(self, messages, tools, streamed):
        """The text and the calls of one answer; of a stream, put together from their fragments."""
        if not streamed:
            message = (await self.ask(messages, tools=tools)).choices[0].message
            return message.content, [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or []]
        text, calls = "", {}
        async for chunk in each(await self.ask(messages, tools=tools, stream=True)):
            for choice in chunk.choices:
                text += choice.delta.content or ""
                for part in choice.delta.tool_calls or []:
                    known, name, given = calls.get(part.index, ("", "", ""))
                    calls[part.index] = (known or part.id, name or part.function.name, given + part.function.arguments)
        return text, list(calls.values())

    async def tools(self, streamed):
        parameters = Sum.model_json_schema()
        tools = [{"type": "function", "function": {"name": "add", "description": Sum.__doc__, "parameters": parameters}}]
        messages = user(TOOL_QUESTION)
        added = []
        while True:
            text, calls = await self.turn(messages, tools, streamed)
            if not calls:
                return {"text": text, "added": added}
            made = [{"id": id, "type": "function", "function": {"name": name, "arguments": given}} for id, name, given in calls]
            messages = [*messages, {"role": "assistant", "content": text or None, "tool_calls": made}]
            for id, _, text in calls:
                given = numbers(text)
                added.append(given)
                messages.append({"role": "tool", "tool_call_id": id, "content": str(sum(given))})

    async def parsed(self):
        schema = {"name": "answer", "schema": Answer.model_json_schema(), "strict": True}
        completion = await self.ask(JSON_QUESTION, response_format={"type": "json_schema", "json_schema": schema})
        return {"parsed": Answer.model_validate_json(completion.choices[0].message.content).model_dump()}

    async def leave(self):
        # Its streams have no close of their own.
        self.client = self.anew()
        async for chunk in each(await self.ask(QUESTION, stream=True)):
            if chunk.choices and chunk.choices[0].delta.content:
                break
        left = time.time() * 1000
        await got(self.client.close())
        return {"leftMs": left}


CLIENTS = {
    "py-openai-chat": lambda place: Chat(openai.OpenAI, place),
    "py-openai-chat-async": lambda place: Chat(openai.AsyncOpenAI, place),
    "py-openai-responses": lambda place: Responses(openai.OpenAI, place),
    "py-openai-responses-async": lambda place: Responses(openai.AsyncOpenAI, place),
    "py-huggingface": lambda place: Inference(huggingface_hub.InferenceClient, place),
    "py-huggingface-async": lambda place: Inference(huggingface_hub.AsyncInferenceClient, place),
}


async def do(client, deed):
    if deed == "tools":
        return await client.tools(False)
    if deed == "tools, streamed":
        return await client.tools(True)
    return await getattr(client, deed)()


async def main():
    tell(step="versions", openai=openai.__version__, huggingface_hub=huggingface_hub.__version__)
    kept = []
    for step in json.loads(sys.stdin.readline()):
        client = CLIENTS[step["client"]](step["place"])
        kept.append(client)
        try:
            found = await do(client, step["deed"])
        except Exception as thrown:
            status = getattr(thrown, "status_code", None) or getattr(getattr(thrown, "response", None), "status_code", None)
            found = {"error": type(thrown).__name__, "status": status, "message": str(thrown)}
        tell(step=step["step"], **found)
    tell(step="end")
    sys.stdin.read()


asyncio.run(main())
