"""The page in Chromium: what it shows, whose key it takes, and that texts by strangers stay texts."""

import pytest
from openai import APIStatusError
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from labkit.localazure import LocalAzure
from labkit.localazure.journal import Entry
from tests.localazure.console.conftest import Page

HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\">",
    "<script>document.title='owned'</script>",
    "\u202egnp.exe </td></tr></table><h1>owned</h1>",
    "x" * 10_000,
    "{{7*7}} ${document.title='owned'} javascript:document.title='owned'",
)


def test_page_loads_without_a_complaint(page: Page) -> None:
    """No script fails, nothing is missing, and the policy has nothing to refuse; with a call on it, too."""
    page.live()
    page.ask()
    page.until(lambda: page.all("#requests tbody tr"))
    assert page.said() == []
    assert page.browser.title == "Local Azure console"


def test_nothing_but_the_own_server_is_asked(page: Page) -> None:
    """Every request that the browser made went to the page's origin, and no address held the key."""
    page.live()
    loaded = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert len(loaded) > 10
    assert all(address.startswith(page.azure.url) for address in loaded)
    assert not any(page.azure.lab_key in address for address in loaded)


def test_foreign_requests_are_refused_by_the_policy(page: Page) -> None:
    """Were a script ever to slip in, it could send nothing elsewhere; and no text can become markup."""
    page.live()
    blocked = "return fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.name)"
    assert page.run(blocked) == "TypeError"
    assert any("Content Security Policy" in line for line in page.said())
    assert (
        page.run("try { document.body.innerHTML = '<p>'; return 'taken' } catch (e) { return e.name }") == "TypeError"
    )


def test_key_leaves_the_address_bar_and_is_kept_for_the_tab(page: Page) -> None:
    """After a link with #key=… there is no key in the address; opening the page again needs none; no text shows it."""
    page.live()
    assert page.browser.current_url == f"{page.azure.url}/"
    assert page.azure.lab_key not in page.run("return document.documentElement.outerHTML")
    page.open()
    page.until(lambda: "Live" in page.text("connection"))


def test_without_a_key_the_page_asks_for_one(page: Page) -> None:
    """A key typed into the form opens the console; the field is emptied."""
    page.open()
    field = page.until(lambda: page.find("#key"))
    assert field.is_displayed()
    assert not page.find("#console").is_displayed()
    field.send_keys(page.azure.lab_key, Keys.ENTER)
    page.until(lambda: page.find("#console").is_displayed())
    assert field.get_property("value") == ""


@pytest.mark.parametrize("wrong", ["wrong", "zażółć gęślą jaźń"], ids=["ascii", "polish"])
def test_wrong_key_is_said_to_be_wrong(page: Page, wrong: str) -> None:
    """The form comes back with the reason; the wrong key is not shown, and a right one still opens."""
    page.open()
    page.find("#key").send_keys(wrong, Keys.ENTER)
    page.until(lambda: "does not fit" in page.text("signin-error"))
    assert wrong not in page.run("return document.body.innerText")
    page.find("#key").send_keys(page.azure.lab_key, Keys.ENTER)
    page.until(lambda: "Live" in page.text("connection"))


def test_changing_the_key_forgets_the_old_one(page: Page) -> None:
    """The button leads back to the form, and opening the page again does not bring the key back."""
    page.live()
    page.find("#leave").click()
    assert page.find("#signin").is_displayed()
    page.open()
    page.until(lambda: page.find("#signin").is_displayed())


def test_requests_appear_by_themselves(page: Page) -> None:
    """Newest first, with status in words, tokens and model; an error is counted and told apart without colour."""
    page.live()
    page.ask("What is the capital of Poland?")
    with pytest.raises(APIStatusError):
        page.ask(model="nobody-made-this")
    first = page.until(lambda: [row for row in page.all("#requests tbody tr") if "nobody" in row.text])[0]
    assert "✕ 404 not found" in first.text
    assert any("✓ 200 OK" in row.text and "gpt-4-turbo" in row.text for row in page.all("#requests tbody tr"))
    page.until(lambda: "nobody-made-this" in page.find("#costs table").text)


def test_filter_and_details(page: Page) -> None:
    """The filter keeps what matches; a click shows everything of a request, Escape closes it."""
    page.live()
    page.ask("A question to be found again")
    page.until(lambda: page.all("#requests tbody tr"))
    page.find("#filter-text").send_keys("found again")
    page.until(lambda: len(page.all("#requests tbody tr")) == 1)
    page.find("#requests tbody button").click()
    assert "A question to be found again" in page.find("#details").text
    page.keys(Keys.ESCAPE)
    page.until(lambda: not page.find("#details").is_displayed())


def test_gauges_show_what_is_used(page: Page) -> None:
    """A call moves its deployment's gauges, which say the same in words for who cannot see them."""
    page.live()
    page.ask()
    meters = page.until(
        lambda: [
            meter
            for meter in page.all("#accounts [role=meter]")
            if meter.get_dom_attribute("aria-valuenow") not in (None, "0")
        ]
    )
    assert " of 1,000,000 (" in str(meters[0].get_dom_attribute("aria-valuetext"))


def test_pause_holds_the_page_still(page: Page) -> None:
    """While paused nothing new appears; going on shows what was missed."""
    page.live()
    page.find("#pause").click()
    assert "Paused" in page.text("connection")
    page.ask("Asked while paused")
    with pytest.raises(AssertionError):
        _wait_for_request(page, "Asked while paused", attempts=3)
    page.find("#pause").click()
    page.until(lambda: _has_request(page, "Asked while paused"))


def _has_request(page: Page, prompt: str) -> bool:
    page.run("document.getElementById('filter-text').value = arguments[0]", prompt)
    page.run("document.getElementById('requests-filter').dispatchEvent(new Event('input'))")
    return len(page.all("#requests tbody tr")) == 1


def _wait_for_request(page: Page, prompt: str, *, attempts: int) -> None:
    for _ in range(attempts):
        page.run("return new Promise((done) => setTimeout(done, 100))")
        if _has_request(page, prompt):
            return
    raise AssertionError(prompt)


def test_hostile_texts_stay_texts(page: Page) -> None:
    """Whatever a prompt or a header says: nothing of it runs, no element comes of it, and no line turns round."""
    page.live()
    entries = [_entry(page, text) for text in HOSTILE]
    page.until(lambda: page.all(f"#requests tr[data-id='{entries[-1].id}']"))
    for entry in entries:
        page.find(f"#requests tr[data-id='{entry.id}'] button").click()
        assert entry.prompt[:10].lstrip("\u202e") in page.text("details")
        assert page.all("img, tbody script, h1 + h1, dd h1") == []
        assert "\u202e" not in page.run("return document.body.innerText")
        page.keys(Keys.ESCAPE)
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    assert page.browser.title == "Local Azure console"
    assert page.said() == []


def _entry(page: Page, text: str) -> Entry:
    """A request that says ``text`` wherever it can, in the journal and in the usage."""
    azure = page.azure.azure
    entry = Entry(azure.clock.now(), "inference", "POST", f"/{text}", text, 200, prompt=text, user_agent=text)
    entry.deployment = entry.fault = text
    azure.usage.note(entry)
    return azure.journal.add(entry)


def test_a_restarted_server_is_found_again(page: Page, free_port: int) -> None:
    """While it is away the page says so and keeps trying; a new one in its place is asked for its key."""
    with LocalAzure(port=free_port) as kept:
        away = Page(page.browser, kept)
        away.live()
        kept.stop()
        away.until(lambda: "Not reachable since" in away.text("connection"))
        kept.start()
        away.until(lambda: "Live" in away.text("connection"))
    with LocalAzure(port=free_port):
        away.until(lambda: "does not fit" in away.text("signin-error"))
    away.client.close()


@pytest.mark.parametrize("width", [400, 1280, 1920])
def test_page_fits_its_window(page: Page, width: int) -> None:
    """Only tables scroll sideways, each in its own box; type is at least 18 pixels."""
    page.browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    try:
        page.live()
        assert page.run("return document.documentElement.scrollWidth") <= width
        assert page.run("return parseFloat(getComputedStyle(document.body).fontSize)") >= 18
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_structure_serves_a_screen_reader(page: Page) -> None:
    """Landmarks, one first heading, captions and scopes in tables, names for fields, and a way past the menu."""
    page.live()
    page.ask()
    page.until(lambda: page.all("#requests tbody tr"))
    assert [len(page.all(tag)) for tag in ("header", "nav", "main", "h1")] == [1, 1, 1, 1]
    assert page.find("body > :first-child").get_dom_attribute("href") == "#main"
    for table in page.all("table"):
        assert table.find_element(By.TAG_NAME, "caption").get_property("textContent")
        assert not table.find_elements(By.CSS_SELECTOR, "th:not([scope])")
    unnamed = "return [...document.querySelectorAll('input, select, textarea')].filter((f) => !f.labels.length).length"
    assert page.run(unnamed) == 0
    assert page.all("[aria-live=polite]")
