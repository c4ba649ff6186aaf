"""A running local Azure."""

from pathlib import Path

from labkit.localazure.app import App
from labkit.localazure.clock import Clock, SystemClock
from labkit.localazure.loopback import LoopbackServer, PortBusyError
from labkit.localazure.secrets import client_environment
from labkit.localazure.state import Azure
from labkit.localazure.statefile import StateFile
from labkit.localazure.tls import Authority

__all__ = ["LocalAzure", "PortBusyError"]


class LocalAzure(LoopbackServer):
    """A running local Azure; a context manager.

    ``port`` 0 takes a free one. ``latency_scale`` multiplies the simulated latencies (0: answer at once).
    ``clock`` is the time it lives in. ``quota_ktpm`` replaces the quota of every model. It listens on 127.0.0.1 only.
    With ``ca_file`` it speaks https, and the certificate of the authority that vouches for it is written there.
    ``state`` is the file that keeps resources, telemetry, usage, alerts and secrets for the next start (``StateFile``
    says what may be wrong with it); it is let go of by ``stop``.
    """

    def __init__(
        self,
        *,
        seed: int = 13,
        port: int = 0,
        latency_scale: float = 0.0,
        clock: Clock | None = None,
        quota_ktpm: int | None = None,
        provisioning_s: float = 0.0,
        ca_file: Path | None = None,
        state: Path | None = None,
    ) -> None:
        super().__init__(port=port, authority=None if ca_file is None else Authority(ca_file))
        self._state_file = None if state is None else StateFile(state)
        self.azure = Azure(
            clock if clock is not None else SystemClock(),
            seed=seed,
            latency_scale=latency_scale,
            quota_ktpm=quota_ktpm,
            provisioning_s=provisioning_s,
            secrets=None if self._state_file is None else self._state_file.secrets,
            database=None if self._state_file is None else self._state_file.database,
        )
        if self._state_file is not None:
            self._state_file.attach(self.azure)

    @property
    def admin_secret(self) -> str:
        """What opens all of ``/labkit``. For graders and teachers, never for a student's process."""
        return self.azure.admin_secret

    @property
    def lab_key(self) -> str:
        """What opens the student's part of ``/labkit``."""
        return self.azure.lab_key

    def environment(self) -> dict[str, str]:
        """The environment variables that let another process use this local Azure (the admin secret is not in it)."""
        trust = self._authority.environment() if self._authority is not None else {}
        return {**client_environment(self.url, self.azure.secrets), **trust}

    def _closed(self) -> None:
        if self._state_file is not None:
            self._state_file.close(self.azure)

    def _application(self, url: str) -> App:
        self.azure.url = url
        return App(self.azure)

    async def _upkeep(self) -> None:
        await self.azure.upkeep()
