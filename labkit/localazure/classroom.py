"""A class on one server: every student has a local Azure of their own behind ``/class/{student}``."""

import hmac
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labkit import __version__
from labkit.errors import LabkitError
from labkit.localazure.app import App, send_reply
from labkit.localazure.clock import Clock, iso
from labkit.localazure.console import face as console
from labkit.localazure.errors import AzureError
from labkit.localazure.roster import Student
from labkit.localazure.state import Azure
from labkit.localazure.usage import cost_usd
from labkit.localazure.wire import JSON, Receive, Reply, Request, Scope, Send, json_reply

PREFIX = "/class/"
_SERVICE = "labkit class server"


class _Seat:
    """One student's place: their local Azure, once somebody has used it."""

    def __init__(self, student: Student) -> None:
        self.student = student
        self.app: App | None = None
        self.azure: Azure | None = None
        self.last_seen_s: float | None = None


class Classroom:
    """The ASGI application of a class: hands each request to the student's own local Azure, and knows them all.

    A student's local Azure is made by ``open_azure`` on its first use. To the application behind it
    ``/class/ala/openai/…`` is ``/openai/…``; links in its answers begin with ``/class/ala`` again (ASGI's root path).
    """

    def __init__(
        self, students: Sequence[Student], open_azure: Callable[[Student], Azure], *, admin_secret: str, clock: Clock
    ) -> None:
        self._seats = {student.name.lower(): _Seat(student) for student in students}
        self._open_azure = open_azure
        self._admin_secret = admin_secret
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or have it answered by the local Azure it is for."""
        path: str = scope["path"]
        if path.startswith(PREFIX):
            name, slash, rest = path[len(PREFIX) :].partition("/")
            seat = self._seats.get(name.lower())
            if seat is not None and slash:
                prefix = f"{PREFIX}{name}"
                inside = {**scope, "path": f"/{rest}", "root_path": scope.get("root_path", "") + prefix}
                await self._seated(seat, inside, receive, send)
                return
        await send_reply(send, self._own(Request(scope, receive)))

    async def _seated(self, seat: _Seat, scope: Scope, receive: Receive, send: Send) -> None:
        seat.last_seen_s = self._clock.now()
        try:
            app = self._app(seat)
        except (OSError, LabkitError) as failure:
            print(f"labkit class server: {seat.student.name} has no local Azure: {failure}", file=sys.stderr)
            # The code and its wording are ours.
            closed = AzureError(
                503, "SeatNotAvailable", "This local Azure cannot be opened; the server's terminal says why."
            )
            await send_reply(send, Reply(closed.status, closed.arm_body()))
            return
        await app(scope, receive, send)

    def azure(self, name: str) -> Azure:
        """The local Azure of the student ``name``; KeyError when nobody in the class is called that."""
        seat = self._seats[name.lower()]
        self._app(seat)
        assert seat.azure is not None
        return seat.azure

    def opened(self) -> list[Azure]:
        """Every local Azure that was used so far."""
        return [seat.azure for seat in tuple(self._seats.values()) if seat.azure is not None]

    def _app(self, seat: _Seat) -> App:
        if seat.app is None:
            seat.azure = self._open_azure(seat.student)
            seat.app = App(seat.azure)
        return seat.app

    # -- what belongs to no student ------------------------------------------------------------------------------

    def _own(self, request: Request) -> Reply:
        try:
            return self._answer(request)
        except AzureError as error:
            return Reply(error.status, error.arm_body(), (JSON, *error.headers))

    def _answer(self, request: Request) -> Reply:
        path = request.path.rstrip("/")
        if path == "/labkit" and request.method == "GET":
            return json_reply({"service": _SERVICE, "version": __version__, "students": len(self._seats)})
        if path == "/labkit/class":
            self._check_admin(request)
            if request.method != "GET":
                raise AzureError(405, "MethodNotAllowed", f"{path} does not take {request.method[:20]}.")
            return json_reply({"students": [self._row(request, seat) for seat in self._seats.values()]})
        if request.path == "/" or request.path.startswith("/console/"):
            return console.file(request)
        if path.startswith(PREFIX) and path[len(PREFIX) :].lower() in self._seats:
            # Without its slash the console's page would look for its files one level up.
            return Reply(307, headers=((b"location", f"{request.path}/".encode("latin-1")),))
        raise AzureError(
            404,
            "NotFound",
            f"There is no {request.path[:200]}. This server has a local Azure for each student of a class: "
            "LABKIT_AZURE_URL ends in /class/ and the student's name.",
        )

    def _check_admin(self, request: Request) -> None:
        sent = request.headers.get(b"x-labkit-key", b"")
        if not sent:
            raise AzureError(401, "KeyMissing", "The header x-labkit-key is missing; send the admin secret.")
        if not hmac.compare_digest(sent, self._admin_secret.encode()):
            raise AzureError(403, "KeyWrong", "The x-labkit-key is not the admin secret of this class.")

    def _row(self, request: Request, seat: _Seat) -> Mapping[str, Any]:
        days = seat.azure.usage.days() if seat.azure is not None else {}
        return {
            "student": seat.student.name,
            "url": f"{request.base_url}{PREFIX}{seat.student.name}",
            "calls": sum(cell.requests for cell in days.values()),
            "prompt_tokens": sum(cell.prompt_tokens for cell in days.values()),
            "completion_tokens": sum(cell.completion_tokens for cell in days.values()),
            "spend_usd": round(sum(cost_usd(key, cell) for key, cell in days.items()), 6),
            "last_seen": iso(seat.last_seen_s) if seat.last_seen_s is not None else None,
        }
