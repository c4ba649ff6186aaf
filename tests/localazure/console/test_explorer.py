"""The telemetry explorer: KQL by mouse and by keys alone, its result, and what is wrong with it and where."""

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.localazure.console.conftest import Page
from tests.localazure.telemetry.sending import COMPONENT, KEY, item, send_calls

HOSTILE = "<img src=x onerror=\"document.title='owned'\">\u202e" + "x" * 10_000


@pytest.fixture
def page(page: Page) -> Page:
    """The console of a local Azure that has got six requests, with a lab's key."""
    azure = page.azure.azure
    if not azure.telemetry.count("requests"):
        send_calls(azure.telemetry, azure.clock.now())
    return page.live()


def run(page: Page, kql: str) -> None:
    """Write a query and press Ctrl and Enter."""
    field = page.find("#query")
    field.clear()
    field.send_keys(kql)
    field.send_keys(Keys.CONTROL, Keys.ENTER)


def test_query_gives_a_table(page: Page) -> None:
    """Columns with their types, numbers, and how many rows there are."""
    run(page, "requests | summarize calls = count(), slowest = max(duration) by success | order by calls desc")
    page.until(lambda: "2 rows" in page.text("query-count"))
    rows = [row.text.split() for row in page.all("#query-result tbody tr")]
    assert rows == [["true", "4", "600"], ["false", "2", "500"]]
    assert "calls (long)" in page.find("#query-result caption").text


def test_mistake_is_shown_with_its_place(page: Page) -> None:
    """The words of the query engine, line and character; the cursor stands on the word that is wrong."""
    run(page, "requests\n| where nonsense > 3")
    page.until(lambda: "nonsense" in page.text("query-error"))
    assert "(line 2, character 9)" in page.text("query-error")
    selected = "const f = document.getElementById('query'); return f.value.slice(f.selectionStart, f.selectionEnd)"
    assert page.run(selected) == "nonsense"
    assert not page.find("#query-result").is_displayed()
    run(page, "requests | count")
    page.until(lambda: "1 row" in page.text("query-count"))
    assert page.text("query-error") == ""


def test_query_is_run_with_keys_alone(page: Page) -> None:
    """From the top of the page, with Tab to the field and to the button, and Enter."""
    page.tab_to("query")
    page.keys("traces | count")
    page.keys(Keys.TAB, Keys.ENTER)
    page.until(lambda: "1 row" in page.text("query-count"))


def test_every_example_runs(page: Page) -> None:
    """None of the menu's queries is refused over the tables as they are."""
    menu = Select(page.find("#query-examples"))
    for index in range(1, len(menu.options)):
        page.run("document.getElementById('query-count').textContent = ''")
        menu.select_by_index(index)
        page.until(lambda: "row" in page.text("query-count").lower() or page.text("query-error"))
        assert page.text("query-error") == "", menu.options[index].text


def test_tables_are_listed_with_their_columns(page: Page) -> None:
    """Unfolding the list shows each table, its columns and their types; a press on a name runs a query over it."""
    page.find("#query-tables summary").click()
    names = page.until(lambda: page.all("#query-tables button"))
    assert {"requests", "dependencies", "customMetrics"} <= {name.text for name in names}
    assert "duration (real)" in page.find("#query-tables").text
    next(name for name in names if name.text == "requests").click()
    page.until(lambda: "6 rows" in page.text("query-count"))


def test_hostile_telemetry_stays_text(page: Page) -> None:
    """A span's name that is markup, turns the line round or is very long is one line of text, cut."""
    azure = page.azure.azure
    azure.telemetry.allow(KEY, "app-id", "appi", COMPONENT)
    azure.telemetry.add_all([item("MessageData", azure.clock.now(), message=HOSTILE)])
    run(page, "traces | project message")
    page.until(lambda: page.all("#query-result tbody tr"))
    said = page.find("#query-result tbody").text
    assert "<img src=x" in said
    assert "characters)" in said
    assert len(said) < 1_000
    assert "\u202e" not in said
    assert page.all("#query-result img") == []
    assert (page.browser.title, page.said()) == ("Local Azure console", [])
