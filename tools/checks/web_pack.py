"""Translate lines with an exported web folder in headless Chromium, and compare them with ``nmt translate``.

    nmt export runs/de-en -o site --to web --quantization float32
    python tools/checks/web_pack.py site runs/de-en test.de --lines 200

Prints the size of the folder, the seconds until the model is loaded and until the first translation, and lines per
second in the browser and in nmt with one thread. Exits with 1 if a translation differs (of a folder in float32).
"""

import argparse
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

PAGE = """<!doctype html><meta charset="utf-8"><script type="module">
const report = (value) => fetch("/report", { method: "POST", body: JSON.stringify(value) });
try {
  const { Translator } = await import("./translator.js");
  const options = await (await fetch("check.json")).json();
  const start = performance.now(), since = () => (performance.now() - start) / 1000;
  const model = await Translator.load(new URL("./", location.href));
  const loaded = since();
  await model.translate(options.lines.slice(0, 1), options.changes);
  const first = since() - loaded;
  const results = await model.translate(options.lines, options.changes);
  const seconds = since() - loaded - first;
  await report({ loaded, first, seconds, texts: results.map((each) => each.text), threads: crossOriginIsolated });
} catch (error) {
  await report({ error: `${error.message}\\n${error.stack}` });
}
</script>
"""
TIMEOUT = 900
"""Seconds."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and keeps what the page reports."""

    reported: threading.Event
    result: dict[str, Any]

    def do_POST(self) -> None:
        self.result.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()
        self.reported.set()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def in_browser(site: Path, lines: list[str], changes: dict[str, Any]) -> dict[str, Any]:
    """Returns what the page reports; exits where there is no browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("This check needs Chromium.")
    with tempfile.TemporaryDirectory() as scratch:
        copy = shutil.copytree(site, Path(scratch) / "site")
        (copy / "check.html").write_text(PAGE, "utf-8")
        (copy / "check.json").write_text(json.dumps({"lines": lines, "changes": changes}), "utf-8")
        reported, result = threading.Event(), dict[str, Any]()
        handler = type("Reporting", (Handler,), {"reported": reported, "result": result})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(copy)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/check.html"
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={scratch}/profile"]
        process = subprocess.Popen([browser, *options, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if not reported.wait(TIMEOUT):
                sys.exit(f"The page reported nothing in {TIMEOUT} s.")
        finally:
            process.kill()
            process.wait()
            server.shutdown()
    if "error" in result:
        sys.exit(f"The page failed: {result['error']}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("site", type=Path)
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--lines", type=int, default=200)
    parser.add_argument("--beam-size", type=int, default=5)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    import nmt

    torch.set_num_threads(1)
    lines = given.text.read_text("utf-8").splitlines()[: given.lines]
    sizes = {path: path.stat().st_size for path in given.site.rglob("*") if path.is_file()}
    runtime = sum(size for path, size in sizes.items() if path.parent.name == "runtime")
    found = in_browser(given.site, lines, {"beam_size": given.beam_size})
    translator = nmt.load(given.model_dir, "cpu")
    start = time.monotonic()
    own = {"beam_size": given.beam_size, "restore_case": False, "split_sentences": False}  # as Translator of the page
    expected = [each.text for each in translator.translate(lines, **own)]
    seconds = time.monotonic() - start
    print(f"{(sum(sizes.values()) - runtime) / 1e6:.1f} MB, and {runtime / 1e6:.1f} MB of its packages")
    print(f"loaded in {found['loaded']:.2f} s, first translation after {found['first']:.2f} s more")
    print(f"{len(lines) / found['seconds']:.1f} lines/s in the browser, {len(lines) / seconds:.1f} in nmt")
    different = [i for i, text in enumerate(expected) if text != found["texts"][i]]
    print(f"{len(lines) - len(different)} of {len(lines)} translations are equal")
    for i in different[:5]:
        print(f"  {lines[i]}\n    nmt     {expected[i]}\n    browser {found['texts'][i]}")
    config = json.loads((given.site / "config.json").read_text("utf-8"))
    sys.exit(bool(different) and config["quantization"] is None)


if __name__ == "__main__":
    main()
