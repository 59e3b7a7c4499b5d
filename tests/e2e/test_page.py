"""One visit to the storefront, in a real browser against a real server.

A base URL is all it needs: `WINDOWSHOP_E2E_URL` names one, else the embedded server is started here
on a catalogue of its own. Chromium is driven over its debugging pipe, so no driver is installed.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localstack.emulator import free_port

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)
PATIENCE_S = 20.0

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)"
)


class Chromium:
    """A headless Chromium with one page, spoken to in the DevTools protocol over two pipes."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        their_in, self._out = os.pipe()
        self._in, their_out = os.pipe()
        # Chromium reads file 3 and writes file 4; the shell puts the pipes there.
        command = f'exec "$0" "$@" 3<&{their_in} 4>&{their_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", command, CHROMIUM, *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}"],
            pass_fds=(their_in, their_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(their_in)
        os.close(their_out)
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self.problems: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to one command. Events that arrive before it are looked at for problems."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]  # type: ignore[no-any-return]
            self._notice(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            chunk = os.read(self._in, 1 << 20)
            assert chunk, "Chromium went away"
            self._rest += chunk
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)  # type: ignore[no-any-return]

    def _notice(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"])[:600])
        entry = params.get("entry", {})
        if entry.get("source") == "security":
            self.problems.append(entry["text"])

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; promises are awaited."""
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)  # fmt: skip
        assert "exceptionDetails" not in answer, f"{script}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait(self, script: str) -> Any:
        """Wait until an expression is true; its value."""
        end = time.monotonic() + PATIENCE_S
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"never true: {script}\n{self.run('document.body.innerText')[:1500]}\n{self.problems}"  # fmt: skip
            time.sleep(0.05)
        return value

    def click(self, selector: str) -> None:
        """Scroll to an element, and press the mouse where it is: what covers it gets the click."""
        self.wait(f"document.querySelector({selector!r})?.checkVisibility()")
        x, y = self.run(
            f"(async () => {{ const e = document.querySelector({selector!r});"
            "e.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'});"
            "await Promise.all(document.getAnimations().filter((a) => a.effect.getComputedTiming().endTime < 5000).map((a) => a.finished.catch(() => 0)));"
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        self.send("Input.insertText", text=text)

    def press(self, key: str, code: int = 0) -> None:
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **(text if kind == "keyDown" else {}))  # fmt: skip

    def open(self, url: str) -> None:
        self.send("Page.navigate", url=url)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._out, b'{"id":0,"method":"Browser.close"}\0')
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._out)
        os.close(self._in)


KINDS = (
    ("Dairy", "Milk", ("Whole milk", "Skimmed milk", "Oat milk", "Buttermilk", "Goat milk")),
    ("Dairy", "Cheese", ("Cheddar cheese", "Mozzarella cheese", "Goat cheese", "Blue cheese")),
    ("Produce", "Fruit", ("Bananas", "Gala apples", "Strawberries", "Oranges", "Pears")),
    ("Bakery", "Bread", ("Rye bread", "White bread", "Baguette", "Hamburger buns")),
    ("Household", "Cleaning", ("Glass cleaner", "Dish soap", "Laundry detergent", "Bleach")),
    ("Pets", "Cat food", ("Salmon cat food", "Chicken cat food", "Kitten milk", "Cat treats")),
)
HOSTILE = '<img src=x onerror="document.title=1"> soap'


def write_shop(folder: Path) -> None:
    """A small catalogue with one hostile title, and purchases by twenty shoppers."""
    items = [
        {"item_id": f"{path}/{n}", "title": title, "category": [top, path], "price": 1.5 + n, "currency": "EUR", "brand": "Acme"}
        for top, path, titles in KINDS
        for n, title in enumerate((*titles, *(f"{adjective} {titles[0]}" for adjective in ("Organic", "Large", "Budget"))))
    ]  # fmt: skip
    items.append({"item_id": "hostile", "title": HOSTILE, "category": ["Household", "Soap"]})
    ids = [item["item_id"] for item in items]
    base = int(time.time()) - 20 * 86_400
    events = [
        {"kind": "purchase", "user_id": f"shopper-{user}", "item_id": ids[(user * 3 + step * step) % len(ids)], "timestamp": base + user * 3600 + step * 86_400}
        for user in range(20)
        for step in range(12)
    ]  # fmt: skip
    for name, rows in (("items.jsonl", items), ("events.jsonl", events)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def windowshop(home: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "windowshop.cli", *words, "--home", str(home)]


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    given = os.environ.get("WINDOWSHOP_E2E_URL")
    if given:
        yield given.rstrip("/")
        return
    home = tmp_path_factory.mktemp("home")
    files = tmp_path_factory.mktemp("files")
    write_shop(files)
    for words in (["ingest", "items.jsonl"], ["record", "events.jsonl"]):
        done = subprocess.run(
            windowshop(home, *words), cwd=files, capture_output=True, text=True, timeout=300, check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    port = free_port()
    server = subprocess.Popen(windowshop(home, "serve", "--port", str(port)), cwd=files)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_ready(url, server)
        yield url
    finally:
        server.terminate()
        server.wait(20)


def wait_ready(url: str, server: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert server.poll() is None, "the server ended"
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(f"{url}/readyz", timeout=2)
            return
        time.sleep(0.1)
    pytest.fail("the server was not ready within a minute")


@pytest.fixture
def page(base_url: str, tmp_path: Path) -> Iterator[Chromium]:
    browser = Chromium(tmp_path / "profile")
    try:
        browser.open(base_url + "/")
        browser.wait("document.querySelectorAll('[data-shelf=for_you] .tile').length > 5")
        yield browser
    finally:
        browser.close()


FOR_YOU = "[...document.querySelectorAll('[data-shelf=for_you] .tile:not([inert])')].map((t) => t.tile.item.item_id)"
VISIBLE = "document.querySelector('#fresh-visible').textContent"
NEWS = "document.querySelector('#hood-news').textContent"


def seen_after(page: Chromium, kind: str) -> None:
    """The strip says that the newest event, of this kind, is visible."""
    page.wait(f"{NEWS}.startsWith({kind!r}) && {NEWS}.includes('visible in')")


def export(page: Chromium, who: str) -> list[dict[str, Any]]:
    return page.run(  # type: ignore[no-any-return]
        "fetch('v1/users/export', {method: 'POST', headers: {'content-type': 'application/json'},"
        f"body: JSON.stringify({who})}}).then((r) => r.json()).then((d) => d.events)"
    )


def test_a_visit(page: Chromium) -> None:
    """A guest looks, searches, fills a cart, buys, logs in and is forgotten; every step shows at once."""
    assert page.run("document.querySelector('#who-name').textContent").startswith("Guest")
    assert page.run("document.querySelector('#fresh-asof').textContent") == "none yet"
    guest = "{anonymous_id: localStorage.getItem('windowshop.guest')}"
    at_first = page.run(FOR_YOU)

    # open an item: its panel, its shelves, and another For you
    opened = page.run("document.querySelector('[data-shelf=for_you] .tile .title').textContent")
    page.click("[data-shelf=for_you] .tile .open")
    page.wait("document.querySelector('#panel').open")
    assert page.wait("document.querySelector('#panel-title').textContent") == opened
    seen_after(page, "view")
    assert page.run(FOR_YOU) != at_first
    assert page.run(VISIBLE).endswith(" ms")
    assert page.run("document.querySelector('#fresh-asof').textContent") != "none yet"
    page.wait("document.querySelectorAll('#panel .tile').length > 3")
    page.press("Escape", 27)
    page.wait("!document.querySelector('#panel').open")
    page.wait(
        f"document.querySelector('[data-shelf=recently_viewed]').innerText.includes({opened!r})"
    )

    # search
    page.click("#query")
    page.type("cheese")
    page.press("Enter", 13)
    page.wait(
        "document.querySelector('[data-shelf=search] .title')?.textContent.toLowerCase().includes('cheese')"
    )
    seen_after(page, "search")

    # into the cart, and out of the till
    page.click("[data-shelf=search] .tile .add")
    seen_after(page, "add to cart")
    assert page.run("document.querySelector('#cart-count').textContent") == "1"
    page.click("#cart-button")
    page.wait("document.querySelectorAll('#basket .tile').length > 0")
    page.click("#basket-buy")
    seen_after(page, "purchase")
    assert page.run("document.querySelector('#cart-count').textContent") == ""
    page.wait(
        "document.querySelector('[data-shelf=buy_again] .title')?.textContent.toLowerCase().includes('cheese')"
    )

    events = export(page, guest)
    kinds = {event["kind"] for event in events}
    assert {"click", "view", "search", "add_to_cart", "purchase"} <= kinds
    bought = next(event for event in events if event["kind"] == "purchase")
    assert bought["request_id"]
    assert bought["quantity"] == 1

    # log in: the guest's purchase comes along
    page.click("#who-button")
    page.click("#people-id")
    page.type("shopper-3")
    page.click("#people-login")
    page.wait("document.querySelector('#who-name').textContent === 'shopper-3'")
    page.wait(
        "document.querySelector('[data-shelf=buy_again]')?.innerText.toLowerCase().includes('cheese')"
    )

    # and the way out: everything is forgotten, which is looked at again
    page.click("#who-button")
    page.click("#people-forget")
    page.click("#forget-yes")
    page.wait(
        "document.querySelector('#erasure').textContent.includes('looked for again, and not found')"
    )
    left = export(page, "{user_id: 'shopper-3'}")
    assert [event for event in left if event["kind"] != "impression"] == []
    assert page.problems == []


def test_titles_are_text(page: Chromium) -> None:
    """A title that is markup is shown as it is written, and runs nowhere."""
    page.click("#query")
    page.type("soap")
    page.press("Enter", 13)
    page.wait(
        f"[...document.querySelectorAll('[data-shelf=search] .title')].some((t) => t.textContent === {HOSTILE!r})"
    )
    assert page.run("document.querySelectorAll('.title img').length") == 0
    assert page.run("document.title") == "windowshop"
    assert page.problems == []


def test_a_keyboard_is_enough(page: Chromium) -> None:
    """Slash searches; arrows walk along a shelf, Enter opens, Escape comes back to where one was."""
    page.press("/", 191)
    assert page.run("document.activeElement.id") == "query"
    page.run("document.querySelector('[data-shelf=for_you] .open').focus()")
    page.press("ArrowRight", 39)
    page.press("ArrowRight", 39)
    third = page.run("document.activeElement.closest('li').tile.item.item_id")
    assert third == page.run(FOR_YOU)[2]
    page.press("Enter", 13)
    page.wait("document.querySelector('#panel').open")
    page.press("Escape", 27)
    page.wait("!document.querySelector('#panel').open")
    page.wait("document.activeElement.closest('[data-shelf=for_you] li') !== null")


def test_it_fits_a_phone(page: Chromium) -> None:
    """At 360 pixels nothing makes the page itself scroll sideways."""
    page.send(
        "Emulation.setDeviceMetricsOverride",
        width=360,
        height=780,
        deviceScaleFactor=2,
        mobile=True,
    )
    page.wait("innerWidth === 360")
    assert page.run("document.documentElement.scrollWidth") <= 360
