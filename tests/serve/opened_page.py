"""A server in a thread, and a tab of a browser that must end without faults and barriers."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect
from playwright.sync_api import Page as Tab
from starlette.types import ASGIApp

SIZES = [(360, "dark"), (1280, "light")]


@contextmanager
def serve_in_thread(app: ASGIApp) -> Iterator[str]:
    """Yields the address of a server."""
    config = uvicorn.Config(app, port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@contextmanager
def open_tab(browser: Browser, address: str, width: int, scheme: str) -> Iterator[Tab]:
    """Yields a tab of one size that must end without faults, sideways scrolling and barriers."""
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, base_url=address
    )
    tab, faults = context.new_page(), []
    tab.on("console", lambda message: faults.append(message.text))
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on(
        "request",
        lambda each: (
            each.url.startswith(address) or each.url.startswith("data:") or faults.append(each.url)
        ),
    )
    yield tab
    expect(tab.locator(".busy")).to_have_count(0)
    found = Axe().run(tab).response["violations"]
    serious = [
        (each["id"], each["nodes"][0]["html"])
        for each in found
        if each["impact"] in {"serious", "critical"}
    ]
    expected = [fault for fault in faults if "status of 40" not in fault]
    assert not serious + expected, (serious, expected)
    assert tab.evaluate("document.documentElement.scrollWidth") == width, "it scrolls sideways"
    assert not tab.evaluate("window.isHacked")
    context.close()
