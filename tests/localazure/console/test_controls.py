"""What can be done on the page: faults set by a teacher, the clock moved, a class looked over."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from openai import APIConnectionError, APIStatusError
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from labkit.localazure.classserver import ClassServer
from labkit.localazure.faults import Fault
from tests.localazure.asking import BIG, SMALL
from tests.localazure.console.conftest import Page


def choose(page: Page, id: str, text: str) -> None:
    """Choose an option of a menu by its text."""
    Select(page.find(f"#{id}")).select_by_visible_text(text)


def write(page: Page, id: str, text: str) -> None:
    """Replace what is in a field."""
    page.find(f"#{id}").clear()
    page.find(f"#{id}").send_keys(text)


def set_fault(page: Page) -> str:
    """Send the form, and wait for a new line; its text."""
    before = len(page.all("#faults-list tbody tr"))
    page.find("#faults-form [type=submit]").click()
    page.until(lambda: len(page.all("#faults-list tbody tr")) == before + 1)
    return page.all("#faults-list tbody tr")[-1].text


def test_lab_key_shows_no_switches(page: Page) -> None:
    """The page says what is needed for them, shows the lab's own faults, and offers no way to change them."""
    page.azure.azure.faults.add(Fault(deployment=SMALL, by="lab"))
    page.azure.azure.faults.add(Fault(deployment=BIG, by="admin"))
    page.live()
    assert not page.find("#faults-form").is_displayed()
    assert "teacher's admin secret" in page.text("faults-locked")
    (line,) = page.all("#faults-list tbody tr")
    assert SMALL in line.text
    assert not line.find_elements(By.TAG_NAME, "button")


def test_teacher_sets_a_fault_that_a_call_meets(page: Page) -> None:
    """A 503 for the next two calls of one deployment: the list says so, those calls get it, and no other."""
    page.live(page.azure.admin_secret)
    choose(page, "fault-kind", "503 Service unavailable")
    choose(page, "fault-deployment", BIG)
    write(page, "fault-amount", "2")
    line = set_fault(page)
    assert all(word in line for word in ("answers 503", BIG, "2 more", "teacher"))
    page.ask(model=SMALL)
    for _ in range(2):
        with pytest.raises(APIStatusError) as met:
            page.ask(model=BIG)
        assert met.value.status_code == 503
    page.ask(model=BIG)
    page.until(lambda: not page.all("#faults-list tbody tr"))
    assert any("✕ 503 failed" in row.text for row in page.all("#requests tbody tr"))


@pytest.mark.parametrize(
    ("kind", "reach", "said", "status"),
    [
        ("429 Too many requests", "the next calls", "retry after 5 s", 429),
        ("500 Server error", "a share of the calls", "20% of the calls", None),
        ("408 Timed out", "every k-th call", "one in 3 calls", None),
        ("503 Service unavailable", "all, for a time (outage)", "60 s more", 503),
        ("Slower by a factor", "a share of the calls", "10 times as slow", None),
        ("Late answer", "the next calls", "late by 5.00 s", None),
        ("Slow stream", "the next calls", "stream 10 times as slow", None),
        ("Cut in the middle", "the next calls", "cut in the middle", 0),
        ("Connection reset", "the next calls", "connection reset", 0),
    ],
    ids=["429", "500-share", "408-every", "outage", "factor", "late", "slow-stream", "cut", "reset"],
)
def test_every_fault_can_be_set(page: Page, kind: str, reach: str, said: str, status: int | None) -> None:
    """Each with the number that the form begins with; those that hit the next call are met by it (0: no answer)."""
    page.live(page.azure.admin_secret)
    choose(page, "fault-kind", kind)
    choose(page, "fault-reach", reach)
    assert said in set_fault(page)
    if status == 0:
        with pytest.raises(APIConnectionError):
            page.ask()
        ending = "200, cut off" if kind.startswith("Cut") else "no answer"
        page.until(lambda: ending in page.find("#requests tbody").text)
    elif status is not None:
        with pytest.raises(APIStatusError) as met:
            page.ask()
        assert met.value.status_code == status
    page.azure.azure.faults.clear()


def test_a_fault_is_taken_back(page: Page) -> None:
    """One by its button, all by another; a call then passes."""
    for _ in range(3):
        page.azure.azure.faults.add(Fault(deployment=BIG, times=100))
    page.live(page.azure.admin_secret)
    page.until(lambda: len(page.all("#faults-list tbody tr")) == 3)
    page.find("#faults-list tbody button").click()
    page.until(lambda: len(page.azure.azure.faults.waiting()) == 2)
    page.find("#faults-list > button").click()
    page.until(lambda: not page.azure.azure.faults.waiting())
    page.ask(model=BIG)


def test_a_refused_fault_says_why(page: Page) -> None:
    """The server's own words, beside the form."""
    page.live(page.azure.admin_secret)
    write(page, "fault-amount", "2000000")
    page.find("#faults-form [type=submit]").click()
    page.until(lambda: "times" in page.text("faults-error"))
    assert not page.azure.azure.faults.waiting()


def test_fault_is_set_with_keys_alone(page: Page) -> None:
    """Tab leads to the form and Enter sends it."""
    page.live(page.azure.admin_secret)
    page.find("#clock-step").send_keys(Keys.TAB)
    page.tab_to("fault-amount")
    page.keys(Keys.ENTER)
    page.until(lambda: page.azure.azure.faults.waiting())


def test_clock_is_moved(page: Page) -> None:
    """Five minutes pass at once, and the page shows the new time."""
    page.live()
    before_s = page.azure.azure.clock.now()
    choose(page, "clock-step", "5 minutes")
    page.find("#clock-form button").click()
    page.until(lambda: "It is now" in page.text("clock-news"))
    assert 300 <= page.azure.azure.clock.now() - before_s < 360


@pytest.fixture
def class_server(tmp_path: Path) -> Iterator[ClassServer]:
    """A class of two."""
    table = tmp_path / "class.csv"
    table.write_text("student\nala\nOla.Kot@x.pl\n", "utf-8")
    with ClassServer(table) as running:
        yield running


def test_class_is_looked_over(page: Page, class_server: ClassServer) -> None:
    """The root shows every student; a name leads to their console without asking for the secret again."""
    browser = page.browser
    browser.get(f"{class_server.url}/#key={class_server.admin_secret}")
    page.until(lambda: len(page.all("#classroom tbody tr")) == 2)
    assert "2 students" in page.text("classroom-sum")
    assert class_server.admin_secret not in page.run("return document.documentElement.outerHTML")
    name = page.all("#classroom tbody a")[1]
    student = name.text
    name.click()
    page.until(lambda: "Live, as teacher" in page.text("connection"))
    assert unquote(urlsplit(browser.current_url).path) == f"/class/{student}/"
    assert page.said() == []


def test_student_opens_their_own_console_only(page: Page, class_server: ClassServer) -> None:
    """Under /class/NAME/ the key of NAME opens the page; another student's does not."""
    ala, ola = class_server.students
    own, other = (class_server.environment(student)["LABKIT_LAB_KEY"] for student in (ala, ola))
    address = class_server.environment(ala)["LABKIT_AZURE_URL"]
    page.browser.get(f"{address}/#key={other}")
    page.until(lambda: "does not fit" in page.text("signin-error"))
    page.find("#key").send_keys(own, Keys.ENTER)
    page.until(lambda: page.text("connection") == "● Live")
