"""What all suites share: Hypothesis runs the same examples everywhere and is not timed."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "windowshop", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("windowshop")
