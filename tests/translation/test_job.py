"""Which lines of a stopped job are done, which are translated again, and what a worker reports."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from shouting import LINES, SHOUTED, job

from nmt.core.errors import UserError
from nmt.core.text import read_lines
from nmt.jobs.forked import CAN_FORK
from nmt.translation import job as module
from nmt.translation.job import TranslationJob
from nmt.translation.load import load


@pytest.mark.parametrize("num_wrong", range(6))
def test_output_is_of_another_job_where_most_of_its_last_lines_differ(num_wrong: int) -> None:
    done = [*SHOUTED[: 8 - num_wrong], *["other"] * num_wrong]
    if num_wrong < 3:
        assert job().skip(iter(LINES), done, "out.partial")[0] == 8
    else:
        with pytest.raises(UserError, match=f"out.partial comes from another job: line {9 - num_wrong} is 'other'"):
            job().skip(iter(LINES), done, "out.partial")


@pytest.mark.quick("3")
@pytest.mark.skipif(not CAN_FORK, reason="forked processes are for Linux")
@pytest.mark.parametrize("num_done", [0, 3, 4, 7])
def test_processes_translate_as_one_does(num_done: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOW", 1)  # of batches, so a window has two lines
    again = LINES[num_done // 2 * 2 : num_done]
    several = replace(job(), num_processes=3).run(iter(LINES[num_done:]), num_done + 1, again=again)
    assert [each.text for each in several] == SHOUTED[num_done:]


def test_an_error_in_the_next_line_of_a_resumed_job_is_raised(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(LINES[0].encode() + b"\n\xff\n" + LINES[1].encode())
    lines = read_lines(tmp_path / "in")
    num_done, again = job().skip(lines, SHOUTED[:1], "out.partial")
    with pytest.raises(UserError, match="line 2: not UTF-8"):
        list(job().run(lines, num_done + 1, again=again))


def test_several_processes_need_a_file_and_a_model_on_a_cpu(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "lines"
    file.write_text("line\n")
    own = TranslationJob(load(tiny_model, "cpu"), str)
    assert own.in_processes("-") is own
    with pytest.raises(UserError, match="Several --workers need a file"):
        own.in_processes("-", 2)
    assert own.in_processes("-", 1) is own
    monkeypatch.setattr(module, "CAN_FORK", True)
    assert own.in_processes(str(file), 3).num_processes == 3
    assert own.in_processes(str(file)).num_processes == torch.get_num_threads()
    with pytest.raises(UserError, match="Several --workers need a file"):
        replace(own, stages=(cast("Any", object()),)).in_processes(str(file), 2)


@pytest.mark.parametrize("num_done", [0, 3, 4, 7])
def test_the_window_in_which_a_job_was_stopped_is_translated_again(
    num_done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WINDOW", 2)  # of batches, so a window has four lines
    lines = iter(LINES)
    assert job().skip(lines, SHOUTED[:num_done], "out.partial") == (num_done, LINES[num_done // 4 * 4 : num_done])
    again = LINES[num_done // 4 * 4 : num_done]
    assert [each.text for each in job().run(lines, num_done + 1, again=again)] == SHOUTED[num_done:]
