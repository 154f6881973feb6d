"""Each missing extra is one line that names the command to install it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fairy.analysis.track import checked_chart
from fairy.editors.stock.control_images import ControlImages
from fairy.errors import FairyError
from fairy.media.signing import FileSigner
from fairy.media.upscale import load_upscaler
from fairy.models.controlnets import Control
from fairy.models.stock import load_loras

CPU, POSE = torch.device("cpu"), [Control("pose", "a/b", 1.0)]
# Package, what needs it, its extra
NEEDED: list[tuple[str, Callable[[Path], object], str]] = [
    ("c2pa", lambda path: FileSigner(path, path), "c2pa"),
    ("controlnet_aux", lambda path: ControlImages(POSE, CPU), "control"),
    ("matplotlib", lambda path: checked_chart(path / "a.png", overwrite=False), "eval"),
    ("peft", lambda path: load_loras(None, ["a/b"]), "lora"),
    ("spandrel", lambda path: load_upscaler(str(path / "a.pth"), CPU), "upscale"),
]


@pytest.mark.parametrize(("package", "use", "extra"), NEEDED)
def test_a_missing_package_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str, use, extra: str
):
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "a.pth").write_bytes(b"")
    with pytest.raises(FairyError) as raised:
        use(tmp_path)
    assert f"pip install 'fairy-video[{extra}]'" in str(raised.value)
    assert "\n" not in str(raised.value)
