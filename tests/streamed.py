"""Streams as the service sends them, event by event, which note when they are closed."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

DONE = "[DONE]"
USAGE = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}


def chunk(*, choices: list[dict[str, Any]] | None = None, usage: dict[str, Any] | None = None) -> dict[str, Any]:
    """The JSON of one chunk."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_790_000_000}
    return {**head, "model": "gpt-4o-2024-08-06", "choices": choices or [], "usage": usage}


def delta(content: str | None = None, *, finish: str | None = None, index: int = 0, **said: Any) -> dict[str, Any]:
    """A chunk with something of one choice; ``said`` is the rest of its delta."""
    told = {**({"content": content} if content is not None else {}), **said}
    return chunk(choices=[{"index": index, "delta": told, "finish_reason": finish, "logprobs": None}])


# The first chunk of an Azure stream (MindSearch#310).
FILTERED_PROMPT = {
    **{"choices": [], "created": 0, "id": "", "model": "", "object": ""},
    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}],
}


def events(*words: str, finish: str = "stop") -> list[Any]:
    """A whole answer: filter results, the role, words, the end, the usage."""
    said = [delta(word) for word in words]
    return [FILTERED_PROMPT, delta("", role="assistant"), *said, delta(finish=finish), chunk(usage=USAGE), DONE]


@dataclass
class Stream:
    """Makes responses of ``events``: chunks, texts as they are, seconds to wait, errors that break the connection."""

    events: list[Any]
    closed: list[int] = field(default_factory=list)
    made: int = 0

    def __call__(self) -> httpx2.Response:
        self.made += 1
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, stream=_Body(self, self.made))


class _Body(httpx2.AsyncByteStream):
    def __init__(self, stream: Stream, number: int) -> None:
        self._stream, self._number = stream, number

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for event in self._stream.events:
            if isinstance(event, Exception):
                raise event
            if isinstance(event, int | float):
                await asyncio.sleep(event)
                continue
            data = event if isinstance(event, str) else json.dumps(event)
            yield f"data: {data}\n\n".encode()

    async def aclose(self) -> None:
        if self._number not in self._stream.closed:
            self._stream.closed.append(self._number)
