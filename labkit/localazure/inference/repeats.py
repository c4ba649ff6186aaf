"""Chat calls that come again, byte for byte: load tests, retries and caches that miss send little else.

What the way through the face finds out about such a call is kept for as long as nothing has changed that it depends
on. A repetition still is a call of its own: it counts against the limits, it is in the journal and in the usage, and
it has ids of its own. It goes the whole way when a fault waits, when answers take their time, or when it is refused.
"""

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from labkit.localazure.errors import Headers
from labkit.localazure.inference import chat_reply
from labkit.localazure.inference.call import Call, Target
from labkit.localazure.inference.reading import Judged, Outcome
from labkit.localazure.journal import Entry
from labkit.localazure.wire import EVENT_STREAM, JSON, Reply, Request

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

_KEPT = 512
# Of the headers, all that an answer and its journal entry depend on.
_HEADERS = (b"api-key", b"authorization", b"user-agent", b"x-ms-client-request-id", b"x-stainless-retry-count")
_KEPT_BYTES = 64 * 1024

_Key = tuple[str, bytes, bytes, *tuple[bytes | None, ...]]


class _Repeat(NamedTuple):
    """An answered call. It holds until ``expires_s`` and while the store's ``changes`` are the same."""

    changes: int
    expires_s: float
    target: Target
    estimated_tokens: int
    entry: tuple[object, ...]
    content_type: Headers
    document: tuple[bytes, ...]


class Repeats:
    """The last few hundred small calls of one local Azure that came more than once."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, _Repeat] = OrderedDict()

    def answer(self, azure: "Azure", request: Request) -> Reply | None:
        """The answer to a call that was answered before; None for any other, or when it must go the whole way."""
        if not self._kept or request.whole_body is None:
            return None
        known = self._kept.get(_key(request, request.whole_body))
        if known is None or known.changes != azure.resources.changes or azure.faults.are_waiting:
            return None
        now = azure.clock.now()
        limiter = azure.limits.of(known.target.deployment)
        if now >= known.expires_s or limiter.take(now, known.estimated_tokens) is not None:
            return None
        call = Call(azure, request, Entry(now, *known.entry))  # type: ignore[arg-type]
        call.end()
        azure.journal.add(call.entry)
        azure.usage.note(call.entry)
        headers = (*known.content_type, *call.headers(known.target, limiter))
        return Reply(200, chat_reply.stamped(known.document, call.id, now), headers)

    def keep(self, call: Call, target: Target, judged: Judged, outcome: Outcome) -> None:
        """Keep a call that was just answered, unless its answer depends on what came before or takes its time."""
        azure, request, entry = call.azure, call.request, call.entry
        if azure.latency_scale > 0 or call.met is not None or judged.beginnings or request.whole_body is None:
            return
        size = sum(map(len, outcome.document)) + sum(len(request.headers.get(name, b"")) for name in _HEADERS)
        if size > _KEPT_BYTES or len(request.path) + len(request.query_string) > _KEPT_BYTES:
            return
        expires_s = math.inf if entry.auth == "key" else azure.identity.expires_s(request)
        fields = tuple(getattr(entry, name) for name in entry.__slots__ if name != "at_s")
        self._kept[_key(request, request.whole_body)] = _Repeat(
            azure.resources.changes,
            expires_s,
            target,
            judged.estimated_tokens,
            fields,
            (EVENT_STREAM if entry.stream else JSON,),
            outcome.document,
        )
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)


def _key(request: Request, body: bytes) -> _Key:
    get = request.headers.get
    return (request.path, request.query_string, body, *(get(name) for name in _HEADERS))
