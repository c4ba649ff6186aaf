"""The table of a class: what it may look like, whose key is whose, and what is refused."""

import csv
import os
import stat
from pathlib import Path

import pytest

from labkit.localazure import roster
from labkit.localazure.roster import RosterError

KEY = "k3y-of-ala_0123456789"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Where a teacher's table lies."""
    return tmp_path / "class.csv"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"student\nala\nOla.Kot@x.pl\n", id="names alone"),
        pytest.param(b"name;login;group\nAla A;ala;1\nOla K;Ola.Kot@x.pl;2\n", id="semicolons"),
        pytest.param(b"email\tmark\r\nala\t5\r\n\r\nOla.Kot@x.pl\r\n", id="tabs, a blank line, a short row"),
        pytest.param(b'\xef\xbb\xbf"ID","email"\n"ala","a@x.pl"\n" Ola.Kot@x.pl ",""\n', id="byte order mark, quotes"),
    ],
)
def test_tables_of_many_makes_are_read(table: Path, content: bytes) -> None:
    """What spreadsheets and learning platforms write."""
    table.write_bytes(content)
    students = roster.read(table)
    assert [student.name for student in students] == ["ala", "Ola.Kot@x.pl"]
    assert all(len(student.key) == 48 for student in students)


def test_a_teachers_keys_are_kept_and_missing_ones_made(table: Path) -> None:
    """A key in the table is used as it is."""
    table.write_text(f"student,key\nala,{KEY}\nola,\n", "utf-8")
    ala, ola = roster.read(table)
    assert ala.key == KEY
    assert ola.key != KEY
    assert KEY not in repr(ala)


def test_made_keys_last(table: Path) -> None:
    """They are read again from the file beside the table; who joins later gets one, whom the table drops is dropped."""
    table.write_text("student\nala\nola\n", "utf-8")
    first = roster.read(table)
    roster.write_handout(table, first, {student.name: {} for student in first})
    table.write_text("student\nOLA\newa\n", "utf-8")
    ola, ewa = roster.read(table)
    assert ola.key == first[1].key
    assert ewa.key not in {student.key for student in first}


def test_a_key_chosen_later_replaces_the_made_one(table: Path) -> None:
    """The table is the teacher's word."""
    table.write_text("student\nala\n", "utf-8")
    roster.write_handout(table, roster.read(table), {"ala": {}})
    table.write_text(f"student,key\nala,{KEY}\n", "utf-8")
    assert roster.read(table)[0].key == KEY


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_the_handout_is_for_the_teacher_alone(table: Path) -> None:
    """A row has what one student pastes into a terminal; nobody else on the machine can read the file."""
    table.write_text("student\nala\n", "utf-8")
    students = roster.read(table)
    path = roster.write_handout(table, students, {"ala": {"LABKIT_AZURE_URL": "http://x/class/ala", "B": "b"}})
    assert path.name == "class-keys.csv"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (row,) = csv.DictReader(path.read_text("utf-8").splitlines())
    assert row == {
        "student": "ala",
        "key": students[0].key,
        "bash": "export LABKIT_AZURE_URL='http://x/class/ala'; export B='b'",
        "powershell": "$env:LABKIT_AZURE_URL = 'http://x/class/ala'; $env:B = 'b'",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "line 1: no column is called student or id or login or email. There are: none", id="empty"),
        pytest.param(b"name,group\nala,1\n", "There are: name, group", id="no name column"),
        pytest.param(b"student\n", "names no student", id="nobody"),
        pytest.param(b"student\nala\nala b\n", "line 3: 'ala b' cannot stand in an address", id="blank in a name"),
        pytest.param("student\nżuk\n".encode(), "line 2: 'żuk' cannot stand", id="letters beyond a to z"),
        pytest.param(b"student\n../x\n", "line 2: '../x' cannot stand", id="path"),
        pytest.param(b"student\n=1+1\n", "line 2: '=1\\+1' cannot stand", id="formula"),
        pytest.param(b"student\nala\n\nALA\n", "line 4: ALA is on line 2 already", id="twice"),
        pytest.param(b"student,key\nala,secret\n", "line 2: the key of ala is too easy", id="short key"),
        pytest.param(b"student,key\nala," + b"ab" * 15, "line 2: the key of ala is too easy", id="dull key"),
        pytest.param(b"student,key\nala," + KEY.encode() + b"'", "too easy", id="quote in a key"),
        pytest.param(f"student,key\nala,{KEY}\nola,{KEY}\n".encode(), "ala and ola have the same key", id="same key"),
        pytest.param(b'student\n"ala\n', "line 2: this is no CSV", id="open quote"),
        pytest.param("student\nzażółć\n".encode("cp1250"), "not in UTF-8. Save it as 'CSV UTF-8'", id="encoding"),
        pytest.param(b"student\n" + b"x" * 2**20, "larger than a megabyte", id="large"),
        pytest.param(b"student\n" + b"".join(b"s%d\n" % n for n in range(501)), "500 at most", id="many"),
    ],
)
def test_what_cannot_be_a_class_is_told_with_its_line(table: Path, content: bytes, message: str) -> None:
    """No key is repeated in the message."""
    table.write_bytes(content)
    with pytest.raises(RosterError, match=message) as refused:
        roster.read(table)
    assert KEY not in str(refused.value)


def test_a_missing_table_is_told(table: Path) -> None:
    """With its name."""
    with pytest.raises(RosterError, match=r"class\.csv, cannot be read: No such file"):
        roster.read(table)
