"""What holds for every layer."""

from hypothesis import HealthCheck, settings

# How long a drawn example takes says something about the machine, not about the code.
settings.register_profile("lore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lore")
