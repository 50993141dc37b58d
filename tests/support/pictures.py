"""What stands in pictures that were written."""

import xml.etree.ElementTree
from pathlib import Path


def svg_texts(path: Path) -> list[str]:
    root = xml.etree.ElementTree.parse(path).getroot()
    return ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
