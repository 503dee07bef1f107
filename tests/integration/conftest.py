import os
from pathlib import Path

import pytest

from lore_core.scoring.server import serving_python


@pytest.fixture(scope="session")
def serving_environment() -> None:
    """Skips where there is no vLLM; in CI its absence is a failure."""
    if not Path(serving_python()).exists():
        message = "no serving environment: run `make setup`, or name one by LORE_SERVING_PYTHON"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
