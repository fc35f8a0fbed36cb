"""How many examples a property is tried on: few and always the same in `make test`, many at random in `make fuzz`."""

import os

from hypothesis import settings

PROFILE = os.environ.get("EVALKIT_HYPOTHESIS_PROFILE", "repeatable")
FUZZ_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5000"))


def register_profiles() -> None:
    """Load the profile that ``EVALKIT_HYPOTHESIS_PROFILE`` names."""
    settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
    settings.register_profile("fuzz", max_examples=FUZZ_EXAMPLES, deadline=None)
    settings.load_profile(PROFILE)


def draws(count: int) -> settings:
    """Return the settings of a test that draws ``count`` examples; the random search keeps its own number."""
    return settings() if PROFILE == "fuzz" else settings(max_examples=count)
