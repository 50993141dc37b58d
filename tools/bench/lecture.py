"""Measures the page of a sentence in a browser, and what the recorder of beam search costs while it is off.

    python tools/bench/lecture.py page page.html
    python tools/bench/lecture.py recorder runs/de-en test.de

``page`` opens a page of ``nmt inspect sentence`` in headless Chromium, each time in a new window, and gives the seconds
until it is loaded, until the first chosen token has its attention, and of a step of the search; it needs Chromium and
the package playwright. ``recorder`` translates a file with beam search as it is and without its lines for an observer,
in turns, and gives the ratio of the processor times of each pair of turns. Run both on a quiet machine.
"""

import argparse
import inspect
import re
import shutil
import statistics
import time
from pathlib import Path

TURNS = 11


def measure_page(path: Path) -> None:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    names = ("loaded", "first interaction", "a step of the search")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(TURNS):
            window = browser.new_page(viewport={"width": 1280, "height": 800})
            started = time.perf_counter()
            window.goto(path.resolve().as_uri())
            seconds["loaded"].append(time.perf_counter() - started)
            window.click("#target .word >> nth=0")
            window.wait_for_selector("#target .word.chosen")
            seconds["first interaction"].append(time.perf_counter() - started)
            started = time.perf_counter()
            window.click("#back")
            seconds["a step of the search"].append(time.perf_counter() - started)
            window.close()
        browser.close()
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, {TURNS} windows")
    for name, values in seconds.items():
        print(f"{name}: median {statistics.median(values):.3f} s, most {max(values):.3f} s")


def measure_recorder(directory: Path, source: Path, limit: int) -> None:
    import nmt
    from nmt.decoding import beam

    text = inspect.getsource(beam.beam_search)
    without = text.replace(" or batch.observer is not None", "")
    without = re.sub(r"\n( +)if batch\.observer is not None:\n(?:\1 +.*\n)+", "\n", without)
    if "observer" in without:
        raise SystemExit("beam_search mentions the observer in other places: adapt tools/bench/lecture.py")
    names = dict(vars(beam))
    exec(compile("from __future__ import annotations\n" + without, beam.__file__, "exec"), names)
    codes = {"with": beam.beam_search.__code__, "without": names["beam_search"].__code__}
    translator = nmt.load(directory, "cpu")
    lines = source.read_text("utf-8").splitlines()[:limit]
    texts, ratios = {}, []
    for turn in range(TURNS + 1):
        times = {}
        for name in sorted(codes, reverse=turn % 2 == 1):
            beam.beam_search.__code__ = codes[name]
            started = time.process_time()
            texts[name] = [translation.text for translation in translator.translate(lines)]
            times[name] = time.process_time() - started
        if turn:  # the first one warms up
            ratios.append(times["with"] / times["without"])
    assert texts["with"] == texts["without"]
    low, *_, high = sorted(ratios)
    print(f"time with the observer's lines / without: median {statistics.median(ratios):.4f}, {low:.4f} to {high:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("page").add_argument("path", type=Path)
    recorder = commands.add_parser("recorder")
    recorder.add_argument("directory", type=Path)
    recorder.add_argument("source", type=Path)
    recorder.add_argument("--limit", type=int, default=300, help="lines that are translated")
    options = parser.parse_args()
    if options.command == "page":
        measure_page(options.path)
    else:
        measure_recorder(options.directory, options.source, options.limit)


if __name__ == "__main__":
    main()
