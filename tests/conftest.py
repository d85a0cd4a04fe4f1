"""Settings for all tests: Hypothesis draws the same examples every time, so that a red build is red for everyone."""

from hypothesis import HealthCheck, settings

settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")
