"""Flat OpenDocument files, and their conversion by LibreOffice."""

import subprocess
from pathlib import Path

FILE = """<?xml version="1.0"?><office:document {spaces} xmlns:xlink="http://www.w3.org/1999/xlink" office:version="1.3"
office:mimetype="application/vnd.oasis.opendocument.{kind}"><office:automatic-styles><style:page-layout style:name="L">
<style:header-style/></style:page-layout><style:style style:name="B" style:family="text"><style:text-properties
fo:font-weight="bold"/></style:style></office:automatic-styles><office:master-styles><style:master-page
style:name="Standard" style:page-layout-name="L">{header}</style:master-page></office:master-styles><office:body>
<office:{kind}>{body}</office:{kind}></office:body></office:document>"""
NAMES = {name: name for name in ("office", "text", "table", "style", "presentation")} | {
    "draw": "drawing", "svg": "svg-compatible", "fo": "xsl-fo-compatible",
}  # fmt: skip
SPACES = 'xmlns:of="urn:oasis:names:tc:opendocument:xmlns:of:1.2" ' + " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{long}:1.0"' for name, long in NAMES.items()
)


def office(path: Path, ending: str, profile: Path) -> Path:
    """Has LibreOffice write a file in another format."""
    command = ["soffice", f"-env:UserInstallation=file://{profile}", "--headless", "--convert-to", ending]
    subprocess.run([*command, "--outdir", path.parent, path], check=True, capture_output=True, timeout=240)
    return path.with_suffix(f".{ending}")
