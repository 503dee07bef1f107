"""What holds for every layer."""

import os

from hypothesis import HealthCheck, settings

# How long a drawn example takes says something about the machine, not about the code. CI draws the same examples each time,
# so that a change is judged by itself; everywhere else every run draws new ones.
settings.register_profile(
    "lore",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("CI") == "true",
)
settings.load_profile("lore")
