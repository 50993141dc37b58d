"""The check finds known damage."""

from collections.abc import Callable
from types import ModuleType

PAIRS = [
    ("Der Hund hat 4 Beine und schläft heute.", "The dog has 4 legs and sleeps today."),
    ("Hallo {name}, siehe https://a.b/c heute.", "Hello {name}, see https://a.b/c today."),
]


def test_damage_is_found(load_tool: Callable[[str], ModuleType]) -> None:
    alarms, found = load_tool("experiments/check_quality").measure(PAIRS)
    assert alarms == 0
    assert found.pop("script")[0] >= 0.5  # a letter of an address belongs to the address
    assert found == {"digit": (1, 1), "placeholder": (1, 1), "loop": (1, 2), "copy": (1, 2)}
