"""The API group's names."""

from typing import Final

GROUP: Final = "lore-platform.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CATEGORY: Final = "lore"
