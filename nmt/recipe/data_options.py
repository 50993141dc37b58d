"""The part of a recipe that says what text is read; see :mod:`nmt.recipe.schema`."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from nmt.recipe.options import FIXED, Options


class FilePair(Options):
    """Two line-aligned text files with names of their own."""

    source: Path = Field(description="file of the source language")
    target: Path = Field(description="file of the target language, line by line its translation")


class TaskOptions(Options):
    """A task whose sentence pairs are generated: see ``nmt/extensions/algorithmic/tasks.py``."""

    type: Literal[
        "copy", "repeat_copy", "associative_recall", "priority_sort", "parity", "addition", "halves", "chain"
    ] = Field(description="what is to be computed")
    min_length: int = Field(
        1, ge=0, description="fewest symbols of a sequence, items to recall from, digits of a number, arrows to follow"
    )
    max_length: int = Field(20, ge=0, le=10_000, description="most of them")
    num_symbols: int = Field(8, ge=2, le=26, description="all but parity and addition: different symbols")
    max_repeats: int = Field(5, ge=1, le=1000, description="repeat_copy: most repetitions")
    num_pairs: int = Field(20_000, ge=1, le=10_000_000, description="pairs of the training split")
    num_valid: int = Field(500, ge=1, le=1_000_000, description="pairs of any other split")
    seed: int = Field(1, ge=0, description="of the pairs that are drawn")

    @model_validator(mode="after")
    def _has_lengths(self) -> "TaskOptions":
        if self.min_length > self.max_length:
            raise ValueError(f"data.task: min_length {self.min_length} is more than max_length {self.max_length}")
        if self.min_length < (least := {"chain": 0, "halves": 2}.get(self.type, 1)):
            raise ValueError(f"data.task: {self.type} needs a min_length of {least} or more")
        if self.type == "chain" and self.num_symbols <= self.max_length:
            raise ValueError(f"data.task: {self.max_length} arrows of a chain need {self.max_length + 1} num_symbols")
        if self.type == "associative_recall" and not 2 <= self.min_length <= self.max_length <= self.num_symbols**3:
            raise ValueError("data.task: associative_recall needs 2 items or more, and as many different ones as items")
        if self.type == "priority_sort" and self.max_length > 100:
            raise ValueError("data.task: priority_sort has 100 different priorities, so max_length is at most 100")
        return self


class CorpusOptions(Options):
    """One of several corpora that a model is trained on; its text is a pair of files, tsv, jsonl or hub."""

    name: str = Field(min_length=1, pattern=r"^\S+$", description="of the corpus, without spaces")
    source: Path | None = Field(None, description="file of the source language (.gz, .xz, .zst too)")
    target: Path | None = Field(None, description="file of the target language, line by line its translation")
    tsv: Path | None = Field(None, description="file of columns with tabs between; line 1 has their languages")
    jsonl: Path | None = Field(None, description="file with a JSON object on each line: a text for each language")
    hub: str | None = Field(None, description="data set for the `datasets` library, of which the split train is read")
    hub_config: str | None = Field(None, description="configuration of the hub data set, where it has several")
    text: dict[str, Any] | None = Field(None, description="a text source: its type, and the options of that type")
    languages: tuple[str, str] | None = Field(None, description="columns of source and target; null: those of data")
    weight: float = Field(1.0, gt=0, le=1e9, description="share of the target tokens, relative to the other weights")
    tag: Annotated[str | None, FIXED] = Field(
        None, pattern=r"^<[^<>\s]+>$", description="symbol in front of each source line, such as <2de> or <bt>"
    )
    modifiers: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(
        {},
        description="shares of the sentences that are changed: upper_case, title_case, no_end_punctuation, typos, "
        "noise, join, terms",
    )
    new_pieces: bool = Field(
        False,
        description="with training.finetune_from: its subwords join the trained vocabulary, up to vocabulary.size",
    )
    links: Path | None = Field(
        None,
        description="Pharaoh file of word links, a line for each pair: for the modifier terms and guided alignment",
    )

    @model_validator(mode="after")
    def _has_one_text(self) -> "CorpusOptions":
        kinds = (self.source or self.target, self.tsv, self.jsonl, self.hub, self.text)
        if sum(kind is not None for kind in kinds) != 1 or (self.source is None) != (self.target is None):
            raise ValueError(
                f"data.corpora: {self.name} needs either source and target, or tsv, or jsonl, or hub, or text"
            )
        if sum(self.modifiers.values()) > 1:
            raise ValueError(f"data.corpora: the modifiers of {self.name} have a sum of more than 1")
        return self


class StageOptions(Options):
    """A part of a run in which certain corpora are read."""

    name: str = Field(min_length=1, description="of the stage")
    corpora: dict[str, Annotated[float, Field(gt=0, le=1e9)]] = Field(
        min_length=1, description="weights by name of the corpora that are read: shares of the stage's target tokens"
    )
    until: str | None = Field(
        None,
        pattern=r"^\S+ [1-9]\d{0,8}$",
        description="NAME EPOCHS: the stage ends when it has read that corpus so often; null: the stage is the last",
    )

    @property
    def end(self) -> tuple[str, int] | None:
        """The corpus and the number of its epochs that end the stage."""
        name, _, epochs = (self.until or "").partition(" ")
        return (name, int(epochs)) if name else None


class DataOptions(Options):
    """Where the sentence pairs come from."""

    former_names: ClassVar[dict[str, str]] = {"context": "history_turns"}

    root: Path | None = Field(
        None,
        description="folder with NAME.LANGUAGE files (.gz, .xz, .zst too) or NAME.tsv, and with files that other "
        "keys name and that are not in the current folder; wins over hub",
    )
    hub: str | None = Field(None, description="data set for the `datasets` library: a hub name or a saved folder")
    hub_config: str | None = Field(None, description="configuration of the hub data set, where it has several")
    task: TaskOptions | None = Field(None, description="an algorithmic task, generated; wins over root and hub")
    text: dict[str, Any] | None = Field(
        None,
        description="a text source: its type, and the options of that type; wins over task, root and hub",
    )
    source: Annotated[str, FIXED] = Field(description="source language: a file suffix, or a column of the hub data set")
    target: Annotated[str, FIXED] = Field(description="target language")
    train: str | FilePair = Field("train", description="name of the training split, or {source: FILE, target: FILE}")
    valid: str | FilePair | None = Field("val", description="the validation split; null: `hold_out` training pairs")
    hold_out: int = Field(500, ge=1, description="pairs held out (at most 5 %) where there is no validation split")
    corpora: list[CorpusOptions] = Field([], description="several corpora to train on, in place of train and task")
    stages: list[StageOptions] = Field([], description="parts of the run, one after another, with weights of their own")
    max_length: int = Field(150, ge=1, le=1_000_000, description="pairs with more pieces on a side are dropped")
    history_turns: Annotated[int | None, FIXED] = Field(
        None, ge=0, description="dialogues: turns read before the current one, with tabs between; null: no dialogue"
    )
