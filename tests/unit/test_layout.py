"""The tree's own promises: what a newcomer relies on without reading code."""

import operator
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_the_operator_folder_does_not_hide_the_standard_module() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert operator.itemgetter(0)("ab") == "a"
    found = subprocess.run(
        [sys.executable, "-c", "import operator, collections; print(operator.__file__)"],
        cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert str(ROOT) not in found.stdout


def test_importing_the_light_parts_loads_no_heavy_library() -> None:
    heavy = ("torch", "transformers", "deepspeed", "vllm", "duckdb", "pyarrow", "kubernetes")
    code = (
        "import sys, lore_core, lore_core.cli, lore_core.jobs, lore_core.artifacts\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True)
    assert found.stdout.strip() == "[]"


INDEX_HOSTS = re.compile(
    r"pypi\.org|pythonhosted\.org|proxy\.golang\.org|sum\.golang\.org|registry\.npmjs\.org|deb\.debian\.org"
)


@pytest.mark.parametrize("path", tracked(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_names_a_package_index(path: Path) -> None:
    if path == Path(__file__):
        return
    text = path.read_bytes().decode("utf-8", errors="ignore")
    assert not INDEX_HOSTS.search(text)
