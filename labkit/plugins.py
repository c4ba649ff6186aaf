"""The three parts of ``LLMOptimizer`` that can be replaced, as protocols, and the check that a replacement fits."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from labkit.errors import LabkitError

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion


class PluginError(LabkitError, TypeError):
    """A cache, retry or meter of one's own lacks a method, or a method gives back the wrong kind of value."""


class Cache(Protocol):
    """Keeps answers. It may also have ``key(deployment, messages, params) -> str``; then that makes the keys."""

    def get(self, key: str) -> "ChatCompletion | None":
        """The answer kept under ``key``, or None."""

    def put(self, key: str, answer: "ChatCompletion") -> None:
        """Keep ``answer`` under ``key``."""


class Retry(Protocol):
    """Decides what happens after an error."""

    def wait_s(self, error: Exception, attempt: int) -> float | None:
        """The seconds to wait before trying again, or None to give up; ``attempt`` counts from 1."""


class Meter(Protocol):
    """Is told about every answer."""

    def record(self, deployment: str, answer: "ChatCompletion", latency_s: float, *, cached: bool) -> None:
        """Take note of ``answer``; a ``cached`` one cost no call."""


@dataclass(frozen=True, slots=True)
class Call:
    """How labkit calls a method of a plug-in: its name, and what is passed by place and by keyword."""

    method: str
    by_place: tuple[str, ...]
    by_keyword: tuple[str, ...] = ()

    def __str__(self) -> str:
        keywords = ("*", *self.by_keyword) if self.by_keyword else ()
        return f"{self.method}({', '.join((*self.by_place, *keywords))})"

    def fits(self, function: Callable[..., Any]) -> bool:
        """True when ``function`` can be called this way."""
        try:
            inspect.signature(function).bind(*self.by_place, **dict.fromkeys(self.by_keyword))
        except TypeError:
            return False
        except ValueError:
            pass  # a builtin without a signature: it will say itself what it misses
        return True


CACHE = (Call("get", ("key",)), Call("put", ("key", "answer")))
CACHE_KEY = Call("key", ("deployment", "messages", "params"))
RETRY = (Call("wait_s", ("error", "attempt")),)
METER = (Call("record", ("deployment", "answer", "latency_s"), ("cached",)),)


def check_plugin(part: object, calls: tuple[Call, ...]) -> None:
    """Raise ``PluginError``, naming the method to write, unless ``part`` can be called in all these ways."""
    if isinstance(part, type):
        raise PluginError(f"{part.__name__} is a class; an object of it is needed: {part.__name__}().")
    for call in calls:
        _check_method(type(part).__name__, getattr(part, call.method, None), call)


def _check_method(owner: str, function: object, call: Call) -> None:
    if not callable(function):
        raise PluginError(f"{owner} has no method {call.method!r}. labkit calls {call}: write that method.")
    if inspect.iscoroutinefunction(function):
        raise PluginError(f"{owner}.{call.method} is 'async def', but labkit calls {call} without await: use 'def'.")
    if not call.fits(function):
        given = f"{call.method}{inspect.signature(function)}"
        raise PluginError(f"{owner} defines {given}, but labkit calls {call}: give it these parameters.")


def checked_key(cache: object, key: object) -> str:
    """``key`` as ``cache`` made it, which must be a text."""
    if not isinstance(key, str):
        raise PluginError(f"{type(cache).__name__}.key must return a str; it returned {type(key).__name__}.")
    return key


def checked_answer(cache: object, kept: "ChatCompletion | None") -> "ChatCompletion | None":
    """What ``cache`` had, which must be an answer or None."""
    if kept is not None and not hasattr(kept, "choices"):
        name, returned = type(cache).__name__, type(kept).__name__
        raise PluginError(f"{name}.get must return the answer that was put, or None; it returned {returned}.")
    return kept
