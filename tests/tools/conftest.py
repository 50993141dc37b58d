"""What the tests of the tools share."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from fixture_types import LoadTool


@pytest.fixture(scope="session")
def load_tool(repo_root: Path) -> LoadTool:
    """``load_tool("bench/turns")``: a script with what stands in its folder, as Python finds it when it is run."""

    def load(name: str) -> ModuleType:
        path = repo_root / "tools" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"tool_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(path.parent))
            spec.loader.exec_module(module)
        return module

    return load
