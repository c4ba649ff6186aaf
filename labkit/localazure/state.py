"""The state of one local Azure: everything its faces share."""

import asyncio
from typing import TYPE_CHECKING

from labkit.localazure.clock import Clock
from labkit.localazure.console.recent import Recent
from labkit.localazure.database import Database
from labkit.localazure.faults import Faults
from labkit.localazure.identity import Identity
from labkit.localazure.inference.limits import Limits
from labkit.localazure.inference.promptcache import PromptCache
from labkit.localazure.inference.repeats import Repeats
from labkit.localazure.inference.responses.store import ResponseStore
from labkit.localazure.inference.simulation import Simulation
from labkit.localazure.journal import Journal
from labkit.localazure.management.providers.accounts import create_default as create_account
from labkit.localazure.monitor.engine import Monitor
from labkit.localazure.resources import ResourceStore
from labkit.localazure.secrets import Secrets
from labkit.localazure.telemetry.store import Telemetry
from labkit.localazure.usage import Usage

# A receiver of webhooks may live in the process that waits for an answer: the wait for it is short.
_WEBHOOKS_S = 2.0

if TYPE_CHECKING:
    from labkit.localazure.statefile import StateFile


class Azure:
    """One local Azure without its server: clock, seed, resources, journal, usage, faults, limits, identity, telemetry.

    ``url`` is where it is served, once it is (resources name it as their endpoint). ``provisioning_s`` is how long
    a deployment takes on the clock. ``quota_ktpm`` replaces the catalogue's quota of every model. ``database`` keeps
    telemetry; it is in memory unless one is given, which whoever gave it closes. The course's account exists from the
    start; the admin secret and the lab key open ``/labkit``.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        seed: int = 13,
        latency_scale: float = 0.0,
        provisioning_s: float = 0.0,
        quota_ktpm: int | None = None,
        secrets: Secrets | None = None,
        database: Database | None = None,
    ) -> None:
        self.clock = clock
        self.seed = seed
        self.latency_scale = latency_scale
        self.provisioning_s = provisioning_s
        self.quota_ktpm = quota_ktpm
        self.ahead_s = 0.0
        self.state_file: StateFile | None = None
        self.url = "http://127.0.0.1"
        self.database = Database() if database is None else database
        self.resources = ResourceStore(clock)
        self.journal = Journal()
        self.usage = Usage()
        self.recent = Recent()
        self.faults = Faults(clock, seed)
        self.limits = Limits()
        self.simulation = Simulation(seed)
        self.prompt_cache = PromptCache()
        self.repeats = Repeats()
        self.responses = ResponseStore()
        self.secrets = secrets or Secrets.fresh()
        self.identity = Identity(clock, self.secrets)
        self.telemetry = Telemetry(clock, self.database)
        create_account(self)
        self.monitor = Monitor(self)

    def advance(self, delay_s: float) -> None:
        """Let ``delay_s`` seconds pass at once, without ageing the tokens of clients, which live in the machine's."""
        self.ahead_s += delay_s
        self.clock.advance(delay_s)
        self.identity.advance(delay_s)
        self.telemetry.advance(delay_s)

    def tick(self) -> None:
        """Evaluate every alert rule and budget that is due up to the clock's now. Nothing happens when none is."""
        if self.monitor.is_due():
            self.monitor.run()

    async def catch_up(self) -> None:
        """The same outside the event loop, and a moment's wait for the webhooks that it sends.

        Called about once a second, and before alerts and budgets are read.
        """
        if self.monitor.is_due() or self.monitor.is_busy:
            await asyncio.to_thread(self.monitor.run)
            await asyncio.to_thread(self.monitor.notifier.webhooks.settle, _WEBHOOKS_S)

    async def upkeep(self) -> None:
        """What a server has done about once a second: alerts and budgets, and progress to the state file."""
        await self.catch_up()
        if self.state_file is not None:
            await asyncio.to_thread(self.state_file.save_progress, self)

    def commit(self) -> None:
        """Write the resources that changed to the state file, if there is one; ``AzureError`` 503 when it cannot."""
        if self.state_file is not None:
            self.state_file.save_resources(self.resources)

    @property
    def admin_secret(self) -> str:
        """What opens all of ``/labkit``."""
        return self.secrets.admin

    @property
    def lab_key(self) -> str:
        """What opens the student's part of ``/labkit``."""
        return self.secrets.lab
