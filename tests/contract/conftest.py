"""Properties are judged by what they find: a busy machine is no counterexample."""

from hypothesis import settings

settings.register_profile("contract", deadline=None)
settings.load_profile("contract")
