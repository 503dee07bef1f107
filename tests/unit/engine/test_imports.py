"""What the processes of the operator's image load."""

import subprocess
import sys

import pytest


@pytest.fixture(scope="module", params=["lore_operator.__main__", "lore_operator.console.__main__"])
def loaded(request: pytest.FixtureRequest) -> set[str]:
    code = f"import sys, {request.param}; print('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    "library",
    ["torch", "kserve", "transformers", "vllm", "deepspeed", "duckdb", "pandas", "numpy", "httpx", "kubernetes"],
)
def test_they_never_load_what_they_do_not_use(loaded: set[str], library: str) -> None:
    assert library not in loaded
