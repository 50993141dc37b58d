"""A text that is ready to be trained on, and what is chosen for it and for the minutes that there are."""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nmt.autotrain.choice import Encoded, Model, learn_vocabulary, measure_speed, model_options, training_options
from nmt.autotrain.held_out import SIZES, hold_out, key_of, near_copies, sizes_of
from nmt.autotrain.texts import TABLES, Pairs, Texts, languages_of, line_pairs, read_texts
from nmt.core.compression import uncompressed
from nmt.core.console import progress_bar, say, warn
from nmt.core.errors import UserError
from nmt.core.files import explained
from nmt.core.model_directory import ModelDirectory
from nmt.core.output import write_output
from nmt.data.vocabulary.files import Vocabularies
from nmt.recipe.load import load_recipe, override, shipped_recipes
from nmt.recipe.options import validate
from nmt.recipe.registry import hooks
from nmt.recipe.schema import Recipe, VocabularyOptions
from nmt.tasks import task_of
from nmt.training.data import Data, prepare_data
from nmt.training.resolve import resolve
from nmt.training.run import with_training
from nmt.translation.languages import name_of

LARGEST = Model("transformer", 256, 12_000, 0.9)
RECURRENT = Model("recurrent", 128), Model("recurrent", 256, 2_000, 2.6), LARGEST
TRANSFORMERS = Model("transformer", 64, worth=0.3), Model("transformer", 128, 1_600, 0.5), LARGEST
"""The models that are chosen from, smallest first, and those in their place where a Transformer is wanted."""
LONG_MINUTES = 80.0
"""Minutes for which a width is chosen where none are given."""
ENOUGH_EPOCHS = 30
"""Epochs after which more bring little."""
END_SHARE, END_SECONDS = 0.02, 6.0
"""Share of the minutes, and seconds beside (fewer for a run of less than two minutes), that are left for the last
validation and the test."""
FEW_PAIRS, FEW_UPDATES, MAX_BYTES = 3_000, 50, 4_192
"""Pairs and updates below which a warning is given, and the longest line by which sentencepiece learns pieces."""
TUNING_RATE, MAX_UNKNOWN = 0.0005, 0.01
"""Highest learning rate of fine-tuning, and share of pieces that the vocabulary doesn't know above which it warns."""
_OWN = "root", "hub", "task", "text", "train", "valid", "hold_out", "corpora", "history_turns"
OWN_KEYS = "data", *(f"data.{key}" for key in _OWN), "training", "training.max_minutes", "training.finetune_from"
"""Recipe keys of the time, and of text and its division, which must be known so that nothing held out is trained on."""
TAG, WEIGHT = "<bt>", 2.0
"""The token before synthetic sources (Caswell et al. 2019), and the most synthetic tokens for each of the others."""


@dataclass(frozen=True)
class Request:
    """What a user asks for."""

    texts: Sequence[Path]
    minutes: float | None = None
    """None to train until validation says that more time brings nothing."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Recipe keys and their values, which take the place of those that are chosen."""
    keep_all: bool = False
    """Whether lines stay as they are: none is dropped, and their sentences are no further pairs."""
    start: Path | None = None
    """A model directory to fine-tune."""
    begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise UserError(f"minutes is {self.minutes:g}.", "Give a positive number, or none.")
        first = self.texts[0] if self.texts else Path()
        if first.suffix in (".yaml", ".yml") or (not first.exists() and first.as_posix() in shipped_recipes()):
            remedy = "Name its folder by -o, and minutes by --set training.max_minutes=M."
            raise UserError(f"{first} is a recipe, which is trained without text beside it.", remedy)
        if others := [key for key in self.overrides if ".".join(key.split(".")[:2]) in OWN_KEYS]:
            remedy = "Leave it out, or name a recipe, not text; time and start are given by --minutes and --from."
            raise UserError(f"{others[0]} is chosen by the command.", remedy)

    def check_folder(self, folder: Path) -> None:
        """Raises UserError for a folder to write text into that has the text that was given."""
        if any(folder.resolve() in (path.resolve(), *path.resolve().parents) for path in self.texts):
            raise UserError(f"{folder} has the text that was given, and would be written.", "Write elsewhere, by -o.")

    @cached_property
    def trained(self) -> Recipe:
        """The recipe of the model to fine-tune."""
        assert self.start is not None
        directory = ModelDirectory(self.start)
        directory.check()
        return load_recipe(directory.recipe)

    @cached_property
    def former(self) -> Texts:
        """The text of the model to fine-tune; that for training is also of the models that it was fine-tuned from."""
        if self.start is None:
            return Texts()
        texts, models, recipe = text_of(self.start), [self.start], self.trained
        with suppress(UserError):  # one of them may be gone
            while (older := recipe.training.finetune_from) and older not in models:
                models.append(older)
                recipe, own = load_recipe(ModelDirectory(older).recipe), text_of(older)
                texts.train += own.train + own.synthetic if own.languages == texts.languages else []
        texts.train += texts.synthetic
        return texts

    @property
    def deadline(self) -> float | None:
        """Time of :func:`time.monotonic` at which training ends; None without a number of minutes."""
        return self.minutes and self.begun + 60 * self.minutes * (1 - END_SHARE) - min(END_SECONDS, 3 * self.minutes)

    @property
    def wanted(self) -> tuple[str, str] | None:
        """Names of the source and the target that the overrides have."""
        both = self.overrides.get("data.source"), self.overrides.get("data.target")
        return (str(both[0]), str(both[1])) if all(both) else None

    @property
    def default_output(self) -> Path:
        """The model directory where none is named: runs/SOURCE-TARGET, or by the name of the file."""
        if not self.texts:
            raise UserError("There is no text or recipe.", "Name two files or a recipe; with --resume, a run by -o.")
        languages = self.wanted or (languages_of(*self.texts[:2]) if len(self.texts) > 1 else None)
        name = self.texts[0].resolve().name.lstrip(".").partition(".")[0]
        return Path("runs", ("-".join(languages) if languages else name).replace("/", "-"))


@dataclass(frozen=True)
class Prepared:
    """A text that is ready to be trained on."""

    request: Request
    texts: Texts
    vocabulary: VocabularyOptions
    encoded: Encoded
    folder: Path
    """Of the text and the vocabulary."""

    def recipe(self, model: Model, num_updates: int) -> tuple[Recipe, list[str]]:
        """Returns the recipe of a model that is trained for about this number of updates, and what extensions chose."""
        assert self.texts.languages is not None
        request, folder, (source, target) = self.request, str(self.folder), self.texts.languages
        values: dict[str, Any] = {
            "description": f"{source}-{target}, chosen for {len(self.texts.train):,} pairs",
            "data": {"root": folder, "valid": "valid", "max_length": self.encoded.max_length},
            "vocabulary": self.vocabulary.model_dump(mode="json") | {"path": None if request.start else folder},
            "model": model_options(model, num_updates / self.encoded.epoch, self.vocabulary.joint),
            "training": training_options(model, num_updates, request.minutes),
            "decoding": {"length_penalty": "word_reward", "alpha": 0.7, "split_sentences": True},
        }  # fmt: skip
        if self.texts.synthetic:
            # Whole paths: a file of the same name in the current folder would be preferred.
            paths = map(self.folder.joinpath, ("train", "synthetic"))
            real, more = ({"name": p.name, "source": f"{p}.{source}", "target": f"{p}.{target}"} for p in paths)
            weight = float(f"{min(WEIGHT, len(self.texts.synthetic) / len(self.texts.train)):.3g}")  # never 0
            values["data"]["corpora"] = [real, more | {"weight": weight, "tag": None if request.start else TAG}]
        if start := request.start:
            trained = request.trained.model_dump(mode="json")
            values |= {key: trained[key] for key in ("model", "decoding", "task")}
            values["data"]["history_turns"] = trained["data"]["history_turns"]
            values["training"].update(finetune_from=start.absolute(), learning_rate=TUNING_RATE, optimizer="adam")
        for key, value in request.overrides.items():
            override(values, key, value)
        values["data"] |= {"source": source, "target": target}  # what was given may be names of columns
        recipe, reasons = validate(Recipe, values, "the recipe that was chosen"), list[str]()
        for change in () if "training.techniques" in request.overrides else hooks("recipe_chosen"):
            recipe, more = change(recipe, num_updates)
            reasons += more
        return recipe, reasons

    @cached_property
    def candidates(self) -> list[Model]:
        """The models that have the options that were given, smallest first."""
        for models in (TRANSFORMERS[:1],) if self.request.start else (RECURRENT, TRANSFORMERS):
            if models[0] in (found := list(filter(self._has, models))):
                return found
        return [RECURRENT[0]]  # whose recipe raises the error

    def _has(self, model: Model) -> bool:
        with suppress(UserError):
            return bool(resolve(self.recipe(model, num_updates=1)[0]))
        return False

    @cached_property
    def models(self) -> list[Model]:
        """The models for which there can be time, whose speed is measured once."""
        seconds, models, encoded = 60 * (self.request.minutes or LONG_MINUTES), list[Model](), self.encoded
        data: Data | None = None
        for model in self.candidates:
            if models and models[0].num_updates(seconds) < model.least_over(models[-1], encoded.epoch):
                break  # the larger model would make even fewer
            recipe = resolve(self.recipe(model, 1000)[0], {"data.corpora": [], "data.max_length": encoded.max_length})
            data = data or prepare_data(recipe, encoded.pairs, encoded.pairs[:2])
            update, pair = measure_speed(recipe, data)
            models.append(replace(model, width=recipe.model.embedding_size, update=update, pair=pair))
        return models

    def choose(self) -> Recipe:
        """Chooses the model and the number of updates; says why, and what is to be expected."""
        models, deadline, minutes = self.models, self.request.deadline, self.request.minutes
        seconds = deadline - time.monotonic() - self.encoded.seconds if deadline else 60 * LONG_MINUTES
        model, epoch = models[0], self.encoded.epoch
        for larger in models[1:]:
            model = larger if larger.num_updates(seconds) >= larger.least_over(model, epoch) else model
        if minutes is None:
            seconds = max(60.0, ENOUGH_EPOCHS * epoch * model.update)
            minutes = round(seconds / 60)
            say(f"training ends when validation says that more time brings nothing, after about {minutes} min")
        num_updates = model.num_updates(seconds)
        recipe, reasons = self.recipe(model, num_updates)
        encoder, epochs = recipe.model.encoder, num_updates / model.pair / len(self.texts.train + self.texts.synthetic)
        leasts = {f"{each.kind} of width {each.width}": each.least_over(model, epoch) for each in self.candidates[1:]}
        wide = "".join(f"; {name} needs {n:,} or more" for name, n in leasts.items() if 1 < n / num_updates < 100)
        say(
            f"model: {encoder['type']} of width {model.width}; there is time for about {num_updates:,} "
            f"update{'s' * (num_updates != 1)} ({60 / model.update:,.0f} a minute){wide}\n"
            f"training: {recipe.training.optimizer['type']}, about {epochs:.1f} epochs"
            + (f"; dropout {encoder['dropout']}" if "dropout" in encoder else "")
            + "".join(f"\n{reason}" for reason in reasons)
        )
        if (is_short := num_updates < FEW_UPDATES and not self.request.start) and self.request.minutes:
            warn("a new model hardly learns anything in so few updates: give it more minutes, or part of a long text.")
        for estimate in () if is_short or self.request.start else hooks("quality_expected"):
            chrf, error = estimate(self.texts, Vocabularies.load(self.folder), model.worth * num_updates)
            low, high = max(0, chrf - error), min(100, chrf + error)
            say(f"expected after {minutes:g} min: chrF {chrf:.0f} on such text, most likely {low:.0f} to {high:.0f}")
            recipe = with_training(recipe, expected_score=round(chrf, 3) if recipe.training.metric == "chrf" else None)
        return recipe


@progress_bar("preparing the text", None)
def prepare(request: Request, folder: Path) -> Prepared:
    """Reads the text, holds some out and learns the vocabulary, writes them into a folder, and says what it did."""
    if request.start and ((task := task_of(request.trained)).has_labels or not task.reads_source):
        raise UserError(f"{request.start} does not translate.", "Name it in a recipe, as training.finetune_from.")
    wanted = {key.partition(".")[2]: v for key, v in request.overrides.items() if key.startswith("vocabulary.")}
    if isinstance(whole := request.overrides.get("vocabulary"), Mapping):
        wanted = dict(whole) | wanted
    if request.start and wanted:
        raise UserError("A model that is fine-tuned keeps its vocabulary.", "Leave out vocabulary, or --from.")
    texts = _read(request)
    _hold_out(texts, request)
    known = texts.train + texts.synthetic
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if request.start:
        vocabularies, options = Vocabularies.load(request.start), request.trained.vocabulary
        _compare(known, texts, request, vocabularies)
    else:
        vocabularies, options = learn_vocabulary(known, wanted, request.minutes, [TAG] if texts.synthetic else [])
    encoded = Encoded.read(known, vocabularies)
    if not encoded.pairs:
        raise UserError(f"No pair has up to {encoded.max_length} pieces.", "Write a sentence on each line.")
    if not encoded.fitting(texts.valid, vocabularies):
        texts.valid = encoded.pairs[: SIZES[0]]
        warn("validation is of text that the model has seen: no other pair is short enough and unlike it.")
    for side, language in enumerate(texts.languages or ()):
        for split in ("train", "valid", "test", *(["synthetic"] if texts.synthetic else [])):
            write_output(folder / f"{split}.{language}", (f"{pair[side]}\n" for pair in getattr(texts, split)))
    vocabularies.save(folder)
    say(f"vocabulary: {len(vocabularies.source):,} pieces ({options.type})")
    return Prepared(request, texts, options, encoded, folder.absolute())


def _read(request: Request) -> Texts:
    """Reads the text that can be trained on, and names its languages."""
    texts = read_texts(request.texts, request.wanted)
    say(f"read {len(texts.train):,} pair{'s' * (len(texts.train) != 1)} of sentences")
    if not any(all(0 < len(side.strip().encode()) <= MAX_BYTES for side in pair) for pair in texts.train):
        raise UserError(f"{request.texts[0]}: no pair has 1 to {MAX_BYTES:,} bytes on both sides.", "Check line ends.")
    has_columns = request.wanted and any(uncompressed(path).suffix.lower() in TABLES for path in request.texts)
    given = {} if has_columns else request.overrides  # the languages of a table are known already, or identified
    texts.languages = texts.languages if has_columns else request.wanted or texts.languages
    for check in hooks("text_read"):
        check(texts, request.keep_all)
    told = zip(("source", "target"), texts.languages or ("source", "target"), strict=True)
    source, target = (str(given.get(f"data.{side}", name)) for side, name in told)
    if source == target:
        raise UserError(f"Both sides are called {source}.", "Set other names by --set data.source= and data.target=.")
    say(f"languages: {name_of(source)} to {name_of(target)}")
    texts.languages = source, target
    texts.valid, texts.test = ([p for p in own if all(map(str.strip, p))] for own in (texts.valid, texts.test))
    return texts


def moved(recipe: Recipe, folder: Path) -> Recipe:
    """Returns a recipe that was chosen for a text, whose files are now in another folder."""
    corpora = [each.model_dump(mode="json") for each in recipe.data.corpora]
    for corpus in corpora:
        corpus |= {side: str(folder / Path(corpus[side]).name) for side in ("source", "target")}
    # Not a vocabulary that was given, nor that of the model to fine-tune.
    own = {"vocabulary.path": str(folder)} if recipe.vocabulary.path == recipe.data.root else {}
    return load_recipe(recipe, {"data.root": str(folder), "data.corpora": corpora, **own})


def text_of(model: Path, splits: Sequence[str] = ("train", "valid", "test", "synthetic")) -> Texts:
    """Reads parts of the text of a model that was trained on text files; that of another model is empty."""
    data, folder = load_recipe(ModelDirectory(model).recipe).data, model / "text"
    if data.root and not folder.exists() and [*data.root.glob("vocabulary*")]:  # of an average, or of `nmt plan`
        folder = data.root
    texts = Texts(languages=(data.source, data.target))
    for split in splits:
        files = [folder / f"{split}.{language}" for language in (data.source, data.target)]
        if all(file.exists() for file in files):
            setattr(texts, split, list(line_pairs(*files)))
    return texts


def _hold_out(texts: Texts, request: Request) -> None:
    """Holds out text for the splits that were not given; leaves out what a model to fine-tune is tested on."""
    if request.former.test:
        num_read, texts.train = len(texts.train), _unlike(request.former.test, texts.train)
        if not texts.train:
            raise UserError(f"The text has only text on which {request.start} is tested.", "Give other text.")
        if num_left_out := num_read - len(texts.train):
            say(f"left out {num_left_out:,} pairs like those on which {request.start} is tested")
    known = set(request.former.train).intersection(texts.train)
    # Between other languages only pairs that are the same count: texts of many languages may share one side.
    seen = request.former.train if request.former.languages == texts.languages else [*known]
    sizes = sizes_of(len(texts.train) - sum(map(known.__contains__, texts.train)))
    num_valid, num_test = (0 if own else size for own, size in zip((texts.valid, texts.test), sizes, strict=True))
    texts.train, valid, test = hold_out(texts.train, num_valid, num_test, 1, seen)
    texts.valid, texts.test = texts.valid or valid, texts.test or test
    for name, pairs, held in ("validation", texts.valid, valid), ("test", texts.test, test):
        if pairs:
            say(f"{name}: {len(pairs):,} pairs{' held out, none like one for training' * bool(held)}")
    texts.synthetic = _unlike(texts.valid + texts.test + request.former.test, texts.synthetic)
    if texts.synthetic:
        say(f"{len(texts.synthetic):,} synthetic pairs are trained on, too")
    if len(texts.train) < FEW_PAIRS:
        few = f"{len(texts.train):,} pairs are few: expect a model that translates similar sentences and no others"
        how = "" if texts.synthetic or request.start else ", perhaps by `nmt backtranslate`, or fine-tune by --from"
        warn(f"{few}. Add text of any kind in these languages{how}.")
    for further in () if request.start or request.keep_all else hooks("text_divided"):
        # A sentence of a line may be like one that is held out.
        texts.train += (more := _unlike(texts.valid + texts.test, further(texts)))
        if more:
            say(f"added {len(more):,} pairs of sentences from lines that have several (--keep-all adds none)")


def _compare(pairs: Pairs, texts: Texts, request: Request, vocabularies: Vocabularies) -> None:
    """Warns where a model to fine-tune reads other text: of the other direction, without tags, of other pieces."""
    start, data, task = request.start, request.trained.data, task_of(request.trained)
    if (data.target, data.source) == texts.languages:
        warn(f"{start} translates in the other direction: give the files in its order to improve it.")
    tags = [corpus.tag for corpus in data.corpora]
    if tags and all(tags) and not all(vocabularies.source.tags_of(task.reader.current(line)) for line, _ in pairs):
        warn(f"{start} reads lines that begin with a tag, as {tags[0]}, and not all source lines have one.")
    both, some = enumerate((vocabularies.source, vocabularies.target)), pairs[:: max(1, len(pairs) // 1000)]
    unknown = [piece == own.unk for side, own in both for pair in some for piece in own.encode(pair[side])]
    if (share := sum(unknown) / max(1, len(unknown))) > MAX_UNKNOWN:
        warn(f"the vocabulary of {start} lacks {share:.0%} of the pieces of the text, which the model neither reads "
             "nor writes. Train a recipe with new_pieces: see docs/how-to/fine-tune.md.")  # fmt: skip


def _unlike(held_out: Pairs, pairs: Pairs) -> Pairs:
    """Returns the pairs neither side of which is nearly held out."""
    near = set[int]()
    for side in (0, 1):
        keys = (enumerate(key_of(pair[side]) for pair in each) for each in (held_out, pairs))
        near |= {at for _, at in near_copies(*keys)}
    return [pair for at, pair in enumerate(pairs) if at not in near]
