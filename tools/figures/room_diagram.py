"""The folders of the package and their imports, read from the code."""

import ast
from functools import cache
from pathlib import Path

from diagram import BLUE, GREEN, HEIGHT, ORANGE, Diagram

PACKAGE = Path(__file__).resolve().parents[2] / "nmt"
KERNEL = {"core", "recipe", "data", "metrics", "models", "decoding", "tasks", "training"}
ROW, PAGE = 62, 720


def imports_between_rooms(package: Path = PACKAGE) -> dict[str, set[str]]:
    """Maps each folder of the package to the other folders that its modules import from."""
    rooms = {path.name for path in package.iterdir() if (path / "__init__.py").exists()}
    found: dict[str, set[str]] = {room: set() for room in sorted(rooms)}
    for path in package.rglob("*/*.py"):
        room = path.relative_to(package).parts[0]
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{name}" for name in names]
            imported = {name.split(".")[1] for name in names if name.startswith("nmt.")}
            found[room] |= (imported & rooms) - {room}
    return found


def rooms() -> Diagram:
    """Draws each folder above those that it imports, with the arrows that no other arrows imply."""
    imported = imports_between_rooms()

    @cache
    def below(room: str) -> frozenset[str]:
        return frozenset(imported[room]).union(*map(below, imported[room]))

    @cache
    def depth(room: str) -> int:
        return 1 + max(map(depth, imported[room]), default=-1)

    @cache
    def level(room: str) -> int:
        """Rooms of the kernel stand as low, the others as high as they can."""
        users = [user for user in imported if room in imported[user]]
        return depth(room) if room in KERNEL or not users else min(map(level, users)) - 1

    top = max(map(level, imported))
    d = Diagram(PAGE, (top + 1) * ROW)
    places: dict[str, tuple[float, float]] = {}
    for number in range(top + 1):
        row = [room for room in imported if level(room) == number]
        row.sort(key=lambda room: (room not in KERNEL, sum(places[o][0] for o in sorted(imported[room])) / PAGE, room))
        for index, room in enumerate(row):
            places[room] = PAGE * (index + 0.5) / len(row), (top - number + 0.5) * ROW
    for room, (x, y) in places.items():
        for other in sorted(imported[room]):
            if not any(other in below(between) for between in imported[room]):
                d.arrow((x, y), (places[other][0], places[other][1] - HEIGHT / 2 - 3))
    for room, (x, y) in places.items():
        d.box(x, y, room, BLUE if room in KERNEL else GREEN if room == "cli" else ORANGE, 116)
    return d
