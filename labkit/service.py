"""``ProductionLLMService``: calls that are checked, retried, backed up by other deployments, and traced."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from labkit import monitoring
from labkit.catalog import MODELS, Model
from labkit.completion import Caller, Completed, client_source
from labkit.errors import InvalidRequestError
from labkit.metering import answered_by, usage
from labkit.plugins import RETRY, Retry, check_plugin
from labkit.retry import RetryPolicy, WaitTooLongError, is_transient
from labkit.slo import Measured, is_refusal
from labkit.telemetry import Telemetry, error_kind, process_telemetry
from labkit.tuning import reasoning_limit, tune
from labkit.validation import check_answer, check_request, content_filter_error

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion

_HEALTH_MESSAGES = [{"role": "user", "content": "Test"}]
# The session's temperature=0 is left out: reasoning models refuse it, and nobody reads this answer.
_HEALTH_PARAMS = {"max_tokens": 5}


class ProductionLLMService:
    """Completes chats safely: input and answers are checked, passing errors retried, calls traced and measured.

    ``fallbacks`` are deployments asked in this order once ``deployment_name`` stays unavailable. With
    ``monitoring_connection_string`` telemetry goes to that Application Insights component; prompts and answers are
    never part of it. ``retry`` is any object with ``wait_s(error, attempt)``; without one, passing errors are retried
    up to ``max_retries`` times, as long as the service says. Without ``client`` it is the current connection's.
    """

    def __init__(
        self,
        deployment_name: str,
        monitoring_connection_string: str | None = None,
        *,
        client: "AsyncOpenAI | None" = None,
        retry: Retry | None = None,
        fallbacks: Sequence[str] = (),
        telemetry: Telemetry | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if isinstance(fallbacks, str):
            raise InvalidRequestError(f"fallbacks must be a list of deployment names: [{fallbacks!r}].")
        if retry is not None:
            check_plugin(retry, RETRY)
        if monitoring_connection_string:
            monitoring.configure_monitoring(monitoring_connection_string)
        self.deployment_name = deployment_name
        self.fallbacks = tuple(fallbacks)
        self.logger = logging.getLogger(__name__)
        self.telemetry = telemetry or process_telemetry()
        self.tracer = self.telemetry.tracer
        self.retry = retry
        self._caller = Caller(client_source(client), self.telemetry, sleep, clock)
        self._models: dict[str, Model | None] = {}  # what the answers say is behind each deployment
        self._requests = self._failed = self._refused = self._answered = 0
        self._spent_s = 0.0

    async def safe_completion(self, messages: Sequence[Any], max_retries: int = 3, **kwargs: Any) -> "ChatCompletion":
        """The checked answer to ``messages``. ``max_retries`` counts the tries after the first, on each deployment.

        ``InvalidRequestError`` before anything is sent, once; ``ContentFilteredError`` when the prompt or the answer
        was filtered; ``EmptyAnswerError``; otherwise the SDK's error of the last deployment tried, or
        ``WaitTooLongError`` when the service asks for more patience than is sensible.
        """
        plain = check_request(messages, kwargs)
        _check_max_retries(max_retries)
        self._requests += 1
        try:
            done = await self._first_answer(plain, kwargs, max_retries)
        except Exception as error:
            refused = is_refusal(error)
            self._refused += refused
            self._failed += not refused
            self.logger.error("LLM completion failed: %s", error_kind(error))
            await self._caller.explain(error)
            raise
        self._answered += 1
        self._spent_s += done.duration_s
        self.logger.info("LLM completion successful - tokens: %d", usage(done.answer).total_tokens)
        return done.answer

    async def health_check(self) -> dict[str, Any]:
        """Whether the deployment answers now, with the time it took in milliseconds, or with the error.

        One small call, without retries and fallbacks: it reports the state of this deployment, it does not hide it.
        """
        try:
            done = await self._complete(self.deployment_name, _HEALTH_MESSAGES, _HEALTH_PARAMS, 0, check=None)
        except Exception as error:
            await self._caller.explain(error)
            reason = " ".join([str(error), *getattr(error, "__notes__", ())])
            return {"status": "unhealthy", "deployment": self.deployment_name, "error": reason}
        response_time_ms = round(done.latency_s * 1000)
        return {"status": "healthy", "deployment": self.deployment_name, "response_time_ms": response_time_ms}

    def measured(self) -> Measured:
        """What ``labkit.slo`` computes availability and latency from; there is no cache here, and no price."""
        return Measured(self._requests, self._failed, self._refused, calls=self._answered, latency_s=self._spent_s)

    async def _first_answer(
        self, messages: list[dict[str, Any]], params: dict[str, Any], max_retries: int
    ) -> Completed:
        *others, last = self.deployment_name, *self.fallbacks
        for deployment in others:
            try:
                return await self._complete(deployment, messages, params, max_retries)
            except Exception as error:
                if not _another_may_answer(error):
                    raise
                kind = error_kind(error)
                self.logger.warning("Deployment %s gave up: %s; asking the next one", deployment, kind)
        return await self._complete(last, messages, params, max_retries)

    async def _complete(
        self,
        deployment: str,
        messages: list[dict[str, Any]],
        params: dict[str, Any],
        max_retries: int,
        *,
        check: Callable[["ChatCompletion"], object] | None = check_answer,
    ) -> Completed:
        # The limit goes out under the name the model knows; nothing else of the caller's is touched.
        model = self._models.get(deployment) or MODELS.get(deployment)
        named = tune(messages, params, model=model, rules=(reasoning_limit,)).params
        try:
            done = await self._caller.complete(
                deployment,
                messages,
                named,
                retry=self.retry or RetryPolicy(max_retries=max_retries),
                max_attempts=max_retries + 1,
                check=check,
            )
        except Exception as error:
            filtered = content_filter_error(error)
            if filtered is None:
                raise
            raise filtered from error
        self._models[deployment] = answered_by(done.answer) or model
        return done


def _another_may_answer(error: Exception) -> bool:
    # 404: the deployment is gone, retired perhaps; then a fallback is what keeps the service up.
    return is_transient(error) or isinstance(error, WaitTooLongError) or getattr(error, "status_code", None) == 404


def _check_max_retries(max_retries: object) -> None:
    if isinstance(max_retries, bool) or not isinstance(max_retries, int) or max_retries < 0:
        raise InvalidRequestError(f"max_retries must be a whole number from 0; this is {max_retries!r}.")
