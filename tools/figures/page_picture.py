"""The picture of the server's page in the README: a running server, seen by a headless Chromium.

    nmt calibrate runs/de-en val.de val.en
    nmt serve runs/de-en --feedback &
    python tools/figures/page_picture.py http://127.0.0.1:5000 -o docs/images/page.png

The server translates from German to English with a model of Multi30k, which loses the number.
Needs Chromium and the package playwright.
"""

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

TEXT = "Zwei Männer mit 17 Hunden stehen vor einem Haus. Ein Hund läuft im Schnee."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--output", "-o", type=Path, default=Path("page.png"))
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        parser.error("there is no Chromium: install it, for example with `apt install chromium`")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1000, "height": 960})
        page.goto(options.address)
        page.select_option("#source", "de")
        page.fill("#input", TEXT)
        page.wait_for_selector(".to .word i")
        page.click(".sentence >> nth=1 >> .to .word >> nth=2")
        page.wait_for_selector("#menu [role=option]")
        page.screenshot(path=options.output)
        browser.close()


if __name__ == "__main__":
    main()
