"""What the call layer tells OpenTelemetry: a span for each call, and the metrics of ``labkit.telemetry.instruments``.

Never what was said in a call, unless somebody asks for it. Until somebody configures a provider all of this costs next
to nothing. docs/telemetry.md names everything that is sent.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from labkit.telemetry import content
from labkit.telemetry.instruments import BreakerState, CacheResult, Instruments

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

PROVIDER = "azure.ai.openai"
# What a code of an error looks like. Anything longer or with blanks may be a sentence, and quote the prompt.
_CODE = re.compile(r"[\w.:-]{1,64}")


@dataclass(slots=True)
class Operation:
    """What one chat call says about itself while it lasts: the answer once there is one, and the seconds it took.

    A stream also says after how many seconds its first chunk came; its answer is what has been put together, with
    ``usage`` None where the service did not report it.
    """

    answer: "ChatCompletion | None" = None
    duration_s: float | None = None
    first_token_s: float | None = None


class Telemetry:
    """The tracer and the instruments every chat call reports to.

    Without providers they belong to the global ones, also to those configured later. Prompts and answers are part of
    spans only with ``capture_content``; where that is None, the environment variable of the GenAI conventions,
    ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``, decides.
    """

    def __init__(
        self,
        *,
        tracer_provider: "TracerProvider | None" = None,
        meter_provider: "MeterProvider | None" = None,
        capture_content: bool | None = None,
    ) -> None:
        from opentelemetry.trace import get_tracer

        from labkit.telemetry.spans import ChatSpan

        self.tracer = get_tracer("labkit", tracer_provider=tracer_provider)
        self.instruments = Instruments(meter_provider)
        self.capture_content = capture_content
        self._span = ChatSpan

    @property
    def captures_content(self) -> bool:
        """True when prompts and answers are part of spans."""
        return content.asked_for() if self.capture_content is None else self.capture_content

    def chat(
        self,
        deployment: str,
        params: Mapping[str, Any],
        *,
        messages: Sequence[Mapping[str, Any]] = (),
        message_count: int | None = None,
        stream: bool = False,
    ) -> AbstractContextManager[Operation]:
        """A span ``chat {deployment}`` and the metrics of one call, which ends well unless an exception leaves it.

        It lasts as long as the operation says, which is what the service took, not what this machine measured.
        ``messages`` are looked at only when content is captured. With ``stream`` the span may stay open while a
        generator hands out chunks: it does not become the current one of whoever reads them.
        """
        count = len(messages) if message_count is None else message_count
        return self._span(self, deployment, params, messages, count, stream)

    def count_cache(self, deployment: str, result: CacheResult) -> None:
        """Count a request by what the cache did: hit, miss, stale, bypass (not asked), shared (an equal one's call)."""
        self.instruments.cache.add(1, {"gen_ai.request.model": deployment, "labkit.cache.result": result})

    def count_retry(self, deployment: str, error: BaseException) -> None:
        """Count an attempt that failed with ``error`` and is made again."""
        kind = {"error.type": type(error).__name__, "error": error_kind(error)}
        self.instruments.retries.add(1, {"gen_ai.request.model": deployment, **kind})

    def count_cost(self, deployment: str, model: str, cost_usd: float) -> None:
        """Add the list price of an answer of ``model``; an unknown price (``nan``) is not counted."""
        models = {"gen_ai.request.model": deployment, "gen_ai.response.model": model}
        self.instruments.add_cost(cost_usd, models)

    def note_breaker(self, deployment: str, state: BreakerState) -> None:
        """Keep the state of the deployment's circuit breaker, and count it when it is a change."""
        self.instruments.set_breaker(deployment, state)


@cache
def process_telemetry() -> Telemetry:
    """The telemetry of this process, on whatever providers it has or gets."""
    return Telemetry()


def error_kind(error: BaseException) -> str:
    """A short name for ``error`` with its code, such as ``RateLimitError 429``: safe to log and to count by."""
    code = getattr(error, "code", None) or getattr(error, "status_code", None)
    if code and not _CODE.fullmatch(str(code)):
        code = getattr(error, "status_code", None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__
