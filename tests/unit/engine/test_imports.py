"""What the operator's process loads."""

import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    code = "import sys, lore_operator.__main__; print('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    "library", ["torch", "kserve", "transformers", "vllm", "deepspeed", "duckdb", "pandas", "numpy", "httpx"]
)
def test_the_operator_never_loads_what_it_does_not_use(loaded: set[str], library: str) -> None:
    assert library not in loaded
