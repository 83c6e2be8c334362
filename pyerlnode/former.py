"""Import paths that modules had before they were grouped into packages; each still gives the same objects."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class Former:
    """Finds, for a path of `moved`, a module with the names of the one that took its place."""

    def __init__(self, moved: dict[str, str]) -> None:
        self.moved = moved

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        return ModuleSpec(name, self) if name in self.moved else None  # type: ignore[arg-type]  # a loader by its methods

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:  # noqa: ARG002  # the loader's protocol
        return None

    def exec_module(self, module: ModuleType) -> None:
        present = import_module(self.moved[module.__name__])
        module.__dict__.update({name: value for name, value in vars(present).items() if not name.startswith("__")})
        module.__doc__ = f"`{present.__name__}` under its former name."


def keep(package: str, **moved: str) -> None:
    """Let ``package.former`` be imported as long as ``package.present`` is there, for each ``former=present``."""
    sys.meta_path.append(Former({f"{package}.{old}": f"{package}.{new}" for old, new in moved.items()}))
