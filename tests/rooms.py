"""Who may import whom: the one table, and how imports are read from the code.

A room is a package or module directly in `fairy/`, or `fairy_kernels`. Imports go
downwards only: a room may import what its row names, and itself.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]

# What every room above may use
BASE = {"errors", "interrupt", "options", "settings", "system", "synthetic"}
METHOD = {"fairy_kernels", "anchors", "editors", "models", "media"}

MAY_IMPORT: dict[str, set[str]] = {
    # The doors: the public names, the command, `python -m fairy`
    "__init__": {"errors", "settings", "editors", "jobs", "media"},
    "__main__": {"cli"},
    "cli": BASE
    | METHOD
    | {"metrics", "analysis", "evaluation", "training", "doctor", "jobs", "batch", "app"},
    "app": BASE | METHOD | {"jobs"},
    "doctor": BASE | METHOD,
    "training": BASE | METHOD,
    "evaluation": BASE | METHOD | {"metrics", "analysis"},
    "batch": BASE | METHOD | {"control", "jobs"},
    "jobs": BASE | METHOD | {"control"},
    "analysis": BASE | METHOD | {"metrics"},
    "metrics": BASE | {"media"},
    "control": BASE | {"media"},
    "editors": BASE | {"fairy_kernels", "anchors", "models", "media"},
    "anchors": BASE | {"fairy_kernels"},
    "fairy_kernels": set(),
    "models": BASE,
    "media": BASE,
    "synthetic": {"errors"},
    "settings": {"errors", "options"},
    "options": {"errors"},
    "interrupt": {"errors"},
    "system": set(),
    "errors": set(),
}

# Libraries that one room alone may import
OWNERS = {"av": "media", "gradio": "app", "typer": "cli", "rich": "cli"}

# (module, what it imports): why it may, against the table
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("fairy.anchors.selection", "fairy.media.shots"): "the type of a shot",
    ("fairy.training.__main__", "fairy.cli.train"): "a door: `python -m fairy.training`",
}


@dataclass(frozen=True)
class Import:
    """One import: the module that contains it, the line, and the imported name."""

    module: str
    line: int
    target: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def room_of(module: str) -> str | None:
    """Return the room of a module by its dotted name; None for what is not ours.

    >>> room_of("fairy.media.read"), room_of("fairy"), room_of("torch.nn")
    ('media', '__init__', None)
    """
    top, _, rest = module.partition(".")
    if top == "fairy_kernels":
        return top
    return (rest.split(".")[0] or "__init__") if top == "fairy" else None


def imports_in(root: Path = ROOT) -> Iterator[Import]:
    """Yield every import in `fairy/` and `fairy_kernels/`, also in functions and for types only."""
    for source in (root, root / "kernels"):
        for path in sorted([*source.glob("fairy/**/*.py"), *source.glob("fairy_kernels/**/*.py")]):
            parts = path.relative_to(source).with_suffix("").parts
            package = parts[:-1]
            module = ".".join(package if parts[-1] == "__init__" else parts)
            for line, target in _imports_of(path.read_text(encoding="utf-8"), package):
                yield Import(module, line, target)


def violations(root: Path = ROOT) -> list[Import]:
    """Return the imports that neither the table nor an exception allows."""
    return [one for one in imports_in(root) if not _allowed(one) and not _excepted(one)]


@cache  # the tests read copies of the same files many times
def _imports_of(text: str, package: tuple[str, ...]) -> list[tuple[int, str]]:
    """Return the line and the imported name of every import in a file of this package."""
    return [
        (node.lineno, target)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for target in _targets(node, package)
    ]


def _targets(node: ast.Import | ast.ImportFrom, package: tuple[str, ...]) -> list[str]:
    """Return the modules that an import statement names; a name of `fairy` itself with it."""
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    base = package[: len(package) - node.level + 1] if node.level else ()
    module = ".".join([*base, *([node.module] if node.module else [])])
    if module != "fairy":
        return [module]
    return [f"fairy.{name.name}" if name.name in MAY_IMPORT else "fairy" for name in node.names]


def _allowed(one: Import) -> bool:
    room = room_of(one.module)
    target = room_of(one.target)
    if target is None:
        return OWNERS.get(one.target.split(".")[0], room) == room
    # `import fairy` is for its version
    return target in ("__init__", room) or target in MAY_IMPORT.get(room or "", set())


def _excepted(one: Import) -> bool:
    return (one.module, one.target) in EXCEPTIONS
