"""The file that keeps a batch's answers: what it keeps, what it survives, and what it refuses."""

import os
import stat
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.ledger import Entry, Ledger, LedgerError
from tests.scripted import completion


@pytest.fixture
def path(tmp_path):
    """Where the file is."""
    return tmp_path / "batch.jsonl"


def keep(path, *names):
    """Keep an answer for each name, and close the file."""
    with Ledger(path) as ledger:
        for name in names:
            ledger.put(Entry(name), completion(f"Answer {name}"))


def kept(path, *names):
    """What the file says for each name."""
    with Ledger(path) as ledger:
        answers = [ledger.get(Entry(name)) for name in names]
    return [answer and answer.choices[0].message.content for answer in answers]


def test_an_answer_comes_back_as_it_was(path):
    """Every field of it, and only under its own name and number."""
    answer = completion("Zażółć\nw dwóch liniach", cached_tokens=3)
    with Ledger(path) as ledger:
        ledger.put(Entry("a", 1), answer)
        assert ledger.get(Entry("a", 1)) == answer
    with Ledger(path) as ledger:
        assert (ledger.get(Entry("a", 1)), ledger.get(Entry("a", 0)), len(ledger)) == (answer, None, 1)


def test_an_answer_that_breaks_the_sdks_types_is_kept_all_the_same(path):
    """The SDK reads leniently; the answer has been paid for."""
    odd = completion().model_copy(update={"created": "yesterday"})
    with Ledger(path) as ledger:
        ledger.put(Entry("a"), odd)
        again = ledger.get(Entry("a"))
    assert (again.created, again.choices[0].message.content) == ("yesterday", "Warsaw.")


@given(cut=st.integers(min_value=0, max_value=10_000))
def test_a_file_cut_anywhere_loses_at_most_the_line_that_was_cut(tmp_path_factory, cut):
    """As a kill in the middle of a write leaves it; what is written after that is whole."""
    path = tmp_path_factory.mktemp("cut") / "batch.jsonl"
    keep(path, "a", "b")
    content = path.read_bytes()
    size = cut % (len(content) + 1)
    path.write_bytes(content[:size])
    whole_lines = max(0, content[:size].count(b"\n") - 1)
    assert kept(path, "a", "b").count(None) == 2 - whole_lines
    keep(path, "c")
    assert kept(path, "c") == ["Answer c"]


def test_only_its_owner_can_read_the_file(path):
    """It holds answers."""
    os.umask(before := os.umask(0))
    keep(path, "a")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert before == os.umask(before)


def test_a_second_user_of_the_file_is_refused(path):
    """In this process and in another; as soon as it is closed, it is free."""
    with Ledger(path):
        with pytest.raises(LedgerError, match="in use by another batch.*a file of its own"):
            Ledger(path)
        other = f"from labkit.ledger import Ledger; Ledger({str(path)!r})"
        run = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True)
        assert "LedgerError" in run.stderr
    assert kept(path, "a") == [None]


@pytest.mark.parametrize("content", [b"name,points\nAda,5", b'{"a": 1}\n', b"x"], ids=["csv", "json", "no-line"])
def test_a_file_of_somebody_else_is_left_as_it_is(path, content):
    """A wrong name must not cost anybody their file."""
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="not a file of batch answers, so it is left as it is"):
        Ledger(path)
    assert path.read_bytes() == content


def test_a_folder_that_is_missing_is_named(tmp_path):
    """With what to do about it."""
    with pytest.raises(LedgerError, match="cannot be opened.*Name a file in a folder that exists"):
        Ledger(tmp_path / "no" / "batch.jsonl")


def test_damaged_lines_are_asked_for_again(path, caplog):
    """The rest of the file counts."""
    keep(path, "a", "b")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"{broken}\n" + b'{"key":"a","occurrence":0,"answer":null}\n' + lines[2])
    assert kept(path, "a", "b") == [None, "Answer b"]
    assert "2 damaged lines" in caplog.text


def test_a_full_disk_costs_no_answer(path, caplog, monkeypatch):
    """Half a line is taken back, and the log says that the answer is not kept."""
    with Ledger(path) as ledger:
        ledger.put(Entry("a"), completion("Answer a"))
        write = os.write
        monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:10]))
        ledger.put(Entry("b"), completion())
        monkeypatch.undo()
        ledger.put(Entry("c"), completion("Answer c"))
    assert kept(path, "a", "b", "c") == ["Answer a", None, "Answer c"]
    assert "does not keep an answer (the disk is full)" in caplog.text
