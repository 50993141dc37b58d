"""The page of a sentence: its numbers against those of translation, and how it behaves in a real browser."""

import base64
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixture_types import RunNmt
from refusals import refused

import nmt
from nmt.core.errors import UserError
from nmt.decoding.ranking import LENGTH_PENALTIES, length_normalised
from nmt.extensions import lecture
from nmt.extensions.lecture.attribution import attribution_shares
from nmt.extensions.lecture.sentence import SentenceViewer
from nmt.extensions.lecture.sentence_page import read_gold, render_page
from nmt.recipe.schema import DecodingOptions
from tests.extensions.lecture.test_film import data_of
from tests.extensions.windows import SCHEMES_AND_WIDTHS, check_accessible, open_details, show_in, silent_window

LINE = "Heute sieht die Katze den Mond."
SECOND = "Der Hund schläft im Garten."
GOLD = "Today the cat sees the moon.", {(0, 4), (2, 1), (3, 2), (1, 3)}


@pytest.fixture(scope="module")
def viewer(tiny_model: Path) -> SentenceViewer:
    return SentenceViewer(nmt.load(tiny_model, "cpu"), "tiny", beam_size=3, num_alternatives=2, num_interventions=500)


@pytest.fixture(scope="module")
def view(viewer: SentenceViewer) -> Any:
    return viewer.view(1, LINE, GOLD)


@pytest.fixture(scope="module")
def page(viewer: SentenceViewer, vanilla_model: Path) -> str:
    other = SentenceViewer(nmt.load(vanilla_model, "cpu"), "va<nilla", beam_size=2, num_alternatives=1)
    return render_page("Two <models>", [viewer, other], [(1, LINE), (2, SECOND)], [GOLD])


def test_the_translations_are_those_of_the_translator(viewer: SentenceViewer, view: Any) -> None:
    for name, beam_size in (("best", 3), ("greedy", 1)):
        expected = viewer.translator(LINE, beam_size=beam_size)
        assert view[name]["text"] == expected.text
        assert view[name]["score"] == pytest.approx(expected.score, abs=1e-4)
        assert sum(map(np.log, view[name]["p"])) == pytest.approx(view[name]["log_p"], abs=1e-4)
    beam = view["beam"]
    assert beam["nodes"][beam["best"]][-1] == view["best"]["text"]
    path = [beam["nodes"][node] for node in beam["greedy"]]
    assert [node[2] for node in path] == view["greedy"]["tokens"][: len(path)]
    assert all(beam["nodes"][node[0]] == before for before, node in pairwise(path))


def test_the_attention_is_that_of_forced_decoding(viewer: SentenceViewer, view: Any) -> None:
    shape = len(view["best"]["tokens"]), len(view["source"])
    heads = [head for head in view["attention"] if "is_attribution" not in head]
    weights = [np.frombuffer(base64.b64decode(head["weights"]), np.uint8).reshape(shape) for head in heads]
    for weights_TS in weights:
        np.testing.assert_allclose(weights_TS.sum(axis=1) / 255, 1, atol=0.02)
    [alignment] = viewer.translator.align([(LINE, view["best"]["text"])])
    assert weights[0][0].argmax() == alignment.weights[0].argmax()  # the first words have one token each


def test_attributions_stand_beside_attention(viewer: SentenceViewer, view: Any) -> None:
    translator, best = viewer.translator, view["best"]
    names = [head["name"] for head in view["attention"]]
    assert names[-3:] == ["input × gradient", "value zeroing", "leave one out"]
    found_TS = np.frombuffer(base64.b64decode(view["attention"][-1]["weights"]), np.uint8)
    sides = translator.encode_source(LINE), translator.encode_target(best["text"])
    expected_TS = attribution_shares(translator.model, translator.vocabularies, *sides, "leave_one_out")
    np.testing.assert_allclose(found_TS.reshape(expected_TS.shape) / 255, expected_TS, atol=0.01)


def test_an_intervention_that_changes_nothing_changes_no_number(viewer: SentenceViewer) -> None:
    """Every prefix of the translation, from none to all of it with EOS, leads to the same translation."""
    source = viewer.translator.encode_source(LINE)
    [[best, *_]] = viewer.search(source, [()], viewer.options)
    whole = [*best.ids, viewer.translator.vocabularies.target.eos]
    for found in viewer.search(source, [whole[:length] for length in range(len(whole) + 1)], viewer.options):
        assert found[0].ids == best.ids
        assert found[0].log_probability == pytest.approx(best.log_probability, abs=1e-5)
        assert found[0].score == pytest.approx(best.score, abs=1e-5)


def test_alternatives_are_the_most_probable_other_tokens_and_what_follows_them(
    viewer: SentenceViewer, view: Any
) -> None:
    translator, best = viewer.translator, view["best"]
    source = translator.encode_source(LINE)
    [[hypothesis, *_]] = viewer.search(source, [()], viewer.options)
    log_p_TV = viewer.force(source, hypothesis.ids).log_probability_TV
    assert len(view["alternatives"]) == len(best["tokens"])
    target = translator.vocabularies.target
    for t, others in enumerate(view["alternatives"]):
        excluded = {best["tokens"][t], target.token(target.pad), target.token(target.sos)}
        ranked = [target.token(i) for i in log_p_TV[t].argsort(descending=True).tolist()]
        assert [other["tokens"][0] for other in others] == [token for token in ranked if token not in excluded][:2]
        for other in others:
            assert np.prod(best["p"][:t]) * np.prod(other["p"]) == pytest.approx(np.exp(other["log_p"]), rel=1e-3)


def test_a_step_that_attends_to_one_word_leaves_the_tokens_before_it(viewer: SentenceViewer, view: Any) -> None:
    best, found = view["best"], view["interventions"]
    assert len(found["steps"]) == len(best["tokens"])
    for t, of_step in enumerate(found["steps"]):
        assert [place for place, *_ in of_step] == list(range(-1, len(view["source"])))
        for _, own, token, p, text, log_p in of_step:
            assert p >= own - 1e-6
            assert (token == best["tokens"][t]) == (p == pytest.approx(own, abs=1e-6))
            assert found["texts"][text]["tokens"][:t] == best["tokens"][:t]
            assert log_p <= sum(map(np.log, best["p"][:t])) + 1e-4
    # All attention on a word that has nearly all of it changes nearly nothing.
    source = viewer.translator.encode_source(LINE)
    [[hypothesis, *_]] = viewer.search(source, [()], viewer.options)
    weights_HTS = viewer.force(source, hypothesis.ids).weights_HTS
    t, s = divmod(int(weights_HTS[0].argmax()), weights_HTS.shape[2])
    assert found["steps"][t][s + 1][1] == pytest.approx(best["p"][t], abs=1.5 * (1 - float(weights_HTS[0, t, s])))


def test_interventions_in_all_steps_have_the_translation_before_and_after(viewer: SentenceViewer, view: Any) -> None:
    off, uniform = view["interventions"]["whole"]
    for each in (off, uniform):
        assert len(each["own"]) == len(view["best"]["tokens"])
        assert sum(map(np.log, each["p"])) == pytest.approx(each["log_p"], abs=1e-4)
        assert each["own"] != pytest.approx(view["best"]["p"], abs=1e-3)
    assert viewer.describe()["heads"] == ["attention"]
    few = SentenceViewer(viewer.translator, "few", beam_size=3, num_alternatives=0, num_interventions=20)
    assert {len(of_step) for of_step in few.view(1, LINE)["interventions"]["steps"]} == {2}


def test_the_attention_of_the_links_of_a_reference(viewer: SentenceViewer, view: Any) -> None:
    gold = view["gold"]
    source, target = viewer.translator.encode_source(LINE), viewer.translator.encode_target(GOLD[0])
    log_p_TV = viewer.force(source, target).log_probability_TV
    expected = [float(log_p_TV[t, token].exp()) for t, token in enumerate([*target, 3])]
    assert gold["before"] == pytest.approx(expected, abs=1e-5)
    assert len(gold["after"]) == len(gold["tokens"]) == len(target) + 1
    assert gold["after"] != pytest.approx(gold["before"], abs=1e-3)


def test_a_model_without_attention_has_no_interventions_and_alternatives_can_be_left_out(vanilla_model: Path) -> None:
    viewer = SentenceViewer(nmt.load(vanilla_model, "cpu"), "vanilla", num_alternatives=0, num_interventions=10)
    view = viewer.view(1, LINE, GOLD)
    assert [view[name] for name in ("alternatives", "interventions", "gold")] == [None] * 3


def test_gold_files_need_a_line_for_each_sentence(tmp_path: Path) -> None:
    for name, text in (("reference", "the cat\n\n"), ("links", "0-0 1?1\n\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    files = tmp_path / "reference", tmp_path / "links"
    assert read_gold(*files, [0, 1]) == [("the cat", {(0, 0)}), ("", set())]
    assert read_gold(*files, [1]) == [("", set())], "of a source whose first line is blank"
    with pytest.raises(UserError, match="reference has 2 lines, not 3"):
        read_gold(*files, [0, 2])


def test_what_a_page_can_not_show_is_refused(viewer: SentenceViewer, language_model: Path) -> None:
    with pytest.raises(UserError, match="line 1 has 0 pieces for tiny; a page shows 1 to 100"):
        viewer.view(1, " ")
    with pytest.raises(UserError, match="no sentence to show"):
        render_page("Nothing", [viewer], [])
    with pytest.raises(UserError, match="reads no source"):
        SentenceViewer(nmt.load(language_model, "cpu"), "lm")


def test_blank_lines_count_in_messages(run_nmt: RunNmt, tiny_model: Path, tmp_path: Path) -> None:
    done = run_nmt("inspect", "sentence", tiny_model, "-o", tmp_path / "page.html", stdin="\n\n" + "Hund " * 140)
    refused(done, "line 3 has 140 pieces")
    (tmp_path / "text").write_text("Hund\n", "utf-8")
    done = run_nmt("inspect", "sentence", tiny_model, "-i", tmp_path / "text", "-o", tmp_path / "text")
    refused(done, "it is an input, which would be lost")


def test_the_page_is_one_file_whose_text_is_never_markup(page: str) -> None:
    assert "Two &lt;models&gt;" in page
    assert "va<nilla" not in page
    data = data_of(page)
    assert [model["name"] for model in data["models"]] == ["tiny", "va<nilla"]
    names = [[matrix["name"] for matrix in view["attention"]] for view in data["sentences"][0]["views"]]
    assert "attention" in names[0]
    assert names[1] == ["input × gradient", "leave one out"]


@pytest.fixture
def opened(browser: Any, page: str, tmp_path: Path) -> Iterator[Any]:
    """The page in a narrow window; its console must stay silent."""
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    with silent_window(browser, (tmp_path / "page.html").as_uri(), 320) as window:
        yield window


def num_boxes(window: Any) -> int:
    return int(window.locator("#tree rect").count())


@pytest.mark.slow
def test_the_tree_is_stepped_by_keys_and_buttons(opened: Any, view: Any) -> None:
    everything = len(view["beam"]["nodes"]) + 1
    assert num_boxes(opened) == everything
    opened.keyboard.press("Home")
    assert num_boxes(opened) == 1
    opened.keyboard.press("ArrowRight")
    assert (num_boxes(opened), opened.locator("#tree g.open").count()) == (7, 6)
    opened.click("#forward")
    assert opened.locator("#tree g.open").count() == 0
    assert opened.text_content("#status").startswith("Step 1 of")
    opened.keyboard.press("ArrowLeft")
    opened.click("#back")
    assert num_boxes(opened) == 1
    opened.click("#last")
    assert num_boxes(opened) == everything


def test_the_page_has_each_length_penalty() -> None:
    script = Path(lecture.__file__).with_name("templates").joinpath("sentence.js").read_text("utf-8")
    [table] = re.findall(r"const LENGTH_PENALTIES = \{\n(.*?)^  \};", script, re.MULTILINE | re.DOTALL)
    assert re.findall(r"^    (\w+): ", table, re.MULTILINE) == list(LENGTH_PENALTIES.builtin)


@pytest.mark.slow
def test_another_length_penalty_ranks_the_finished_hypotheses_at_once(opened: Any, view: Any) -> None:
    def translations() -> list[str]:
        return [
            text.removesuffix(" (the model’s choice)")
            for text in opened.locator("#finished td:nth-child(2)").all_text_contents()
        ]

    finished = [node for node in view["beam"]["nodes"] if node[4] == "finished"]
    assert translations() == [node[6] for node in sorted(finished, key=lambda node: -node[5])]
    opened.select_option("#penalty", "word_reward")
    opened.fill("#alpha", "2")
    by_reward = sorted(finished, key=lambda node: -(node[3] + 2 * (node[1] + 1)))
    assert translations() == [node[6] for node in by_reward]
    assert float(opened.text_content("#finished .first td:last-child").replace("−", "-")) == pytest.approx(
        by_reward[0][3] + 2 * (by_reward[0][1] + 1), abs=2e-3
    )
    for name in LENGTH_PENALTIES.builtin:
        opened.select_option("#penalty", name)
        if name != "none":
            opened.fill("#alpha", "1.5")
        options = DecodingOptions(length_penalty=name, alpha=1.5)
        scores = [length_normalised(options, torch.tensor(node[3]), node[1] + 1).item() for node in finished]
        shown = opened.text_content("#finished .first td:last-child").replace("−", "-")
        assert float(shown) == pytest.approx(max(scores), abs=2e-3)
    opened.click("#own")
    assert translations()[0] == view["best"]["text"]


@pytest.mark.slow
def test_a_token_shows_its_attention_and_its_alternatives(opened: Any, view: Any) -> None:
    opened.press("#target .word >> nth=0", "ArrowRight")
    assert opened.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    texts = opened.locator("#alternatives li p:nth-child(2)").all_text_contents()
    assert texts == [view["best"]["text"], *(other["text"] for other in view["alternatives"][1])]
    shares = opened.eval_on_selector_all(
        "#source .word", "w => w.map(x => Number(x.style.getPropertyValue('--share')))"
    )
    assert sum(shares) == pytest.approx(1, abs=0.02)
    opened.select_option("#model", label="va<nilla")
    assert "no attention" in opened.text_content("#matrices")
    opened.keyboard.press("Tab")
    opened.keyboard.press("]")
    assert opened.input_value("#sentence") == "1"


@pytest.mark.slow
def test_every_number_of_a_step_is_shown(opened: Any, view: Any) -> None:
    numbers = view["numbers"]
    opened.press("#target .word >> nth=0", "ArrowRight")
    opened.click("#numbers-title")
    weights = opened.locator("#numbers tr td.result:nth-last-child(1)").all_text_contents()
    assert [float(text) for text in weights[: len(view["source"])]] == pytest.approx(
        numbers["values"]["weights"][1], abs=1e-3
    )
    assert numbers["equation"].replace("_", "") in opened.text_content("#equation")
    opened.click("#numbers a >> text=weight")
    place = opened.text_content(opened.evaluate("location.hash"))
    assert place == f"{numbers['sources'][1]['file']}, line {numbers['sources'][1]['line']}"
    assert "softmax" in opened.text_content(f"{opened.evaluate('location.hash')} + pre")
    opened.select_option("#model", label="va<nilla")
    assert not opened.is_visible("#numbers-details")


@pytest.mark.slow
def test_every_number_of_the_cell_is_shown(opened: Any, view: Any) -> None:
    opened.press("#target .word >> nth=0", "ArrowRight")
    opened.click("#cell-title")
    assert opened.locator("#cell tbody th").all_text_contents() == ["ht−1", "Ct−1", "i", "f", "o", "C̃", "ht", "Ct"]
    shown = opened.locator("#cell tbody tr:nth-child(4) td").all_text_contents()
    values = view["cell"]["values"]["f"][1]
    assert [float(text.replace("−", "-")) for text in shown] == pytest.approx(values, abs=6e-3)
    opened.click("#cell a >> text=f")
    assert "sigmoid" in opened.text_content(f"{opened.evaluate('location.hash')} + pre")
    opened.select_option("#model", label="va<nilla")
    assert opened.locator("#cell tbody tr").count() == 5


@pytest.mark.slow
def test_attention_to_a_word_and_missing_heads_are_shown(opened: Any, view: Any) -> None:
    best, found = view["best"], view["interventions"]
    opened.press("#target .word >> nth=0", "ArrowRight")
    opened.press("#source .word >> nth=0", "ArrowRight")
    assert f"“{best['tokens'][1].strip('▁')}”" in opened.text_content("#attended h3")
    *_, text, log_p = found["steps"][1][2]
    assert f"{log_p:.2f}".replace("-", "−") in opened.text_content("#attended")
    if found["texts"][text]["text"] != best["text"]:
        assert found["texts"][text]["text"] in opened.text_content("#attended")
    opened.keyboard.press("Enter")
    assert opened.text_content("#attended") == ""
    opened.click("#uniform")
    assert "equally" in opened.text_content("#attended")
    opened.select_option("#group", "uniform")
    assert opened.locator("#changes tbody tr").count() == 1
    assert opened.text_content("#changes tbody th") == "uniform attention"
    assert opened.is_visible("#gold-section")
    opened.select_option("#model", label="va<nilla")
    assert [opened.is_visible(name) for name in ("#changes-section", "#gold-section", "#uniform")] == [False] * 3
    assert opened.locator("#source button").count() == 0


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), SCHEMES_AND_WIDTHS)
def test_everything_that_can_be_opened_is_accessible(opened: Any, scheme: str, width: int) -> None:
    show_in(opened, scheme, width)
    opened.click("#target .word >> nth=2")
    opened.click("#source .word >> nth=1")
    open_details(opened)
    check_accessible(opened)
    assert opened.locator("#numbers tbody tr").count() > 0
    show_in(opened, scheme, 320)
