"""Answers to questions that mean the same in other words, found by the vectors of an embedding model."""

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labkit.cache.agreement import agree as same_signs
from labkit.cache.answers import read, written
from labkit.cache.counts import CacheCounts, Result
from labkit.cache.flight import SingleFlight
from labkit.cache.key import cache_key
from labkit.errors import InvalidRequestError
from labkit.validation import plain_messages

if TYPE_CHECKING:
    import numpy as np
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion

logger = logging.getLogger(__name__)

Embed = Callable[[Sequence[str]], Awaitable[Sequence[Sequence[float]]]]
# No false hit among the look-alikes of ``labkit.cache.measure.bank_pairs`` with the local Azure's vectors, which are
# hashed pieces of words: a figure of the simulation. Models lay texts differently; measure with the one you use.
DEFAULT_THRESHOLD = 0.99
# Texts in one request for vectors; the service takes up to 2,048 (Microsoft Learn, quotas and limits, 2026-11-22).
_TEXTS_AT_ONCE = 256
_KNOWN_VECTORS = 256


def embed_with(deployment: str, *, client: "AsyncOpenAI | None" = None, dimensions: int | None = None) -> Embed:
    """A function that gets vectors from an embedding deployment, of the current connection without ``client``."""

    async def embed(texts: Sequence[str]) -> list[list[float]]:
        from labkit.clients import async_openai

        source = client or async_openai()
        options: dict[str, Any] = {} if dimensions is None else {"dimensions": dimensions}
        vectors: list[list[float]] = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            asked = list(texts[start : start + _TEXTS_AT_ONCE])
            answer = await source.embeddings.create(model=deployment, input=asked, encoding_format="float", **options)
            vectors += [item.embedding for item in sorted(answer.data, key=lambda item: item.index)]
        return vectors

    return embed


class SemanticCache:
    """Answers in memory, found again for a last user message that means the same.

    Everything else must be equal: deployment, parameters, system prompt, all earlier messages. Two questions mean the
    same when the cosine of their vectors is at least ``threshold`` and ``agree`` says that numbers, negations and
    names are the same (None: vectors alone). This can be wrong: choose ``threshold`` with
    ``labkit.cache.measure.measure`` and pairs of your own, and keep such a cache from questions where a wrong answer
    does harm. Tool calls are not kept: their arguments repeat the very words that may differ.

    ``embed`` gives the vectors of some texts; it is asked at most once for a question, and not at all while there is
    nothing to compare with. Its errors fail no call. For one event loop; ask the exact cache first, as that is free.
    """

    def __init__(
        self,
        embed: Embed,
        *,
        threshold: float = DEFAULT_THRESHOLD,
        agree: Callable[[str, str], bool] | None = same_signs,
        max_entries: int = 1024,
        ttl_s: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 < threshold <= 1:
            raise InvalidRequestError(f"threshold is a cosine above 0 and up to 1; this is {threshold!r}.")
        self.threshold = threshold
        self.counts = CacheCounts()
        self._embed = embed
        self._agree = agree
        self._max_entries = max_entries
        self._ttl_s = ttl_s
        self._clock = clock
        self._entries: OrderedDict[int, _Entry] = OrderedDict()  # the least recently used first
        self._groups: dict[str, _Group] = {}
        self._vectors: OrderedDict[str, np.ndarray] = OrderedDict()
        self._flights: SingleFlight[np.ndarray] = SingleFlight()
        self._last_id = 0
        self._has_warned = False

    async def find(
        self, deployment: str, messages: Sequence[Any], params: Mapping[str, Any]
    ) -> "ChatCompletion | None":
        """The answer to a question that means the same, a copy of the caller's own, or None."""
        asked = _asked(deployment, messages, params)
        group = self._groups.get(asked.context) if asked else None
        vector = await self._vector(asked.text) if asked and group else None
        # While the vector was on its way the group may have gone, or a new one come.
        group = self._groups.get(asked.context) if asked else None
        if asked is None or group is None or vector is None:
            self.counts.add("miss")
            return None
        return self._best(group, asked.text, vector)

    async def keep(
        self, deployment: str, messages: Sequence[Any], params: Mapping[str, Any], answer: "ChatCompletion"
    ) -> None:
        """Keep ``answer`` for questions that mean the same, when it is whole and a text."""
        asked = _asked(deployment, messages, params)
        text = written(answer)
        if asked is None or text is None or any(_calls(choice.message) for choice in answer.choices):
            return
        vector = await self._vector(asked.text)
        if vector is None:
            return
        group = self._groups.setdefault(asked.context, _Group())
        for entry in group.entries:
            if entry.question == asked.text:
                self._remove(entry)
                break
        self._last_id += 1
        self._add(_Entry(self._last_id, asked.context, asked.text, vector, text, self._clock()))

    def clear(self) -> None:
        """Forget every answer."""
        self._entries.clear()
        self._groups.clear()

    def __len__(self) -> int:
        return len(self._entries)

    def _best(self, group: "_Group", question: str, vector: "np.ndarray") -> "ChatCompletion | None":
        result: Result = "miss"
        for entry in group.close_to(vector, self.threshold):
            if self._agree is not None and not self._agree(question, entry.question):
                continue
            if self._clock() - entry.kept_at < self._ttl_s:
                self._entries.move_to_end(entry.id)
                self.counts.add("hit")
                return read(entry.answer)
            self._remove(entry)
            result = "stale"
        self.counts.add(result)
        return None

    def _add(self, entry: "_Entry") -> None:
        self._entries[entry.id] = entry
        self._groups.setdefault(entry.context, _Group()).add(entry)
        while len(self._entries) > self._max_entries:
            self._remove(next(iter(self._entries.values())))

    def _remove(self, entry: "_Entry") -> None:
        del self._entries[entry.id]
        group = self._groups[entry.context]
        group.remove(entry)
        if not group.entries:
            del self._groups[entry.context]

    async def _vector(self, text: str) -> "np.ndarray | None":
        """The unit vector of ``text``, asked for once however many want it; None when there is none to be had."""
        known = self._vectors.get(text)
        if known is not None:
            return known
        try:
            vector, _ = await self._flights.run(text, lambda: self._new_vector(text))
        except Exception as error:
            if not self._has_warned:
                self._has_warned = True
                # The class alone: an error's text may quote the question.
                logger.warning("The semantic cache gets no vectors (%s) and answers nothing.", type(error).__name__)
            return None
        self._vectors[text] = vector
        while len(self._vectors) > _KNOWN_VECTORS:
            self._vectors.popitem(last=False)
        return vector

    async def _new_vector(self, text: str) -> "np.ndarray":
        import numpy as np

        (values,) = await self._embed([text])
        vector = np.asarray(values, dtype=np.float32)
        unit: np.ndarray = vector / np.linalg.norm(vector)
        return unit


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request in two parts: what must be equal, as a key, and what may be said otherwise."""

    context: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """One answer as JSON, with the question and its vector."""

    id: int
    context: str
    question: str
    vector: "np.ndarray"
    answer: str
    kept_at: float


@dataclass(slots=True)
class _Group:
    """The entries that differ in the question only, and their vectors as one matrix (None: to be made anew)."""

    entries: "list[_Entry]" = field(default_factory=list)
    matrix: "np.ndarray | None" = None

    def add(self, entry: _Entry) -> None:
        self.entries.append(entry)
        self.matrix = None

    def remove(self, entry: _Entry) -> None:
        self.entries.remove(entry)
        self.matrix = None

    def close_to(self, vector: "np.ndarray", threshold: float) -> list[_Entry]:
        """The entries at least this close, the closest first."""
        import numpy as np

        if self.matrix is None:
            self.matrix = np.stack([entry.vector for entry in self.entries])
        cosines = self.matrix @ vector
        order = np.argsort(-cosines)
        # A vector's cosine with itself may come out as 0.9999999.
        return [self.entries[place] for place in order if cosines[place] >= threshold - 1e-6]


def _asked(deployment: str, messages: Sequence[Any], params: Mapping[str, Any]) -> _Asked | None:
    """The parts of a request whose last message is a user's plain text; None for any other."""
    *before, last = plain_messages(messages)
    text = _plain_text(last.get("content"))
    if last.get("role") != "user" or not text:
        return None
    rest = {name: value for name, value in last.items() if name != "content"}
    return _Asked(cache_key(deployment, [*before, rest], params), text)


def _plain_text(content: object) -> str | None:
    if isinstance(content, list) and len(content) == 1 and content[0].get("type") == "text":
        content = content[0].get("text")
    return content.strip() if isinstance(content, str) else None


def _calls(message: Any) -> bool:
    return bool(getattr(message, "tool_calls", None) or getattr(message, "function_call", None))
