"""What `make campaign` runs whole and every other run in short."""

import os
from typing import Final

WHOLE: Final = os.environ.get("LORE_CAMPAIGN") == "1"
SEED: Final = int(os.environ.get("LORE_SEED", "0"))
"""Of what is drawn; `make campaign` takes a new one each time and prints it, and with LORE_SEED set it draws the same again."""
