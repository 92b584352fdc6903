"""What the wiring is tested with."""

from tests.app.conftest import _no_environment, events, new_folder, settings

__all__ = ["_no_environment", "events", "new_folder", "settings"]
