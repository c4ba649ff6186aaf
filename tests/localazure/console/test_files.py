"""The console's files: what is served, under which headers, and that nothing else is."""

import re
from pathlib import Path

import pytest

from labkit.localazure import console
from tests.localazure.conftest import Caller

FOLDER = Path(console.__file__).parent / "page"
FILES = sorted(file.name for file in FOLDER.iterdir())
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def test_page_is_at_the_root(call: Caller) -> None:
    """No key is needed, and no secret is in it."""
    answer = call("GET", "/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.body == FOLDER.joinpath("page.html").read_bytes()
    for secret in (call.azure.admin_secret, call.azure.lab_key, call.azure.identity.header_secret):
        assert secret.encode() not in answer.body


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served(call: Caller, name: str) -> None:
    """With the content type of its kind, which the browser may not guess otherwise, and never from a cache."""
    answer = call("GET", f"/console/{name}")
    assert (answer.status, answer.body) == (200, FOLDER.joinpath(name).read_bytes())
    assert answer.headers["content-type"].startswith(TYPES[name.rpartition(".")[2]])
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


def test_browser_may_load_and_run_these_files_only(call: Caller) -> None:
    """Everything is forbidden, then the own files and the own API are allowed; nobody may frame the page."""
    policy = dict(part.strip().split(" ", 1) for part in call("GET", "/").headers["content-security-policy"].split(";"))
    assert policy.pop("default-src") == "'none'"
    assert policy.pop("require-trusted-types-for") == "'script'"
    assert set(policy.values()) == {"'self'", "'none'"}
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"


@pytest.mark.parametrize(
    "path",
    [
        "/console",
        "/console/",
        "/console/face.py",
        "/console/../face.py",
        "/console/%2e%2e/face.py",
        "/console//etc/passwd",
        "/console/page/main.js",
        "/console/.js",
        "/console/\x00.js",
    ],
)
def test_no_other_name_leads_anywhere(call: Caller, path: str) -> None:
    """Only the names of the page's files are known; a path is never looked up on the disk."""
    assert call("GET", path).error == (404, "404")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_console_is_read_only(call: Caller, method: str) -> None:
    """Any other method is refused."""
    assert call(method, "/").error == (405, "MethodNotAllowed")


def test_console_leaves_no_trace_in_the_journal(call: Caller) -> None:
    """Looking at the lab is no evidence of work in it."""
    call("GET", "/")
    call("GET", "/console/nothing.js")
    assert len(call.azure.journal) == 0


@pytest.mark.parametrize("name", FILES)
def test_addresses_are_relative_and_local(name: str) -> None:
    """Under a class server the same page lies deeper; and it never names another origin (SVG's name space aside)."""
    text = FOLDER.joinpath(name).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "//" not in re.sub(r"^\s*//.*| // .*|/\*.*?\*/", "", text, flags=re.MULTILINE)
    assert not re.search(r"""(href|src|fetch\(|from )\s*=?\s*["'`]/""", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
def test_scripts_are_small(name: str) -> None:
    """One noun a file, a first line that says which, and lines as short as the package's."""
    lines = FOLDER.joinpath(name).read_text("utf-8").splitlines()
    assert len(lines) < 250
    assert max(map(len, lines)) <= 120
    assert lines[0].startswith("// ")
    assert lines[0].endswith(".")
