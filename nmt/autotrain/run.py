"""``nmt train TEXT… --minutes M``: from text files to a model, its scores and its picture in a number of minutes."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nmt.autotrain.checks import check_languages, without_errors
from nmt.autotrain.choice import (
    CURVES,
    ERROR,
    MIN_UPDATES,
    WIDTHS,
    Choice,
    Encoded,
    Speed,
    TextProfile,
    dropout_for,
    learn_vocabulary,
    measure_speed,
    model_options,
    training_options,
)
from nmt.autotrain.held_out import hold_out, sizes_of
from nmt.autotrain.texts import Pairs, Texts, languages_of, read_texts
from nmt.core.console import print_table, say, warn
from nmt.core.errors import UserError
from nmt.core.files import explained
from nmt.core.model_directory import ModelDirectory
from nmt.core.output import open_output
from nmt.data.vocabulary.files import Vocabularies
from nmt.evaluation.scores import score_corpus
from nmt.plotting.curves import draw_runs
from nmt.plotting.history import read_history
from nmt.plotting.style import write_figure
from nmt.recipe.load import load_recipe, override
from nmt.recipe.schema import Recipe
from nmt.training.events import Sink
from nmt.training.run import train
from nmt.translation.languages import name_of
from nmt.translation.load import load

MINUTES = (5.0, 10.0, 20.0, 40.0, 80.0)
"""Durations that a plan shows."""
END_SHARE, END_SECONDS = 0.02, 6.0
"""Share of the minutes, and seconds beside, that are left for the last validation and the test."""
FEW_PAIRS = 3_000
NUM_RESAMPLES, NUM_SHOWN = 300, 5
UNTRAINED = 20.0
"""chrF below which a model doesn't translate."""
TUNING_RATE = 0.0005
"""Highest learning rate of fine-tuning."""


@dataclass(frozen=True)
class Request:
    """What a user asks for."""

    texts: Sequence[Path]
    minutes: float | None = None
    """None to train until validation says that more time brings nothing."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Recipe keys and their values, which take the place of those that are chosen."""
    keep_all: bool = False
    """Whether pairs that are no translations stay."""
    start: Path | None = None
    """A model directory to fine-tune."""

    @property
    def wanted(self) -> tuple[str, str] | None:
        """Names of the source and the target that the overrides have."""
        both = self.overrides.get("data.source"), self.overrides.get("data.target")
        return (str(both[0]), str(both[1])) if all(both) else None


def autotrain(request: Request, output: Path, on_event: Sink | None = None) -> Path:
    """Trains a model on a text, tests it on held-out text and draws its curve.

    Writes into ``output`` a model directory, ``text/`` (the text for training, validation and test, and the
    vocabulary), ``test.translated.LANGUAGE`` and ``curve.png``. All choices are in its ``recipe.yaml``, which trains
    the same weights again.

    Raises:
        UserError: the text can't be used, or ``output`` holds a run.
    """
    begun = time.monotonic()
    directory = ModelDirectory(output)
    if directory.recipe.exists() or (output / "text").exists():
        raise UserError(f"{output} holds a run already.", "Continue it by --resume, or choose another folder with -o.")
    texts = prepare(request)
    with explained(output):
        (output / "text").mkdir(parents=True)
    recipe, choice = choose(request, texts, output / "text")
    write_text(texts, output / "text")
    minutes = request.minutes
    if minutes is None:
        say(f"Training ends when validation says that more time brings nothing, after about "
            f"{choice.enough_minutes():.0f} minutes.")  # fmt: skip
    deadline = None if minutes is None else begun + 60 * minutes * (1 - END_SHARE) - END_SECONDS
    say(f"train again with the same result: nmt train {directory.recipe} -o ANOTHER_FOLDER")
    before = _scores(request.start, texts, output) if request.start else None
    train(recipe, output, on_event=on_event, deadline=deadline)
    report(output, texts, before)
    return output


def resume(output: Path, minutes: float | None = None, on_event: Sink | None = None) -> Path:
    """Continues a run of :func:`autotrain`; with more minutes from where its learning rate was still high.

    Raises:
        UserError: there is no such run.
    """
    directory = ModelDirectory(output)
    if not directory.recipe.exists() or not (output / "text").is_dir():
        raise UserError(f"{output} holds no run that can be resumed.", "Leave out --resume.")
    recipe = load_recipe(directory.recipe)
    if minutes is not None:
        schedule = dict(recipe.training.schedule) | {"lengths": {}}
        changes = {"max_minutes": minutes, "max_steps": None, "schedule": schedule}
        recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update=changes)})
    texts = Texts(languages=(recipe.data.source, recipe.data.target))
    for split in ("valid", "test"):
        files = (output / "text" / f"{split}.{language}" for language in (recipe.data.source, recipe.data.target))
        sides = [path.read_text("utf-8").splitlines() if path.exists() else [] for path in files]
        setattr(texts, split, list(zip(*sides, strict=True)))
    train(recipe, output, resume=True, on_event=on_event)
    report(output, texts)
    return output


def prepare(request: Request) -> Texts:
    """Reads the text, drops pairs that are no translations, and holds some out; says what it did."""
    texts = read_texts(request.texts, request.wanted)
    if not texts.train:
        raise UserError(f"{texts.names[0]} has no text.", "Check the file.")
    languages = check_languages(texts)
    texts.languages = request.wanted or languages
    num_pairs = len(texts.train)
    names = " to ".join(map(name_of, texts.languages))
    say(f"read {num_pairs:,} pairs of sentences, {names}")
    if not request.keep_all:
        texts.train, dropped = without_errors(texts.train)
        if dropped:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in dropped.most_common())
            say(f"dropped {dropped.total():,} pairs that can't be translations: {reasons} (--keep-all keeps them)")
        if not texts.train:
            raise UserError("No pair of sentences is left.", "Check that the files are translations of each other.")
    sizes = sizes_of(len(texts.train))
    num_valid, num_test = (0 if own else size for own, size in zip((texts.valid, texts.test), sizes, strict=True))
    texts.train, valid, test = hold_out(texts.train, num_valid, num_test, seed=1)
    texts.valid, texts.test = texts.valid or valid, texts.test or test
    if valid or test:
        say(f"held out {len(valid):,} pairs for validation and {len(test):,} for the test, none of them like a pair "
            "for training")  # fmt: skip
    if not texts.valid:
        texts.valid = texts.train[: sizes_of(10**9)[0]]
        warn("there are too few pairs to hold some out, so that the scores are those of text that the model has seen.")
    if len(texts.train) < FEW_PAIRS:
        warn(f"{len(texts.train):,} pairs are few: expect a model that knows these sentences and hardly others. "
             "Add text of any kind in these languages, or start from a trained model with --from.")  # fmt: skip
    return texts


def choose(request: Request, texts: Texts, folder: Path) -> tuple[Recipe, Choice]:
    """Chooses everything else for a prepared text; says what and why.

    Args:
        folder: of the text, where the vocabulary is written.
    """
    assert texts.languages is not None
    vocabularies, vocabulary = _vocabulary(request, texts)
    vocabularies.save(folder)
    profile = TextProfile.read(texts.train)
    encoded = Encoded.read(texts.train, vocabularies)
    say(f"vocabulary: {len(vocabularies.source):,} pieces ({vocabulary.type}); {encoded.num_tokens:,} target tokens, "
        f"{profile.familiar:.0%} of the groups of three words occur in other sentences")  # fmt: skip
    values: dict[str, Any] = {
        "description": f"{'-'.join(texts.languages)}, chosen for {len(texts.train):,} pairs",
        "data": {"root": str(folder.absolute()), "source": texts.languages[0], "target": texts.languages[1],
                 "valid": "valid"},
        "vocabulary": vocabulary.model_dump(mode="json") | {"path": str(folder.absolute())},
        "decoding": {"length_penalty": "word_reward", "alpha": 0.7},
    }  # fmt: skip
    widths = [load_recipe(request.start / "recipe.yaml").model.embedding_size] if request.start else WIDTHS

    def with_width(width: int, num_updates: int) -> dict[str, Any]:
        own = dict(values)
        own["model"] = model_options(width, dropout_for(num_updates, encoded.num_tokens))
        own["training"] = training_options(width, num_updates) | {"max_minutes": request.minutes or 60.0}
        if request.minutes is None:
            own["training"] |= {"max_minutes": None, "patience": 8, "schedule": {"type": "plateau", "patience": 2,
                                "warmup_steps": own["training"]["schedule"]["warmup_steps"]}}  # fmt: skip
        if request.start:
            _fine_tune(own, request.start)
        for key, value in request.overrides.items():
            override(own, key, value)
        return own

    speeds: list[Speed] = []
    for width in widths:
        if not speeds or speeds[-1].num_updates(60 * (request.minutes or MINUTES[-1])) >= 2 * MIN_UPDATES:
            speeds.append(measure_speed(with_width(width, 1000), encoded.pairs))
    choice = Choice(profile, speeds)
    minutes = request.minutes or choice.enough_minutes()
    speed = choice.best(minutes)
    num_updates = speed.num_updates(60 * minutes)
    say(f"model: Transformer of width {speed.width}, {60 / speed.update:,.0f} updates a minute")
    if not request.start:
        chrf = choice.chrf(speed, minutes)
        say(f"expected after {minutes:g} minutes: chrF {chrf:.0f} on such text, in nine of ten cases between "
            f"{max(0, chrf - ERROR):.0f} and {min(100, chrf + ERROR):.0f}")  # fmt: skip
    return Recipe.model_validate(with_width(speed.width, num_updates)), choice


def _vocabulary(request: Request, texts: Texts) -> tuple[Vocabularies, Any]:
    if request.start:
        return Vocabularies.load(request.start), load_recipe(request.start / "recipe.yaml").vocabulary
    return learn_vocabulary(texts.train, request.overrides.get("vocabulary.size"))


def _fine_tune(values: dict[str, Any], start: Path) -> None:
    """Changes a recipe to fine-tune a model: its network and decoding, and a low learning rate."""
    trained = load_recipe(start / "recipe.yaml").model_dump(mode="json")
    values |= {key: trained[key] for key in ("model", "decoding")}
    values["vocabulary"] = trained["vocabulary"] | {"path": None}
    values["training"] |= {"finetune_from": str(start), "learning_rate": TUNING_RATE, "optimizer": "adam"}


def write_text(texts: Texts, folder: Path) -> None:
    """Writes the text of each split as two files."""
    assert texts.languages is not None
    for split in ("train", "valid", "test"):
        for side, language in enumerate(texts.languages):
            with open_output(folder / f"{split}.{language}") as file:
                file.writelines(f"{pair[side]}\n" for pair in getattr(texts, split))


def _scores(model: Path, texts: Texts, output: Path | None = None) -> tuple[list[str], dict[str, Any]]:
    """Translates the test set, or the validation set without one; returns translations and scores."""
    pairs: Pairs = texts.test or texts.valid
    translations = [t.text for t in load(model).translate([source for source, _ in pairs])]
    resamples = NUM_RESAMPLES if len(pairs) > 1 else 0
    return translations, score_corpus(translations, [[target for _, target in pairs]], num_resamples=resamples)


def report(output: Path, texts: Texts, before: tuple[list[str], dict[str, Any]] | None = None) -> None:
    """Scores a model on held-out text, and shows translations, its curve and the next commands."""
    assert texts.languages is not None
    pairs = texts.test or texts.valid
    translations, scores = _scores(output, texts)
    with open_output(output / f"test.translated.{texts.languages[1]}") as file:
        file.writelines(f"{text}\n" for text in translations)
    for at in range(0, len(pairs), max(1, len(pairs) // NUM_SHOWN))[:NUM_SHOWN]:
        say(f"\nsource:      {pairs[at][0]}\ntranslation: {translations[at]}\nreference:   {pairs[at][1]}")
    rows = []
    for name, score in scores.items():
        spread = f" ± {score.confidence['half_width']:.1f}" if score.confidence else ""
        earlier = [f"{before[1][name].score:.1f}"] if before else []
        rows.append([score.name, *earlier, f"{score.score:.1f}{spread}"])
    which = "held-out" if texts.test else "validation"
    if scores["chrf"].score < UNTRAINED:
        warn("this model has hardly learned to translate. Give it more minutes: nmt train --resume --minutes M "
             f"-o {output}, or more text.")  # fmt: skip
    print_table(f"{len(pairs):,} {which} sentences", ["metric", *(["before"] if before else []), "score"], rows)
    history = read_history(output)
    write_figure(draw_runs({output.name: history}, "minutes", "chrf"), output / "curve.png")
    source, target = texts.languages
    say(f"""
The curve of training is {output / "curve.png"}. Next:
  nmt translate {output} -i FILE.{source} -o FILE.{target}
  nmt align {output} {output / "text" / f"valid.{source}"} --limit 3 -o alignment.png
  nmt serve {output}""")


def planned(request: Request) -> tuple[Recipe, Choice]:
    """Chooses for a text as :func:`autotrain` does, and trains nothing; the recipe reads the files that were given."""
    with TemporaryDirectory(prefix="nmt-plan-") as scratch:
        return choose(request, prepare(request), Path(scratch))


def plan_rows(choice: Choice, minutes: Sequence[float]) -> list[list[str]]:
    """Returns the rows of a plan: width, updates a minute, and the chrF to expect by optimizer and minutes."""
    return [
        [str(speed.width), f"{60 / speed.update:,.0f}", optimizer,
         *(f"{choice.chrf(speed, m, optimizer):.0f}" for m in minutes)]
        for speed in choice.speeds
        for optimizer in CURVES
    ]  # fmt: skip


def plan_figures(choice: Choice, minutes: Sequence[float]) -> dict[str, Any]:
    """Returns all figures of a plan, for JSON."""
    widths = [
        {"width": speed.width, "update": speed.update, "optimizer": optimizer,
         "runs": [{"minutes": m, "chrf": choice.chrf(speed, m, optimizer)} for m in minutes]}
        for speed in choice.speeds
        for optimizer in CURVES
    ]  # fmt: skip
    return {"text": asdict(choice.profile), "chrf_error": ERROR, "widths": widths}


def default_output(request: Request) -> Path:
    """Returns the model directory of a text where none is named: runs/SOURCE-TARGET, or by the name of the file."""
    texts = request.texts
    if not texts:
        raise UserError("There is no text and no recipe.", "Name two files, the source first, or a recipe.")
    languages = request.wanted or (languages_of(*texts[:2]) if len(texts) > 1 else None)
    return Path("runs", "-".join(languages) if languages else texts[0].name.partition(".")[0])
