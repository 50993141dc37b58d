"""The recipe: what an experiment is, key by key.

A recipe is one YAML file. Unknown keys are refused, with the nearest known one suggested. The options of a
component (an encoder, an attention, a decoder) stand beside the component and are checked when the model is
built; here ``model.encoder`` and ``model.decoder`` are mappings with a ``type``.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema, model_validator

from nmt.recipe import yaml12
from nmt.recipe.options import FIXED, FREE, SILENT, ChoiceOf, Options, as_mapping

FORMAT_VERSION = 1
"""Version of the model directory. Raise it when an older nmt could no longer read a new directory."""
TextField = Annotated[dict[str, Any] | None, ChoiceOf("text source")]


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
    text: TextField = Field(None, description="a text source: its type, and the options of that type")
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

    root: Path | None = Field(
        None,
        description="folder with NAME.LANGUAGE files (.gz, .xz, .zst too) or NAME.tsv, and with files that other "
        "keys name and that are not in the current folder; wins over hub",
    )
    hub: str | None = Field(None, description="data set for the `datasets` library: a hub name or a saved folder")
    hub_config: str | None = Field(None, description="configuration of the hub data set, where it has several")
    task: TaskOptions | None = Field(None, description="an algorithmic task, generated; wins over root and hub")
    text: TextField = Field(
        None, description="a text source: its type, and the options of that type; wins over task, root and hub"
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


class VocabularyOptions(Options):
    """Options of the vocabularies, which map text to ids and back."""

    type: Annotated[str, ChoiceOf("vocabulary")] = Field(
        "unigram", description="unigram or bpe of sentencepiece, character, word, or pretrained (of an imported model)"
    )
    size: int = Field(8000, ge=8, le=10_000_000, description="number of pieces, with specials; for words the maximum")
    joint: bool = Field(True, description="one vocabulary for both languages (needed to tie all embeddings)")
    byte_fallback: bool = Field(False, description="subwords: spell unknown characters as bytes rather than UNK")
    split_digits: bool = Field(False, description="subwords: each digit 0-9 is a piece, so that new numbers are copied")
    min_count: int = Field(1, ge=1, description="word vocabularies: rarer words are UNK")
    character_coverage: float = Field(1.0, ge=0.98, le=1, description="share of characters that get a piece")
    normalization: Literal["nmt_nfkc", "nfkc", "identity"] = Field("nmt_nfkc", description="sentencepiece's rule")
    path: Path | None = Field(None, description="existing vocabulary to use: a .model/.txt file or a model directory")


class VectorOptions(Options):
    """Word vectors that embeddings start from; for vocabularies of words."""

    source: Path | None = Field(None, description="of source words: text file of word2vec or GloVe, compressed too")
    target: Path | None = Field(None, description="and of target words")
    freeze: bool = Field(False, description="don't train the embeddings of a side that has vectors")


NO_ENCODER = "none"
NO_ENCODER_CHOICE = BeforeValidator(lambda choice: {"type": NO_ENCODER} if choice is None else choice)


class ModelOptions(Options):
    """The network: an encoder and a decoder from the tables of ``nmt/models/build.py``, and what they share."""

    gone = ("word_dropout",)
    encoder: Annotated[dict[str, Any], NO_ENCODER_CHOICE, ChoiceOf("encoder")] = Field(
        description="type, and the options of that type; null: none, the decoder is a language model"
    )
    decoder: Annotated[dict[str, Any], ChoiceOf("decoder")] = Field(description="type, and the options of that type")
    embedding_size: int = Field(256, ge=1, le=100_000, description="width of source and target embeddings")
    tie: Literal["none", "target", "all"] = Field(
        "none", description="share weights: target embedding = output layer; all = source embedding too"
    )
    vectors: VectorOptions = Field(default_factory=VectorOptions, description="word vectors that embeddings start from")
    scale_embeddings: bool = Field(False, description="multiply embeddings by the root of their width (Transformer)")
    output_bias: bool = Field(True, description="the output layer has a bias")
    init: Annotated[Literal["torch", "xavier"], FREE] = Field("torch", description="initialisation of weight matrices")


def _batch_tokens(value: Any) -> Any:
    if value == "auto" or (type(value) is int and value >= 1):
        return value
    raise ValueError(f"'training.batch_tokens' is {value!r}: it must be a whole number from 1 up, or auto")


BatchTokens = Annotated[
    int | Literal["auto"],
    PlainValidator(_batch_tokens),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]}),
]
DEFAULT_SCHEDULE = "inverse_sqrt"
WITH_DEFAULT_SCHEDULE = AfterValidator(lambda value: {"type": DEFAULT_SCHEDULE, **value})
DEFAULT_OPTIMIZER = "adam"
WITH_DEFAULT_OPTIMIZER = AfterValidator(lambda value: {"type": DEFAULT_OPTIMIZER, **value})


class LoraOptions(Options):
    """Options of LoRA, which trains two thin matrices in place of each weight matrix (Hu et al. 2022)."""

    rank: int = Field(8, ge=1, le=10_000, description="rows and columns of the thin matrices")
    alpha: float = Field(16.0, gt=0, description="the product of the thin matrices is multiplied by alpha / rank")
    layers: list[str] = Field(
        ["*"],
        min_length=1,
        description="parts whose weight matrices have LoRA, such as [attention]; embeddings and output layer never",
    )
    full: list[str] = Field([], description="parts that are trained as they are, such as [embedding, output]")


class TrainingOptions(Options):
    """Options of training."""

    batch_tokens: BatchTokens = Field(
        4096, description="padded positions of the longer side in a batch; auto: the most that fit on the GPU"
    )
    accumulate: int = Field(1, ge=1, le=10_000, description="batches whose gradients are added up for one update")
    finetune_from: Annotated[Path | None, FIXED] = Field(
        None, description="a model directory whose weights and vocabulary a new run starts from: fine-tuning"
    )
    new_vocabulary: Annotated[bool, FIXED] = Field(
        False,
        description="with finetune_from: make a vocabulary; pieces that the trained model has keep their embeddings",
    )
    freeze: list[str] = Field(
        [], description="parts of the model that keep their weights, such as [encoder, embedding]"
    )
    lora: Annotated[LoraOptions | None, FIXED] = Field(
        None, description="train thin matrices alone to save memory; the saved model is an ordinary one"
    )
    max_steps: Annotated[int | None, SILENT] = Field(None, ge=1, description="stop after this many updates")
    max_epochs: Annotated[int | None, SILENT] = Field(None, ge=1, description="stop after this many epochs")
    max_minutes: Annotated[float | None, SILENT] = Field(
        None, gt=0, description="stop after this many minutes of training, over all resumes"
    )
    optimizer: Annotated[dict[str, Any], BeforeValidator(as_mapping), WITH_DEFAULT_OPTIMIZER, ChoiceOf("optimizer")] = (
        Field({"type": DEFAULT_OPTIMIZER}, description="how a gradient changes the weights; type, and its options")
    )
    learning_rate: float = Field(1e-3, gt=0, description="the highest rate, reached at the end of the warm-up")
    schedule: Annotated[dict[str, Any], BeforeValidator(as_mapping), WITH_DEFAULT_SCHEDULE, ChoiceOf("schedule")] = (
        Field({"type": DEFAULT_SCHEDULE}, description="how the learning rate changes; type, and its options")
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="probability given to all tokens (Szegedy et al. 2016)")
    clip_norm: float | None = Field(1.0, gt=0, description="gradients are scaled down to this global norm")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the moving average of the weights; 0 is off")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="auto: bf16 where it is fast")
    cuda_graphs: bool = Field(True, description="on a GPU: pad batches to few shapes and record a CUDA graph for each")
    validate_every: int | None = Field(None, ge=1, description="updates between validations; null: once an epoch")
    metric: Annotated[str, ChoiceOf("metric"), FIXED] = Field(
        "bleu",
        description="the validation metric that selects the best model, or loss; by default bleu, of a "
        "classifier accuracy, of a language model loss",
    )
    validation_size: int = Field(1000, ge=1, description="sentences translated for the validation metric")
    expected_score: Annotated[float | None, SILENT] = Field(None, description="score shown beside the best one so far")
    patience: int | None = Field(None, ge=1, description="stop after this many validations without a gain")
    checkpoint_every: int | None = Field(None, ge=1, description="updates between checkpoints; null: at validations")
    keep_last: int = Field(2, ge=1, description="checkpoints kept, the newest")
    keep_best: int = Field(1, ge=0, description="checkpoints kept beside them, the best by validation")
    log_every: int = Field(50, ge=1, description="updates between lines of metrics.jsonl")
    techniques: Annotated[dict[str, dict[str, Any] | None], ChoiceOf("training technique", many=True)] = Field(
        {}, description="techniques by name, each with its options; null turns one off"
    )
    observers: Annotated[dict[str, dict[str, Any] | None], ChoiceOf("observer", many=True)] = Field(
        {},
        description="what is recorded at each validation, by name with its options; {film: {}}: how some sentences are "
        "translated, for `nmt inspect film`",
    )
    tensorboard: bool = Field(False, description='write tensorboard/ too (pip install "nmt[tensorboard]")')

    @model_validator(mode="after")
    def _has_an_end(self) -> "TrainingOptions":
        if not (self.max_steps or self.max_epochs or self.max_minutes or self.patience):
            raise ValueError("training would never end: set one of max_steps, max_epochs, max_minutes, patience")
        return self


Search = Literal["beam", "sample"]
EarlyStopping = Literal["first", "likely", "exact"]


class DecodingOptions(Options):
    """Options of search, in validation and by default in ``nmt translate``."""

    search: Search = Field("beam", description="beam search for the likeliest translations, or random samples")
    beam_size: int = Field(5, ge=1, le=1000, description="hypotheses or samples of a sentence; 1 is greedy search")
    length_penalty: Annotated[str, ChoiceOf("length penalty")] = Field(
        "average",
        description="score by log p and length: log p (none), log p / length^alpha (average), "
        "log p / ((5 + length) / 6)^alpha (gnmt), log p + alpha * length (word_reward), or one of a plugin",
    )
    alpha: float = Field(1.0, ge=0, le=1_000_000, description="strength of the length penalty")
    coverage_penalty: float = Field(
        0.0, ge=0, le=1_000_000, description="strength of GNMT's penalty for unattended source words"
    )
    early_stopping: EarlyStopping = Field(
        "likely",
        description="a sentence is finished when it has beam_size finished hypotheses (first) and its best unfinished "
        "one scores no better than the best finished one now (likely), or than the last of these at any length (exact)",
    )
    prune: float | None = Field(
        None, gt=0, description="drop unfinished hypotheses whose log p is further than this below the best one"
    )
    beam_groups: int = Field(1, ge=1, description="diverse beam search: groups that the beam is divided into")
    diversity: float = Field(0.5, ge=0, description="diverse beam search: penalty for a token that another group chose")
    temperature: float = Field(1.0, gt=0, description="sample: below 1, likely tokens become likelier")
    top_k: int | None = Field(None, ge=1, description="sample: only from this many likeliest tokens")
    top_p: float = Field(1.0, gt=0, le=1, description="sample: only from likeliest tokens that sum to this probability")
    seed: int = Field(1, ge=0, description="sample: a seed gives the same samples of the same line, wherever it stands")
    mbr: Annotated[str, ChoiceOf("metric")] = Field(
        "none", description="minimum Bayes risk: choose the candidate most like the others by this metric (chrf, bleu)"
    )
    logits_processors: Annotated[dict[str, dict[str, Any]], ChoiceOf("logits processor", many=True)] = Field(
        {}, description="logits processors by name, each with its options: {no_repeat_ngram: {size: 3}}"
    )
    shortlist: int | None = Field(
        None,
        ge=1,
        description="translations of each source word that search chooses among; "
        "needs `nmt learn-alignment`, so validation searches the whole vocabulary",
    )
    max_length: int | None = Field(None, ge=1, le=100_000, description="maximum length of a translation in tokens")
    max_length_ratio: float = Field(2.0, gt=0, le=1000, description="maximum target tokens per source token")
    max_length_extra: int = Field(20, ge=1, le=100_000, description="tokens added to max_length_ratio times the source")
    restore_case: bool = Field(
        True,
        description="translate lines in capitals and titles as ordinary text, and write their translation as they are; "
        "validation reads them as they are",
    )
    split_sentences: bool = Field(
        False,
        description="translate each sentence of a line by itself, and one that is too long for the model in parts, so "
        "that none is dropped or cut, unless several candidates are wanted; validation reads whole lines",
    )
    batch_size: int = Field(64, ge=1, le=100_000, description="sentences translated at once")

    @model_validator(mode="after")
    def _groups_are_equal(self) -> "DecodingOptions":
        if self.beam_size % self.beam_groups:
            raise ValueError(f"a beam of {self.beam_size} can't be divided into {self.beam_groups} equal groups")
        return self


class Recipe(Options):
    """One experiment, whole."""

    description: Annotated[str, SILENT] = Field("", description="a line that `nmt recipes` shows")
    format_version: Annotated[int, FIXED] = Field(FORMAT_VERSION, description="of the recipe; newer ones are refused")
    seed: int = Field(1, ge=0, description="of all that is random: a run repeats itself")
    device: Annotated[str, SILENT] = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    plugins: Annotated[dict[str, str], SILENT] = Field(
        {}, description="modules of outside components, and their packages; training fills it in"
    )
    task: Annotated[str | None, ChoiceOf("task"), FIXED] = Field(
        None, description="what the model does with a line; null: as the model and data.history_turns say"
    )
    data: DataOptions = Field(description="the text")
    vocabulary: Annotated[VocabularyOptions, FIXED] = Field(
        default_factory=VocabularyOptions, description="how text becomes ids and back"
    )
    model: Annotated[ModelOptions, FIXED] = Field(description="the network")
    training: TrainingOptions = Field(description="how it learns, and for how long")
    decoding: DecodingOptions = Field(default_factory=DecodingOptions, description="how it translates by default")

    def to_yaml(self) -> str:
        """The recipe as text that :func:`nmt.recipe.load.load_recipe` reads back to an equal recipe."""
        return yaml12.dump(self.model_dump(mode="json"))
