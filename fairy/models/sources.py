"""Name -> where a model is: "mini" (bundled), a folder, a single .safetensors file, or a hub id.

It imports no torch, so that a name is checked, and a page shown, before anything is loaded.
Tests: tests/models/test_registry.py.
"""

from __future__ import annotations

from pathlib import Path

from fairy.errors import ModelError

MINI = Path(__file__).parent / "mini"
PICKLES = {".ckpt", ".pt", ".pth", ".bin"}
ALLOWED = "use mini, a folder in diffusers format, a .safetensors file or a hub id"


def find_model(name: str | Path) -> str | Path:
    """Return the folder or file of `name`, or `name` itself as a string if it may be a hub id.

    Raises:
        ModelError: there is no such model, or its file type is never loaded.
    """
    if str(name) == "mini":
        if not (MINI / "model_index.json").is_file():
            raise ModelError("model mini is not installed; train it, or use another model")
        return MINI
    path = Path(name).expanduser()
    if path.suffix in PICKLES or (path.is_file() and path.suffix != ".safetensors"):
        raise ModelError(f"model {name}: only .safetensors files are loaded; convert it first")
    if path.is_dir() and not (path / "model_index.json").is_file():
        raise ModelError(f"model {name}: no model_index.json in this folder; {ALLOWED}")
    if path.exists():
        return path
    is_hub_id = str(name).count("/") == 1 and not str(name).startswith((".", "/", "~"))
    if not is_hub_id:
        raise ModelError(f"model {name}: no such model; {ALLOWED}")
    return str(name)
