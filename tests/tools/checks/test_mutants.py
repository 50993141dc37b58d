"""The list of named mutants fits the code and the tests that it names."""

import ast
from pathlib import Path

import mutants


def test_each_named_mutant_can_be_made_and_the_tests_that_notice_it_exist(repo_root: Path) -> None:
    named = list(mutants.named_mutants([]))
    assert len({mutant.before for mutant in named}) == len(named) > 0, "names are different"
    for mutant in named:
        text = (repo_root / mutant.file).read_text("utf-8")
        assert mutant.source != text, mutant.before
        if mutant.file.endswith(".py"):
            ast.parse(mutant.source)
        assert mutant.tests
        for file, _, name in (test.partition("::") for test in mutant.tests):
            if file.startswith("tests/extensions/") and not (repo_root / file).parent.is_dir():
                continue
            assert f"def {name.partition('[')[0]}(" in (repo_root / file).read_text("utf-8"), mutant.before
