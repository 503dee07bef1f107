"""A cluster of the user's own, named by KUBECONFIG."""

import os
from pathlib import Path


def kubeconfig(own: Path) -> str | None:
    """The value of KUBECONFIG unless it is unset or names the cluster that this package itself runs."""
    named = os.environ.get("KUBECONFIG")
    if not named or Path(named).absolute() == own.absolute():
        return None
    return named
