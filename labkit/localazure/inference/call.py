"""One inference request under way: what it is aimed at, its journal entry, the headers of its answer."""

import os
import time
from hashlib import blake2b
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.catalog import Model
from labkit.localazure.errors import AzureError, Headers
from labkit.localazure.faults import FAILURES
from labkit.localazure.inference import refusals
from labkit.localazure.inference.disturbance import Disturbance, delay_ms
from labkit.localazure.inference.latency import Latency
from labkit.localazure.inference.limits import Limiter
from labkit.localazure.journal import Entry
from labkit.localazure.resources import Account, Deployment
from labkit.localazure.wire import Chunks, Dropped, Request

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

_PROMPT_CHARACTERS = 200
_HEADER_CHARACTERS = 200
# Regions that are shown otherwise than their ids are written. Every other one is shown as it is.
_REGIONS = {"swedencentral": "Sweden Central", "eastus": "East US", "eastus2": "East US 2", "westeurope": "West Europe"}

_PROCESS = os.urandom(4).hex()
_numbers = count(1)


class Target(NamedTuple):
    """What a call is aimed at: an operation of a deployment, under an API version (``v1`` on that surface)."""

    account: Account
    deployment: Deployment
    operation: str
    version: str

    @property
    def model(self) -> Model:
        """The model that answers."""
        return self.deployment.model


class Call:
    """What is known of one request, gathered on the way for the journal: in a new entry, or in the one given."""

    __slots__ = ("_added", "_started", "azure", "entry", "id", "late_s", "met", "request")

    def __init__(self, azure: "Azure", request: Request, entry: Entry | None = None) -> None:
        self._started = time.perf_counter()
        self._added = False
        self.azure = azure
        self.request = request
        self.met: Disturbance | None = None
        self.late_s = 0.0
        self.id = f"{_PROCESS}-0000-4000-8000-{next(_numbers):012x}"
        self.entry = self._new_entry() if entry is None else entry

    def _new_entry(self) -> Entry:
        request, headers = self.request, self.request.headers
        entry = Entry(self.azure.clock.now(), "inference", request.method, request.path[:_PROMPT_CHARACTERS], "", 0)
        entry.user_agent = headers.get(b"user-agent", b"")[:_HEADER_CHARACTERS].decode("latin-1")
        client_id = headers.get(b"x-ms-client-request-id", b"")[:_HEADER_CHARACTERS].decode("latin-1")
        if client_id and client_id.isascii() and client_id.isprintable():  # it is sent back as a header
            entry.client_request_id = client_id
        retries = headers.get(b"x-stainless-retry-count", b"0")
        if retries != b"0" and retries.isdigit() and len(retries) < 5:
            entry.retry_count = int(retries)
        return entry

    # -- on the way to an answer -------------------------------------------------------------------------------

    def aim(self, target: Target) -> None:
        """Note which deployment, and so which model, is asked."""
        self.entry.deployment = target.deployment.name
        self.entry.model = target.model.name

    def ask(self, parameters: dict[str, Any], prompt: str, *, stream: bool = False) -> None:
        """Note what is asked, with which parameters. Long texts are cut: the journal is evidence, not an archive."""
        self.entry.prompt = prompt[:_PROMPT_CHARACTERS]
        self.entry.params = parameters
        self.entry.stream = stream

    def meet_fault(self, target: Target, prompt: str) -> None:
        """Note what faults do to this call's answer (``met``); ``AzureError`` or ``Dropped`` when it gets none."""
        faults = self.azure.faults.take(target.deployment.name, prompt, target.operation, stream=self.entry.stream)
        if not faults:
            return
        fault = faults[0]
        self.entry.fault, self.entry.fault_by = ",".join(each.id for each in faults), fault.by
        if fault.kind not in FAILURES:
            self.met = Disturbance(faults)
            return
        self.entry.simulated_ms = float(fault.delay_ms)
        self.late_s = delay_ms(fault, self.azure.latency_scale) / 1000
        if fault.kind != "status":
            raise Dropped(reset=fault.kind == "reset")
        self.entry.retry_after_s = fault.retry_after_s
        raise refusals.fault(fault, target.operation, target.version)

    def slowed(self, latency: Latency, completion_tokens: int = 0) -> Latency:
        """The latency of this call's answer, which would be ``latency`` without faults."""
        return latency if self.met is None else self.met.slow(latency, completion_tokens)

    def admit(self, target: Target, tokens: int) -> Limiter:
        """The limiter that let this call of about ``tokens`` pass; ``AzureError`` 429 when it did not."""
        limiter = self.azure.limits.of(target.deployment)
        refusal = limiter.take(self.entry.at_s, tokens)
        if refusal is None:
            return limiter
        self.entry.retry_after_s = refusal.retry_after_s
        raise refusals.over_limit(refusal, limiter, target.operation, target.version, tokens)

    async def fail_late(self) -> None:
        """Take the time by which a fault holds back an error."""
        if self.late_s > 0:
            await self.azure.clock.sleep(self.late_s)
            self.end()

    async def wait(self, simulated_ms: float) -> None:
        """Take the simulated time, scaled; nothing at all when the scale is 0."""
        if self.azure.latency_scale > 0:
            await self.azure.clock.sleep(simulated_ms * self.azure.latency_scale / 1000)
            self.end()

    async def timed(self, chunks: Chunks) -> Chunks:
        """``chunks``, with the time until their end noted."""
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()
            self.end()

    # -- at its end --------------------------------------------------------------------------------------------

    def answer(
        self,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        simulated_ms: float = 0.0,
        digest: str = "",
        right: bool | None = None,
    ) -> None:
        """Add the entry of a request that gets an answer, before the answer leaves: a reader never misses it."""
        entry = self.entry
        entry.prompt_tokens = prompt_tokens
        entry.completion_tokens = completion_tokens
        entry.simulated_ms = simulated_ms
        entry.answer_digest = digest
        entry.right = right
        self._add(200, None if self.met is None else self.met.cut_code(stream=entry.stream))

    def refuse(self, status: int, code: str | None) -> None:
        """Add the entry of a request that gets an error, or with status 0 nothing."""
        self._add(status, code)

    def end(self) -> None:
        """Note how long it took so far."""
        self.entry.duration_ms = (time.perf_counter() - self._started) * 1000

    def headers(self, target: Target, limiter: Limiter) -> Headers:
        """The headers of an answer, the content type aside (openai/openai-python#937, 2023-12, and #3271, 2026-05)."""
        return (
            *_fixed_headers(target, limiter),
            (b"x-ratelimit-remaining-requests", b"%d" % limiter.remaining_requests),
            (b"x-ratelimit-remaining-tokens", b"%d" % limiter.remaining_tokens),
            (b"openai-processing-ms", b"%d" % round(self.entry.simulated_ms)),
            *self.identification(),
        )

    def identification(self) -> Headers:
        """The headers that name this request, in answers and in errors."""
        id = self.id.encode()
        client_id = self.entry.client_request_id
        return (
            (b"apim-request-id", id),
            (b"x-request-id", id),
            (b"x-ms-client-request-id", client_id.encode() if client_id else id),
        )

    def name(self, error: AzureError) -> AzureError:
        """``error`` with the headers that name this request."""
        error.headers = (*error.headers, *self.identification())
        return error

    def _add(self, status: int, code: str | None) -> None:
        if self._added:
            return
        self._added = True
        self.entry.status, self.entry.error_code = status, code
        self.entry.auth = self.request.auth
        self.end()
        self.azure.journal.add(self.entry)
        self.azure.usage.note(self.entry)


_prepared: dict[str, tuple[Deployment, Headers]] = {}


def _fixed_headers(target: Target, limiter: Limiter) -> Headers:
    """The headers that stay the same until the deployment is written again."""
    deployment, account = target.deployment, target.account
    known = _prepared.get(deployment.id)
    if known is not None and known[0] is deployment:
        return known[1]
    headers = (
        (b"x-ms-region", _REGIONS.get(account.location, account.location).encode()),
        (b"x-ms-deployment-name", deployment.name.encode()),
        (b"azureml-model-session", b"d13-" + blake2b(deployment.id.encode(), digest_size=6).hexdigest().encode()),
        (b"x-ratelimit-limit-requests", b"%d" % limiter.rpm),
        (b"x-ratelimit-limit-tokens", b"%d" % limiter.tpm),
    )
    _prepared[deployment.id] = (deployment, headers)
    return headers
