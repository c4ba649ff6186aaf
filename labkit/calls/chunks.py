"""Puts the chunks of a stream together again: the answer as it would have come whole."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

# What a delta may bring that is part of the answer. Its role and the results of the content filter are none.
_ANSWER = ("content", "refusal", "tool_calls", "function_call", "audio")


def is_token(chunk: "ChatCompletionChunk") -> bool:
    """True for a chunk that brings something of the answer, or its end."""
    return any(
        choice.finish_reason or (choice.delta and any(getattr(choice.delta, name, None) for name in _ANSWER))
        for choice in chunk.choices or ()
    )


def is_usage(chunk: "ChatCompletionChunk") -> bool:
    """True for the last chunk of a stream that was asked to report its usage, which brings nothing else."""
    return bool(chunk.usage) and not chunk.choices


@dataclass(slots=True)
class Choice:
    """One choice so far: pieces of text, and tool calls by their index."""

    finish_reason: str | None = None
    content: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    function: dict[str, Any] | None = None
    filtered: dict[str, Any] = field(default_factory=dict)
    audio: dict[str, Any] | None = None

    def add(self, said: Any) -> None:
        """Add what a chunk says of this choice."""
        delta = said.delta
        self.finish_reason = said.finish_reason or self.finish_reason
        self.filtered.update(getattr(said, "content_filter_results", None) or {})
        if delta is None:
            return
        self.content += [delta.content] if delta.content else []
        self.refusal += [delta.refusal] if getattr(delta, "refusal", None) else []
        for call in delta.tool_calls or ():
            self._add_call(call)
        if getattr(delta, "function_call", None):
            self.function = _joined(self.function, delta.function_call)
        if getattr(delta, "audio", None):
            self.audio = {**(self.audio or {}), **delta.audio.model_dump(exclude_none=True)}

    def message(self) -> dict[str, Any]:
        """The message as the service would have sent it."""
        calls = [self.calls[index] for index in sorted(self.calls)]
        return {
            "role": "assistant",
            "content": "".join(self.content) or None,
            "refusal": "".join(self.refusal) or None,
            **({"tool_calls": calls} if calls else {}),
            **({"function_call": self.function} if self.function else {}),
            **({"audio": self.audio} if self.audio else {}),
        }

    def _add_call(self, said: Any) -> None:
        call = self.calls.setdefault(said.index, {"id": None, "type": "function", "function": None})
        call["id"] = said.id or call["id"]
        call["type"] = said.type or call["type"]
        call["function"] = _joined(call["function"], said.function)


@dataclass(slots=True)
class Assembly:
    """All chunks so far. ``is_finished`` once every choice has said how it ended."""

    head: dict[str, Any] = field(default_factory=dict)
    choices: dict[int, Choice] = field(default_factory=dict)
    usage: dict[str, Any] | None = None

    def add(self, chunk: "ChatCompletionChunk") -> None:
        """Add one chunk."""
        for name in ("id", "created", "model", "system_fingerprint", "service_tier"):
            # The first chunk of Azure's has only the filter's results, and empty names.
            if value := getattr(chunk, name, None):
                self.head[name] = value
        if chunk.usage:
            self.usage = chunk.usage.model_dump(exclude_none=True)
        for said in chunk.choices or ():
            self.choices.setdefault(said.index, Choice()).add(said)

    @property
    def is_finished(self) -> bool:
        """True when there are choices and each has a finish reason."""
        return bool(self.choices) and all(choice.finish_reason for choice in self.choices.values())

    def answer(self) -> "ChatCompletion":
        """What has come so far as one answer; ``usage`` is None when the service did not report it."""
        from openai.types.chat import ChatCompletion

        answer: ChatCompletion = ChatCompletion.construct(
            **{"id": "", "created": 0, "model": "", **self.head},
            object="chat.completion",
            choices=[self._choice(index) for index in sorted(self.choices)],
            usage=self.usage,
        )
        return answer

    def _choice(self, index: int) -> dict[str, Any]:
        choice = self.choices[index]
        filtered = {"content_filter_results": choice.filtered} if choice.filtered else {}
        return {
            "index": index,
            "finish_reason": choice.finish_reason,
            "logprobs": None,
            "message": choice.message(),
            **filtered,
        }


def _joined(so_far: dict[str, Any] | None, said: Any) -> dict[str, Any]:
    """A function's name and the pieces of its arguments, which come one after the other."""
    joined = so_far or {"name": "", "arguments": ""}
    if said is not None:
        joined["name"] = said.name or joined["name"]
        joined["arguments"] += said.arguments or ""
    return joined
