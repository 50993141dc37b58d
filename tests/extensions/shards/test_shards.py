"""Folders of shards: several workers write what one process writes, also when a worker is killed."""

import gzip
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import uppercase_shards
from fixture_types import RunNmt
from refusals import refused

from nmt.core.errors import UserError
from nmt.extensions.shards.cli import FolderOptions
from nmt.extensions.shards.executors import RayExecutor
from nmt.extensions.shards.shards import JOURNAL, Journal, Shard, find_shards, steps
from nmt.extensions.shards.translate import start_shards
from nmt.extensions.shards.workers import LocalExecutor
from nmt.translation.job import TranslationJob
from nmt.translation.load import load
from nmt.translation.options import TranslationOptions


@pytest.fixture
def four(tmp_path: Path) -> list[Shard]:
    """Shards a, b, c, d of 1 to 4 lines."""
    (tmp_path / "in").mkdir()
    for number, name in enumerate("abcd", start=1):
        (tmp_path / "in" / name).write_text(f"line of {name}\n" * number)
    return find_shards([tmp_path / "in"], tmp_path / "out")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


@pytest.mark.posix
def test_the_shard_of_a_killed_worker_is_done_again(four: list[Shard]) -> None:
    four[0].output.parent.mkdir()
    found = list(steps(four, LocalExecutor(None, 2, "cpu", 1), uppercase_shards.start))
    assert sorted(shard.name for shard, (kind, _) in found if shard and kind == "lost") == ["b"]
    assert sorted(shard.name for shard, (kind, _) in found if shard and kind == "done") == ["a", "b", "c", "d"]
    for shard in four:
        assert shard.output.read_text() == shard.inputs[0].read_text().upper()


KILLER = """
import os, signal
from pathlib import Path
COMPONENTS = {}
if os.getpid() != int(os.environ["FIRST_PROCESS"]):
    from nmt.translation.job import TranslationJob
    plain, mark = TranslationJob.run, Path(os.environ["MARK"])
    def run(self, lines, *arguments, **options):
        for number, translation in enumerate(plain(self, lines, *arguments, **options)):
            yield translation
            if number == 140 and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
    TranslationJob.run = run
"""
"""A plugin that kills the first worker that has translated 140 lines of a shard, in the second window."""


@pytest.fixture
def killer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a module ``killer``, and with ``killed`` when it has killed a worker."""
    folder = tmp_path / "killer"
    folder.mkdir()
    (folder / "killer.py").write_text(KILLER)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", str(folder), os.environ.get("PYTHONPATH", "")]).strip(":"))
    monkeypatch.setenv("FIRST_PROCESS", str(os.getpid()))
    monkeypatch.setenv("MARK", str(folder / "killed"))
    return folder


@pytest.fixture
def texts(tiny_corpus: Path, tmp_path: Path) -> Path:
    """A folder with a shard of two windows and a compressed one; the batches are small."""
    lines = (tiny_corpus / "train.de").read_bytes()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "long.txt").write_bytes(lines * 5)
    (tmp_path / "in" / "packed.txt.gz").write_bytes(gzip.compress(lines))
    return tmp_path / "in"


OPTIONS = ("--scores", "--beam-size", 2, "--batch-size", 8)


def translated_one_by_one(run_nmt: RunNmt, model: Path, texts: Path) -> dict[str, bytes]:
    """What the plain command writes."""
    expected = texts.with_name("expected")
    expected.mkdir()
    for path in texts.iterdir():
        run_nmt("translate", model, "-i", path, "-o", expected / path.name, *OPTIONS, check=True)
    return contents(expected)


@pytest.mark.slow
@pytest.mark.posix
def test_a_folder_is_translated_as_its_files_although_a_worker_is_killed(
    run_nmt: RunNmt, tiny_model: Path, texts: Path, killer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nmt.extensions.shards.shards.ESTIMATE_AFTER", 0.0)
    output = texts.with_name("out")
    command = ("translate", tiny_model, "-i", texts, "-o", output, *OPTIONS)
    done = run_nmt(*command, "--workers", 1, "--plugin", "killer", check=True)
    assert done.stderr.startswith("translating 2 shards: 240 lines, workers: 1\n")
    assert "about 0:00:" in done.stderr
    assert "a worker was lost (killed by SIGKILL); long.txt is done again" in " ".join(done.stderr.split())
    assert (killer / "killed").exists()
    expected = translated_one_by_one(run_nmt, tiny_model, texts)
    assert contents(output) == expected

    # Again: nothing is left to do, and what doesn't fit is refused.
    again = run_nmt(*command)
    assert (again.returncode, "2 shards, of which 2 are done" in again.stderr) == (0, True)
    refused(run_nmt(*command, "--n-best", 2), "was begun with another n_best: 1, not 2")
    changed = texts / "long.txt"
    changed.write_bytes(changed.read_bytes()[:-1])
    refused(run_nmt(*command), f"{changed} has changed since it was done")
    changed.unlink()
    refused(run_nmt(*command), "long.txt is done in")
    assert contents(output) == expected


def test_wrong_options_are_refused_before_a_shard_is_begun(tiny_model: Path) -> None:
    def make_job(device: str) -> TranslationJob:
        return TranslationJob(load(tiny_model, device), str, options=TranslationOptions(30))

    with pytest.raises(UserError, match="Give --beam-size 30 or more"):
        start_shards(make_job, "cpu", 0)


def test_files_of_two_folders_belong_together_by_their_names(tmp_path: Path) -> None:
    for name in ("de/1.de", "de/2.de.gz", "en/1.en", "en/2.en.xz", "one/1", "one/.hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_shards([tmp_path / "de", tmp_path / "en"], tmp_path / "out")
    assert [shard.name for shard in found] == ["1", "2"]
    assert found[1].inputs == (tmp_path / "de" / "2.de.gz", tmp_path / "en" / "2.en.xz")
    assert [shard.output for shard in find_shards([tmp_path / "one"], tmp_path / "out")] == [tmp_path / "out" / "1"]
    (tmp_path / "de" / "3.de").touch()
    with pytest.raises(UserError, match=r"en has no partner of .*3\.de\."):
        find_shards([tmp_path / "de", tmp_path / "en"], tmp_path / "out")
    (tmp_path / "de" / "3.de.gz").touch()
    with pytest.raises(UserError, match=r"3\.de and .*3\.de\.gz are the same shard, 3"):
        find_shards([tmp_path / "de", tmp_path / "en"], tmp_path / "out")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_no_journal_can_hold_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"f\xfcr.de")).touch()
    with pytest.raises(UserError, match="is not UTF-8"):
        find_shards([tmp_path], tmp_path.with_name("out"))


def test_an_unknown_key_of_an_executor_is_none_of_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(UserError, match="--executor: unknown key 'zzz'") as caught:
        FolderOptions(executor="ray: {zzz: 1}").open([tmp_path], tmp_path.with_name("out"), 1, "cpu", 1)
    assert caught.value.remedy == "Choose among address."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-i", "in"], "written to a folder"),
        (["-i", "in", "-o", "in/out"], "is in the folder of the shards"),
        (["-i", "in/a", "-o", "out", "--executor", "local"], "--executor is for folders of shards"),
        (["--ray", "local"], "--ray is for folders of shards"),
        (["-i", "empty", "-o", "out"], "has no files"),
        (["-i", "nested", "-o", "out"], "inner is not a file"),
        (["-i", "stopped", "-o", "out"], "a.partial is of a run that was stopped"),
        (["-i", "in", "-o", "empty/no/out"], "can't be written"),
        (["-i", "in", "-o", "nested"], "exists already, with other files"),
        (["-i", "in", "-o", "out", "--ray", "somewhere"], "is not local, auto or HOST:PORT"),
        (["-i", "in", "-o", "out", "--ray", "localhost:1"], "No Ray cluster answers at localhost:1"),
    ],
)
def test_what_cannot_be_done_is_explained_and_nothing_is_written(
    run_nmt: RunNmt, tiny_model: Path, four: list[Shard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], message: str,
) -> None:  # fmt: skip
    (tmp_path / "empty").mkdir()
    (tmp_path / "nested" / "inner").mkdir(parents=True)
    (tmp_path / "stopped").mkdir()
    (tmp_path / "stopped" / "a.partial").touch()
    monkeypatch.setitem(sys.modules, "ray", type(sys)("ray"))  # a cluster is looked for before Ray does anything
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    refused(run_nmt("translate", tiny_model, *arguments), message)
    assert sorted(tmp_path.rglob("*")) == before


def test_all_files_that_cannot_be_translated_are_named_at_once(
    run_nmt: RunNmt, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "mixed").mkdir()
    for name in ("a.pdf", "b.txt", "c.xls"):
        (tmp_path / "mixed" / name).write_text("a\n")
    done = run_nmt("translate", tiny_model, "-i", tmp_path / "mixed", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "mixed has 2 problems:\n1. " in done.stderr
    assert all(f"{name} is a document of a kind" in done.stderr for name in ("a.pdf", "c.xls"))
    assert not (tmp_path / "out").exists()


def test_ray_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r'pip install "nmt\[ray\]"'):
        RayExecutor(RayExecutor.Options(address="local"), None, "cpu", 1)


def test_a_journal_has_one_writer_and_survives_a_kill_while_it_is_written(four: list[Shard], tmp_path: Path) -> None:
    output = tmp_path / "out"
    with Journal.open(output, {"beam": 5}) as journal:
        if os.name != "nt":
            with pytest.raises(UserError, match="is being written by another process"), Journal.open(output, {}):
                pass
        four[0].output.write_text("done")
        journal.add(four[0], None)
    with (output / JOURNAL).open("a") as file:
        file.write('{"shard": "b", "inp')
    with Journal.open(output, {"beam": 5}) as journal:
        assert [shard.name for shard in journal.left(four, output)] == ["b", "c", "d"]
        four[0].output.rename(output / "elsewhere")
        assert journal.left(four, output) == four
    assert len((output / JOURNAL).read_text().splitlines()) == 2
    (output / JOURNAL).write_text("{}\n[]\n")
    with pytest.raises(UserError, match="is damaged"), Journal.open(output, {}):
        pass


@pytest.mark.slow
@pytest.mark.posix
def test_shards_are_cleaned_as_one_corpus_where_pairs_are_compared(run_nmt: RunNmt, tmp_path: Path) -> None:
    pairs = [(f"Satz {n} ist ein Satz.", f"Sentence {n} is a sentence.") for n in range(30)]
    parts = [
        [*pairs[:10], pairs[3], ("", "nothing")],
        [*pairs[10:20], pairs[4], (pairs[5][0].upper(), pairs[5][1])],  # of an earlier shard, and nearly so
        [*pairs[20:], pairs[12], ("Kopie & Kopie & Kopie", "Kopie & Kopie & Kopie")],
        [],
    ]
    for language, side in (("de", 0), ("en", 1)):
        (tmp_path / language).mkdir()
        for number, part in enumerate(parts):
            (tmp_path / language / f"{number}.{language}").write_text("".join(f"{pair[side]}\n" for pair in part))
        everything = "".join(f"{pair[side]}\n" for part in parts for pair in part)
        (tmp_path / f"all.{language}").write_text(everything)
    whole = run_nmt("clean", tmp_path / "all.de", tmp_path / "all.en", "-o", tmp_path / "whole")
    command = ("clean", tmp_path / "de", tmp_path / "en", "-o", tmp_path / "clean", "--workers", 1)
    done = run_nmt(*command, check=True)
    assert sorted(done.stdout.splitlines()) == sorted(whole.stdout.splitlines())
    assert "30 of 36 pairs are kept" in done.stdout
    assert "3: no lines, so nothing is written" in done.stderr
    for language in ("de", "en"):
        kept = "".join((tmp_path / "clean" / n / f"{n}.{language}").read_text() for n in "012")
        assert kept == (tmp_path / "whole" / f"all.{language}").read_text()
    # The folder of the first shard is that of the plain command; again, nothing is left to do.
    run_nmt("clean", tmp_path / "de" / "0.de", tmp_path / "en" / "0.en", "-o", tmp_path / "alone", check=True)
    assert contents(tmp_path / "alone") == contents(tmp_path / "clean" / "0")
    again = run_nmt(*command)
    assert (again.stdout, "of which 3 are done" in again.stderr) == (done.stdout, True)
    for language in ("de", "en"):
        shutil.copyfile(tmp_path / language / f"1.{language}", tmp_path / language / f"00.{language}")
    later = run_nmt(*command, check=True)
    assert "/1 has pairs of a shard that came later" in "".join(later.stderr.split("\n"))
    assert "/2 has" not in later.stderr
    journal = tmp_path / "clean" / JOURNAL
    journal.write_text(re.sub(r', "num_earlier": \d+', "", journal.read_text()))  # as nmt 0.1 wrote it
    assert "has pairs of" not in run_nmt(*command, check=True).stderr
    (tmp_path / "en" / "1.en").write_text("one line\n")
    refused(run_nmt("clean", tmp_path / "de", tmp_path / "en", "-o", tmp_path / "other"), "1.de has 12 lines, but")
    assert not (tmp_path / "other").exists()


@pytest.fixture
def ray_address(killer: Path) -> Iterator[str]:
    """The address of a cluster of three nodes of one core each."""
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="needs Ray")
    cluster = cluster_utils.Cluster()
    for _ in range(3):
        try:
            cluster.add_node(num_cpus=1, include_dashboard=False)
        except Exception as error:  # Ray gives up a node whose agents take more than 15 seconds to start
            cluster.shutdown()
            pytest.skip(f"Ray can't start a node on this machine now: {error}")
    yield cluster.address
    cluster.shutdown()


@pytest.mark.posix
@pytest.mark.slow
def test_a_ray_cluster_writes_the_same_although_a_worker_is_killed(
    run_nmt: RunNmt, tiny_model: Path, texts: Path, killer: Path, ray_address: str
) -> None:
    output = texts.with_name("out")
    command = [sys.executable, "-m", "nmt", "translate", tiny_model, "-i", texts, "-o", output, *map(str, OPTIONS)]
    command += ["--workers", "2", "--ray", ray_address, "--plugin", "killer"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=texts)
    assert done.returncode == 0, done.stderr
    assert "a worker was lost" in done.stderr
    assert "long.txt is done again" in " ".join(done.stderr.split())
    assert (killer / "killed").exists()
    assert contents(output) == translated_one_by_one(run_nmt, tiny_model, texts)
    assert not list(output.glob("*.partial"))
