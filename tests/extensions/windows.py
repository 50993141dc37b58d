"""Windows of a browser for the tests of pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

SCHEMES_AND_WIDTHS = [(scheme, width) for scheme in ("light", "dark") for width in (320, 1280)]


@contextmanager
def silent_window(browser: Any, address: str, width: int | None = None) -> Iterator[Any]:
    """Opens a page, whose console must stay silent; one that is opened with a width must not be wider at the end."""
    window = browser.new_page(viewport={"width": width or 1280, "height": 700})
    complaints: list[str] = []
    window.on("console", lambda message: complaints.append(message.text))
    window.on("pageerror", lambda error: complaints.append(str(error)))
    window.goto(address)
    yield window
    assert complaints == []
    assert width is None or window.evaluate("document.documentElement.scrollWidth") <= width
    window.close()


def show_in(window: Any, scheme: str, width: int) -> None:
    """Changes the colours and the width of a window."""
    window.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    window.set_viewport_size({"width": width, "height": 800})


def open_details(window: Any) -> None:
    """Opens all that can be opened."""
    for summary in window.query_selector_all("summary"):
        if summary.is_visible():
            summary.click()


def check_accessible(window: Any) -> None:
    """Axe-core must find no violation, and nothing may be wider than the window."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(window)
    assert found.violations_count == 0, found.generate_report()
    width = window.viewport_size["width"]
    assert window.evaluate("document.documentElement.scrollWidth") <= width
