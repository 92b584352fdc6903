"""Modules that are imported when something of them is first used: `--help` is quick without them."""

import importlib.util
import sys
from types import ModuleType


def imported_late(name: str) -> ModuleType:
    """Give a module, which is imported as soon as it is asked for an attribute."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.find_spec(name)
    assert spec is not None, name
    assert spec.loader is not None, name
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
