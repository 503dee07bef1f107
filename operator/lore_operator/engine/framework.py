"""kopf without the Kubernetes client library, which it loads wherever it is installed, only to know that library's objects.

That library's seven hundred modules are more than half of the operator's start and of its memory at rest.
"""

import sys
from typing import Final

_CLIENT: Final = "kubernetes"

_absent = _CLIENT not in sys.modules
if _absent:
    sys.modules[_CLIENT] = None  # type: ignore[assignment]  # an import of it fails as if it were not installed
try:
    import kopf
finally:
    if _absent:
        del sys.modules[_CLIENT]

__all__ = ["kopf"]
