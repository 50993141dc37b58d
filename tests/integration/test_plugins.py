"""Components from outside of nmt: of an installed package, and of a module that the user names."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fixture_types import RunNmt
from refusals import refused
from run_files import read_metrics

from nmt.core.errors import UserError
from nmt.recipe import registry as plugins
from nmt.recipe.load import load_recipe

PACKAGE = Path(__file__).parents[2] / "examples" / "plugin_package"


COMPONENTS = {
    "cell": ["model.encoder={type: recurrent, cell: mgu, hidden_size: 16}"],
    "others": [
        "model.encoder={type: convolutional, radius: 2}",
        "model.decoder={type: jordan, attention: {type: distance, size: 8}}",
    ],
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip has installed examples/plugin_package into."""
    if not (find_spec("pip") and find_spec("setuptools")):
        pytest.skip("needs pip and setuptools")
    if not find_spec("wheel") and int(version("setuptools").partition(".")[0]) < 71:
        pytest.skip("needs the package wheel or a setuptools that makes wheels by itself")
    source = shutil.copytree(PACKAGE, tmp_path_factory.mktemp("source") / "package")  # setuptools writes beside it
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*command, "--target", str(target), str(source)], check=True)
    return target


def in_process(python: Path, installed: Path | None, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """A command in a process of its own, with a folder of installed packages."""
    folders = [Path(__file__).parents[2], *([installed] if installed else [])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))}
    command = [python, "-m", "nmt", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.extension("cleaning")
@pytest.mark.extension("comparison")
@pytest.mark.extension("interchange")
def test_an_installed_package_adds_components_to_every_command(
    python: Path, installed: Path, tiny_recipe: Path, tiny_corpus: Path, tmp_path: Path
) -> None:
    def run(*arguments: object) -> str:
        done = in_process(python, installed, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    model, output = tmp_path / "model", tmp_path / "out.en"
    source, target = tiny_corpus / "train.de", tiny_corpus / "train.en"
    settings = [
        "training.max_steps=3",
        "training.log_every=1",
        "training.learning_rate=0.001",
        "training.metric=word_recall",
        "training.techniques.activation_decay={weight: 1}",
        "training.schedule={type: linear, warmup_steps: 1, end_fraction: 0.5}",
        "decoding.logits_processors={min_length: {ratio: 3}}",
        *COMPONENTS["others"],
    ]
    run("train", tiny_recipe, "-o", model, *(f"--set={setting}" for setting in settings))
    assert "pip install . nmt-example  # in a checkout of nmt\n" in (model / "README.md").read_text("utf-8")
    modules = [f"nmt_example.{name}" for name in ("attention", "decoders", "encoders", "logits_processors")]
    assert load_recipe_text(model)["plugins"] == dict.fromkeys(modules, "nmt-example"), "what translating needs"
    updates = read_metrics(model, "train")
    assert [round(row["learning_rate"], 5) for row in updates] == [0.001, 0.00075, 0.0005]
    assert all(row["activation_decay"] > 0 for row in updates)
    assert [row["word_recall"] >= 0 for row in read_metrics(model, "valid")] == [True]

    translate = ["translate", model, "-i", source, "-o", output]
    run(*translate)
    texts = [path.read_text("utf-8").splitlines() for path in (source, output)]
    assert all(len(translation.split()) >= 2 * len(line.split()) for line, translation in zip(*texts, strict=True))
    assert len(run("align", model, source, target).splitlines()) == 40
    scores = run("score", output, target, "--metrics", "word_recall,bleu", "--json")
    assert json.loads(scores).keys() == {"word_recall", "bleu"}
    compare = ["compare", output, source, "-r", target, "--metrics", "word_recall", "--samples", 40, "--json"]
    assert '"word_recall"' in run(*compare)
    assert "tokens back" in run("inspect", "gradients", model, "--pairs", source, target)
    assert re.fullmatch(r"\d+ weights\n", run("count-weights", model))
    run("export", model, "-o", tmp_path / "weights.npz", "--format", "numpy")
    with np.load(tmp_path / "weights.npz") as arrays:
        assert arrays["encoder.convolution.weight"].dtype == np.float32

    loud = [tmp_path / f"loud{path.suffix}" for path in (source, target)]
    for path, quiet in zip(loud, (source, target), strict=True):
        path.write_text(f"DAS IST {path.suffix.upper()} UND SEHR LAUT\n{quiet.read_text('utf-8')}", "utf-8")
    run("clean", *loud, "-o", tmp_path / "clean")
    removed = [json.loads(line) for line in (tmp_path / "clean" / "removed.jsonl").read_text("utf-8").splitlines()]
    assert [row["line"] for row in removed if "shouting" in row["filters"]] == [1]

    refused(
        in_process(python, None, *translate), "recipe.yaml needs the plugin nmt_example.", "pip install nmt-example"
    )


def load_recipe_text(model: Path) -> dict[str, Any]:
    return yaml.safe_load((model / "recipe.yaml").read_text("utf-8"))


@pytest.mark.quick("others")
@pytest.mark.extension("cleaning")
@pytest.mark.extension("interchange")
@pytest.mark.parametrize("settings", COMPONENTS.values(), ids=COMPONENTS.keys())
def test_components_of_a_package_keep_the_contracts(
    settings: list[str], train_tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps equal unrolling, and padding changes nothing, as in the tests over nmt's own tables."""
    from nmt.translation.load import load

    monkeypatch.syspath_prepend(PACKAGE)
    plugins.load_plugin("nmt_example")
    translator = load(train_tiny("training.max_steps=40", *settings))
    lines = ["Der Hund schläft im Garten.", "Heute wartet mein Bruder auf den Zug.", "Die Katze"]
    together = list(translator.translate(lines))
    for line, expected in zip(lines, together, strict=True):
        [alone] = translator.translate([line])
        assert (alone.text, alone.score) == (expected.text, pytest.approx(expected.score, abs=1e-5))
        [scored] = translator.score([(line, expected.text)])
        if len(scored.tokens) == len(expected.tokens) + 1:  # the translation had ended by itself
            assert scored.score == pytest.approx(expected.score, abs=1e-4)


MODULE = """
from nmt.models.cells import GruCell

class SlowGru(GruCell):
    kernel = None

COMPONENTS = {"slow_gru": SlowGru}
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a plugin in the current folder."""
    name = f"plugin_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return name


def test_a_model_needs_the_module_that_it_was_trained_with(
    run_nmt: RunNmt, module: str, tiny_recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = "--set=model.encoder={type: recurrent, cell: slow_gru, hidden_size: 16}"
    train = ["train", tiny_recipe, "-o", "model", "--set=training.max_steps=1", cell]
    refused(run_nmt(*train), "there is no cell 'slow_gru'", "--plugin")
    assert run_nmt(*train, "--plugin", module).returncode == 0
    assert load_recipe_text(Path("model"))["plugins"] == {module: ""}
    if find_spec("nmt.extensions.cards"):
        card = Path("model", "README.md").read_text("utf-8")
        assert f"pip install .  # in a checkout of nmt\nnmt translate MODEL_DIR --plugin {module} < text.de\n" in card
        assert f'nmt.load_plugin("{module}")\nprint(' in card
    assert run_nmt("translate", "model", stdin="Der Hund schläft.\n").returncode == 0, "it is still loaded"

    monkeypatch.setattr(plugins, "_added", {})
    done = run_nmt("translate", "model", stdin="Der Hund schläft.\n")
    missing = f"recipe.yaml needs the plugin {module}, which is not loaded."
    refused(done, missing, f"Give --plugin {module}. A plugin runs code")
    done = run_nmt("translate", "model", "--plugin", module, stdin="Der Hund schläft.\n")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)

    # docs/tutorials/new-component.md: a package that has the module takes its place.
    [row], real = plugins._added.values(), plugins._installed
    monkeypatch.setattr(plugins, "_added", {})
    monkeypatch.setattr(plugins, "_installed", lambda kind: real(kind) if kind else (*real(kind), row))
    assert run_nmt("translate", "model", stdin="Der Hund schläft.\n").returncode == 0


def test_translating_needs_no_plugin_for_the_metric_that_selected_the_model(
    run_nmt: RunNmt, module: str, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = "from nmt.metrics.table import Chrf\nclass Other(Chrf):\n    pass\nCOMPONENTS = {'other': Other}\n"
    (tmp_path / f"{module}.py").write_text(metric)
    settings = ["--set=training.max_steps=1", "--set=training.metric=other"]
    assert run_nmt("train", tiny_recipe, "-o", "model", *settings, "--plugin", module).returncode == 0
    monkeypatch.setattr(plugins, "_added", {})
    done = run_nmt("translate", "model", stdin="Der Hund schläft.\n")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    done = run_nmt("train", tiny_recipe, "-o", "model", *settings, "--resume")
    refused(done, "There is no metric 'other'", "--plugin")


def test_a_recipe_never_causes_an_import(module: str, tiny_recipe: Path, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text("raise SystemExit('imported')")
    with pytest.raises(UserError, match=f"the recipe needs the plugin {module} of the package evil"):
        load_recipe(load_recipe(tiny_recipe), {"plugins": {module: "evil"}})
    with pytest.raises(UserError, match=r": pip install 'x; rm -rf y'\."):
        load_recipe(load_recipe(tiny_recipe), {"plugins": {module: "x; rm -rf y"}})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "can't be imported: ModuleNotFoundError"),
        ("import sys\nsys.path.insert(0, 'elsewhere')\n1 / 0", "can't be imported: ZeroDivisionError"),
        ("", "has no mapping COMPONENTS"),
    ],
)
def test_a_module_that_is_no_plugin_is_refused_and_the_path_of_modules_stays_as_it_was(
    run_nmt: RunNmt, module: str, text: str | None, problem: str
) -> None:
    path, before = Path(f"{module}.py"), list(sys.path)
    path.unlink() if text is None else path.write_text(text)
    refused(run_nmt("recipes", "--plugin", module), problem)
    assert sys.path == before


def test_a_name_is_taken_once(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(sys.path)
    plugins.load_plugin(module)
    assert sys.path == before
    plugins.load_plugin(module)
    (tmp_path / f"{module}_2.py").write_text(MODULE)
    from nmt.models.cells import CELLS

    added = dict(plugins._added)
    plugins.load_plugin(f"{module}_2")
    with pytest.raises(UserError, match=f"plugin {module} and the plugin {module}_2 have a cell 'slow_gru' each"):
        list(CELLS)
    monkeypatch.setattr(plugins, "_added", added)
    (tmp_path / f"{module}_3.py").write_text(MODULE.replace("slow_gru", "lstm"))
    plugins.load_plugin(f"{module}_3")
    with pytest.raises(UserError, match=f"nmt and the plugin {module}_3 have a cell 'lstm' each"):
        list(CELLS)
