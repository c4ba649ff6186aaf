"""What a check shows and records, and what it lets through."""

import asyncio
import linecache
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from labkit import checks
from labkit.checks import check, scoreboard
from labkit.errors import InvalidRequestError, NotLocalError


@pytest.fixture(autouse=True)
def _no_verdicts() -> Iterator[None]:
    """Every test starts with an empty scoreboard."""
    checks._verdicts.clear()
    yield
    checks._verdicts.clear()


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs sources one after the other like the cells of a notebook; the last one gets the check's body."""

    def run(*cells: str) -> str:
        names: dict[str, Any] = {"check": check, "NotLocalError": NotLocalError}
        for number, cell in enumerate(cells, 1):
            name = f"<cell {number}>"
            linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
            exec(compile(cell, name, "exec"), names)
        return capsys.readouterr().out.rstrip("\n")

    return run


CHECK = 'with check("2.1 a title"):\n    '


def test_a_check_that_holds_says_so(shown: Any) -> None:
    """The line is the mark and the title, and nothing else."""
    assert shown(CHECK + "assert True") == "✅ 2.1 a title"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param('assert 1 == 2, "seen 1,\\n  expected 2"', "seen 1, expected 2", id="message-on-one-line"),
        pytest.param("assert 1 == 2", "this did not hold: assert 1 == 2", id="no-message"),
        pytest.param('raise AssertionError("x" * 900)', "x" * 299 + "…", id="long"),
        pytest.param(
            'assert None, f"{object()} at 127.0.0.1:4711"', "<object object at 0x…> at 127.0.0.1", id="volatile"
        ),
    ],
)
def test_an_assert_that_fails_shows_its_message(shown: Any, body: str, message: str) -> None:
    """Seen and expected come from the assert's message, on one line, the same in every run."""
    assert shown(CHECK + body) == f"❌ 2.1 a title — {message}"


@pytest.mark.parametrize(
    ("cell", "body", "message"),
    [
        pytest.param(
            "def key():\n    raise NotImplementedError", "key()", "key() is still to be written", id="function"
        ),
        pytest.param(
            "class AnswerCache:\n    def key(self):\n        raise NotImplementedError",
            "AnswerCache().key()",
            "AnswerCache.key() is still to be written",
            id="method",
        ),
        pytest.param(
            'def key():\n    raise NotImplementedError("sort the parameters")',
            "key()",
            "sort the parameters",
            id="words",
        ),
        pytest.param("", "assert answer == 42", "answer does not exist so far", id="name"),
        pytest.param(
            "def key():\n    raise NotImplementedError\n"
            "def outer():\n    try:\n        key()\n    except Exception as error:\n"
            "        raise ValueError from error",
            "outer()",
            "key() is still to be written",
            id="wrapped",
        ),
        pytest.param(
            "def key():\n    raise NotImplementedError\n"
            "def outer():\n    try:\n        key()\n    except Exception as error:\n"
            '        raise ExceptionGroup("tasks", [error]) from None',
            "outer()",
            "key() is still to be written",
            id="group",
        ),
        pytest.param(
            "def outer():\n    raise ValueError from NotImplementedError()",
            "outer()",
            "outer() is still to be written",
            id="never-raised",
        ),
    ],
)
def test_what_is_not_written_yet_is_no_failure(shown: Any, cell: str, body: str, message: str) -> None:
    """A stub, or a name that the reader has not written, says "not yet" and names it."""
    assert shown(cell, CHECK + body) == f"⏳ 2.1 a title — not yet: {message}"


@pytest.mark.parametrize(
    ("cell", "body", "message"),
    [
        pytest.param(
            "def rate(hits, calls):\n    return hits / calls",
            "rate(1, 0)",
            "ZeroDivisionError: division by zero (line 2 of the cell with rate(): return hits / calls)",
            id="in-the-function",
        ),
        pytest.param(
            "import json\ndef read(text):\n    return json.loads(text)",
            "read('{')",
            "JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1) "
            "(line 3 of the cell with read(): return json.loads(text))",
            id="in-a-library-it-calls",
        ),
        pytest.param(
            "def rate():\n    return hitz",
            "rate()",
            "NameError: name 'hitz' is not defined (line 2 of the cell with rate(): return hitz)",
            id="misspelt-inside",
        ),
        pytest.param("", "{}['a']", "KeyError: 'a' (line 2 of this cell: {}['a'])", id="in-the-check"),
        pytest.param("", "raise OSError", "OSError (line 2 of this cell: raise OSError)", id="without-a-message"),
        pytest.param(
            "def refused():\n    error = ValueError('too much')\n    error.add_note('Ask for less.')\n    raise error",
            "refused()",
            "ValueError: too much Ask for less. (line 4 of the cell with refused(): raise error)",
            id="with-a-note",
        ),
        pytest.param(
            "class Mute(Exception):\n    def __str__(self):\n        return 1 / 0\ndef fail():\n    raise Mute",
            "fail()",
            "Mute (line 5 of the cell with fail(): raise Mute)",
            id="that-cannot-say-itself",
        ),
        pytest.param(
            "def fail():\n    error = ValueError('mine')\n    raise error from error",
            "fail()",
            "ValueError: mine (line 3 of the cell with fail(): raise error from error)",
            id="its-own-cause",
        ),
    ],
)
def test_an_error_shows_the_readers_own_line(shown: Any, cell: str, body: str, message: str) -> None:
    """Type, message and the last line of the reader's own code; no traceback."""
    assert shown(cell, CHECK + body) == f"❌ 2.1 a title — {message}"


def test_a_check_of_the_local_azure_is_skipped_on_the_real_one(shown: Any) -> None:
    """What only the local Azure can do is no fault of the reader's."""
    assert shown(CHECK + 'raise NotLocalError("journal")') == "➖ 2.1 a title — needs the local Azure: skipped"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_an_interrupt_passes_through(stop: type[BaseException], capsys: pytest.CaptureFixture[str]) -> None:
    """The reader's Stop button stops; there is no verdict then."""
    with pytest.raises(stop), check("2.1 a title"):
        raise stop
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("error", [NotImplementedError, AssertionError, ValueError])
def test_strict_raises_after_showing(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With LABKIT_STRICT=1 a verdict other than passed or skipped stops the notebook."""
    monkeypatch.setenv("LABKIT_STRICT", "1")
    with pytest.raises(error), check("2.1 a title"):
        raise error
    assert "2.1 a title" in capsys.readouterr().out


def test_strict_lets_a_skipped_check_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solved notebook on real Azure runs strictly, too."""
    monkeypatch.setenv("LABKIT_STRICT", "1")
    with check("2.1 a title"):
        raise NotLocalError("journal")


@pytest.mark.parametrize("title", ["", "a title", "2.1", "2 a title"])
def test_a_title_needs_its_number(title: str) -> None:
    """The number ties a check to its exercise; one without is the author's mistake."""
    with pytest.raises(InvalidRequestError, match=r"as in '2\.1"):
        check(title)


def test_the_scoreboard_counts_the_last_verdict_of_each_title(capsys: pytest.CaptureFixture[str]) -> None:
    """A check that is run again replaces its verdict; what remains is listed with its mark."""
    for holds in (False, True):
        with check("2.1 first"):
            assert holds
    with check("2.2 second"):
        raise NotImplementedError
    with check("2.3 third"):
        raise AssertionError("no")
    capsys.readouterr()
    scoreboard(total=5)
    assert capsys.readouterr().out == "1 of 5 checks pass.\n⏳ 2.2 second\n❌ 2.3 third\n2 not run yet.\n"


@pytest.mark.parametrize(("total", "line"), [(None, "1 of 1 checks pass."), (0, "1 of 1 checks pass.")])
def test_the_scoreboard_without_a_total_counts_what_was_run(
    total: int | None, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A total that is too small does not make it say 1 of 0."""
    with check("2.1 first"):
        pass
    capsys.readouterr()
    scoreboard(total)
    assert capsys.readouterr().out == f"{line}\n"


def test_a_console_that_lacks_the_marks_gets_the_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Windows code page cannot encode the marks; that is no reason to fail."""

    class Console:
        encoding = "cp1252"

        def write(self, text: str) -> None:
            text.encode("cp1252")
            written.append(text)

    written: list[str] = []
    monkeypatch.setattr("sys.stdout", Console())
    with check("2.1 a title"):
        pass
    assert written[0] == "? 2.1 a title"


def test_a_notebook_gets_the_line_and_the_record_in_one_output(tmp_path: Any) -> None:
    """In Jupyter, top-level await inside a check works and the JSON record travels beside the text."""
    cells = [
        "from labkit.checks import check, scoreboard\nimport asyncio",
        "async def slow(n):\n    await asyncio.sleep(0)\n    return 1 / n",
        'with check("2.1 waits"):\n    assert await slow(1) == 1',
        'with check("2.2 breaks"):\n    assert await slow(0) == 1',
        "scoreboard(total=2)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    passed, broken, board = [cell.outputs[0] for cell in notebook.cells[2:]]
    assert passed.output_type == "display_data"
    assert passed.data["text/plain"] == "✅ 2.1 waits"
    assert passed.data["application/vnd.labkit.check+json"] == {"title": "2.1 waits", "status": "passed", "message": ""}
    assert broken.data["text/plain"] == (
        "❌ 2.2 breaks — ZeroDivisionError: division by zero (line 3 of the cell with slow(): return 1 / n)"
    )
    assert board.data["application/vnd.labkit.scoreboard+json"] == {
        "passed": 1,
        "total": 2,
        "remaining": ["2.2 breaks"],
    }
