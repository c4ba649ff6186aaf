"""A running server for a class."""

from dataclasses import replace
from pathlib import Path

from labkit.localazure import roster as rosters
from labkit.localazure.classroom import PREFIX, Classroom
from labkit.localazure.clock import SystemClock
from labkit.localazure.journal import Journal
from labkit.localazure.loopback import LoopbackServer
from labkit.localazure.roster import Student
from labkit.localazure.secrets import Secrets, client_environment, fresh_key
from labkit.localazure.state import Azure
from labkit.localazure.statefile import StateFile
from labkit.localazure.statefolder import StateFolder
from labkit.localazure.tls import Authority

# A fifth of what a local Azure of one's own remembers: there are many in one process.
_JOURNAL_ENTRIES = 2_000


class ClassServer(LoopbackServer):
    """A running server with a local Azure for each student in the table ``roster``; a context manager.

    Each has their own account, resources, journal, limits, telemetry, faults and clock, and one key, which opens
    nothing of anybody else's: it is the lab key and what a managed identity's client sends. The environments that
    carry the keys are written to ``handout``, beside the table, before anybody is served. ``admin_secret`` opens all of
    everybody's ``/labkit`` and the overview of the class. ``state`` is a folder with a state file for each
    student. The other options are ``LocalAzure``'s. ``RosterError`` when the table cannot be used.
    """

    def __init__(
        self,
        roster: Path,
        *,
        seed: int = 13,
        port: int = 0,
        latency_scale: float = 0.0,
        quota_ktpm: int | None = None,
        ca_file: Path | None = None,
        state: Path | None = None,
    ) -> None:
        self.students = rosters.read(roster)
        self._state = None if state is None else StateFolder(state)
        super().__init__(port=port, authority=None if ca_file is None else Authority(ca_file))
        self.handout = rosters.keys_path(roster)
        self.admin_secret = fresh_key() if self._state is None else self._state.admin_secret
        self._secrets = {student.name: _secrets(student, self.admin_secret) for student in self.students}
        self._roster = roster
        self._seed = seed
        self._latency_scale = latency_scale
        self._quota_ktpm = quota_ktpm
        self._classroom: Classroom | None = None

    @property
    def classroom(self) -> Classroom:
        """The students' local Azures; RuntimeError before the server was started."""
        if self._classroom is None:
            raise RuntimeError("The class has not begun; call start() or use the server as a context manager.")
        return self._classroom

    def environment(self, student: Student) -> dict[str, str]:
        """The environment variables that let ``student``'s process use their local Azure."""
        return self._environment(student, self.url)

    def _environment(self, student: Student, url: str) -> dict[str, str]:
        trust = self._authority.environment() if self._authority is not None else {}
        return {**client_environment(f"{url}{PREFIX}{student.name}", self._secrets[student.name]), **trust}

    def _application(self, url: str) -> Classroom:
        environments = {student.name: self._environment(student, url) for student in self.students}
        rosters.write_handout(self._roster, self.students, environments)
        self._classroom = Classroom(
            self.students,
            lambda student: self._open(student, url),
            admin_secret=self.admin_secret,
            clock=SystemClock(),
        )
        # Those who have worked before are there at once: their alerts go on, and a bad file is told before it matters.
        for student in self.students:
            if self._state is not None and self._state.path_of(student).exists():
                self._classroom.azure(student.name)
        return self._classroom

    async def _upkeep(self) -> None:
        for azure in self.classroom.opened():
            await azure.upkeep()

    def _closed(self) -> None:
        for azure in self._classroom.opened() if self._classroom is not None else []:
            if azure.state_file is not None:
                azure.state_file.close(azure)

    def _open(self, student: Student, url: str) -> Azure:
        file = None if self._state is None else StateFile(self._state.path_of(student))
        secrets = self._secrets[student.name]
        azure = Azure(
            SystemClock(),
            seed=self._seed,
            latency_scale=self._latency_scale,
            quota_ktpm=self._quota_ktpm,
            # Keys are the table's; tokens signed before a restart stay good.
            secrets=secrets if file is None else replace(secrets, token_signing=file.secrets.token_signing),
            database=None if file is None else file.database,
        )
        azure.url = f"{url}{PREFIX}{student.name}"
        azure.journal = Journal(_JOURNAL_ENTRIES)
        # The instance metadata endpoint asks for no secret: here any student could take another's token from it.
        azure.identity.has_imds = False
        if file is not None:
            file.attach(azure)
        return azure


def _secrets(student: Student, admin_secret: str) -> Secrets:
    """One key for all that is the student's; their tokens are signed with one that nobody is given."""
    return replace(Secrets.fresh(), admin=admin_secret, lab=student.key, identity_header=student.key)
