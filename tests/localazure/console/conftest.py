"""The console in a real browser: one headless Chromium a module, each test on a page opened anew."""

import shutil
import socket
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
from openai import AzureOpenAI
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from labkit.localazure import LocalAzure
from tests.localazure.asking import VERSION, account_of, deploy

T = TypeVar("T")
_WAIT_S = 20.0
_POLL_S = 0.05
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--window-size=1280,720",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A headless Chromium with a profile of its own; skips where there is none."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("The page is tested in Chromium, and chromium or chromedriver is not installed here.")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")  # a proxy would not find the driver on this machine
        with webdriver.Chrome(options=options, service=Service(executable_path=driver)) as made:
            yield made


class Page:
    """The console of one local Azure, open in the browser."""

    def __init__(self, browser: webdriver.Chrome, azure: LocalAzure) -> None:
        self.browser = browser
        self.azure = azure
        account = account_of(azure.azure)
        self.client = AzureOpenAI(azure_endpoint=azure.url, api_key=account.keys[0], api_version=VERSION, max_retries=0)

    def open(self, key: str | None = None) -> "Page":
        """Open it anew, with ``key`` in the address' fragment as a link has it."""
        self.browser.get("about:blank")
        self.browser.get(f"{self.azure.url}/" + (f"#key={key}" if key is not None else ""))
        return self

    def live(self, key: str | None = None) -> "Page":
        """Open it with the lab's key, or ``key``, and wait until it shows live data."""
        self.open(key or self.azure.lab_key)
        self.until(lambda: "Live" in self.text("connection"))
        return self

    def ask(self, said: str = "Hello", model: str = "gpt-4-turbo", **parameters: Any) -> str:
        """What the deployment ``model`` answers."""
        messages: list[Any] = [{"role": "user", "content": said}]
        answer = self.client.chat.completions.create(model=model, messages=messages, max_tokens=20, **parameters)
        return answer.choices[0].message.content or ""

    def find(self, css: str) -> WebElement:
        """The first element that ``css`` selects."""
        return self.browser.find_element(By.CSS_SELECTOR, css)

    def all(self, css: str) -> list[WebElement]:
        """Every element that ``css`` selects."""
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def text(self, id: str) -> str:
        """The text of the element with ``id``, shown or not."""
        return str(self.run("return document.getElementById(arguments[0]).innerText", id))

    def run(self, script: str, *arguments: object) -> Any:
        """What a script gives in the page."""
        return self.browser.execute_script(script, *arguments)

    def until(self, ready: Callable[[], T]) -> T:
        """What ``ready`` gives as soon as it gives something true."""
        return WebDriverWait(self.browser, _WAIT_S, _POLL_S).until(lambda _: ready())

    def keys(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        self.browser.switch_to.active_element.send_keys(*keys)

    def tab_to(self, id: str) -> None:
        """Press Tab until the element with ``id`` has the focus."""
        for _ in range(120):
            if self.run("return document.activeElement.id") == id:
                return
            self.keys(Keys.TAB)
        raise AssertionError(f"Tab never came to #{id}.")

    def said(self) -> list[str]:
        """What the browser's console got since it was last asked: errors of scripts, of loading, of the policy."""
        return [entry["message"] for entry in self.browser.get_log("browser")]  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def shown() -> Iterator[LocalAzure]:
    """A running local Azure with deployments, for the tests of one module."""
    with LocalAzure() as running:
        deploy(running.azure)
        yield running


@pytest.fixture
def page(browser: webdriver.Chrome, shown: LocalAzure) -> Iterator[Page]:
    """The console, not yet opened; afterwards its key is forgotten, and what the browser has said."""
    made = Page(browser, shown)
    yield made
    made.run("sessionStorage.clear()")
    made.said()
    made.client.close()
    shown.azure.faults.clear()


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
