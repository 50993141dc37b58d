"""``nmt align`` reports text that the model doesn't know, and pairs without text."""

from pathlib import Path

from fixture_types import RunNmt


def test_text_that_the_model_does_not_know_is_reported(run_nmt: RunNmt, tiny_model: Path, tmp_path: Path) -> None:
    pair, source, target = (tmp_path / "a.de", tmp_path / "a.en"), "Der Hund schläft im Garten.", "The dog sleeps."
    pair[0].write_text(f"{source} 🐕\nСобака спит в саду.\n{source}\n{source}\n\n", encoding="utf-8")
    pair[1].write_text(f"{target}\n{target}\n狗在花园里睡觉。\n\n\n", encoding="utf-8")
    done = run_nmt("align", tiny_model, *pair)
    message = " ".join(done.stderr.split())
    assert "In 1 of 5 pairs (the first is line 4) one side is empty, so nothing is linked" in message
    assert "In 2 of 5 pairs (the first is line 2) the model doesn't know half of the text of a side" in message
    # The emoji, the Russian letters, whose full stop is known, and the Chinese sentence are unknown.
    known, unknown = len((source + target * 2 + source * 2).replace(" ", "")) + 1, 1 + 15 + 8
    assert f"{unknown / (known + unknown):.0%} of the characters are in unknown pieces" in message
    assert done.stdout.count("\n") == 5
