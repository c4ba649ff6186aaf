"""The console's files: one page, its style and its scripts, as they lie in the folder ``page``.

They hold no data and need no key: the page asks ``/labkit`` for everything, with the key that its reader gives it.
"""

from functools import lru_cache
from importlib.resources import files

from labkit.localazure.errors import AzureError, Headers, no_such_path
from labkit.localazure.state import Azure
from labkit.localazure.wire import Reply, Request

_TYPES = {
    "html": b"text/html; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
}
_PAGE = "page.html"
# Prompts and telemetry are text by strangers: were one ever taken for markup, the browser would still load and run
# nothing but these files. Trusted Types refuse innerHTML and its like; that they do is tested in Chromium.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS: Headers = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    # The same address serves another release's page tomorrow.
    (b"cache-control", b"no-store"),
)


async def answer(azure: Azure, request: Request) -> Reply:
    """The file that the request asks for; the same for every local Azure."""
    return file(request)


def file(request: Request) -> Reply:
    """The page for ``/``, one of its files for ``/console/NAME``; ``AzureError`` 404 for another name, 405 to write."""
    if request.method != "GET":
        raise AzureError(405, "MethodNotAllowed", f"The console is read with GET, not with {request.method[:20]}.")
    name = _PAGE if request.path == "/" else request.path.removeprefix("/console/")
    body = _files().get(name)
    if body is None:
        raise no_such_path()
    return Reply(200, body, ((b"content-type", _TYPES[name.rpartition(".")[2]]), *_HEADERS))


@lru_cache(maxsize=1)
def _files() -> dict[str, bytes]:
    """Every file of the page by its name: the only names there are, so a path cannot lead elsewhere."""
    folder = files(__package__).joinpath("page")
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in _TYPES}
