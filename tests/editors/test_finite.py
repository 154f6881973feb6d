"""NaN and infinity stop an edit at its first batch, with where they began and the likely cause."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fairy.editors.base import Anchor, EditInput
from fairy.editors.finite import FiniteSteps, check_finite
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.editors.ip2p.session import CallOptions
from fairy.errors import NumbersError
from fairy.jobs.edit import edit_video
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.tiny import make_frames

FRAMES = make_frames(3, height=12, width=16)
BAD = [float("nan"), float("inf"), float("-inf")]


@pytest.fixture
def pipe(tiny_pipeline) -> FairyPipeline:
    return FairyPipeline.from_pipe(tiny_pipeline)


def edit(pipe: FairyPipeline, settings: EditConfig | None = None, **options: object) -> None:
    settings = settings or EditConfig(num_inference_steps=3)
    anchors = [Anchor(1, FRAMES[1])]
    pipe.begin(
        "make it red", anchors, settings, size=(12, 16), options=CallOptions(**options)
    ).close()


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize(
    ("part", "where"),
    [
        ("vae.encoder", "encoding the frames"),
        ("text_encoder", "encoding the instruction"),
        ("unet", "step 1 of 3 of the anchors"),
        ("vae.decoder", "decoding the results"),
    ],
)
def test_broken_weights_are_named(pipe: FairyPipeline, part: str, where: str, value: float):
    module = pipe
    for name in part.split("."):
        module = getattr(module, name)
    name, weight = list(module.named_parameters())[-1]
    with torch.no_grad():
        weight.view(-1)[0] = value
    message = (
        rf"^{where} gave NaN or infinity: the model's weights hold some already \({part}.*{name}\)"
    )
    with pytest.raises(NumbersError, match=message):
        edit(pipe)


@pytest.mark.parametrize("value", BAD)
def test_the_step_is_named(pipe: FairyPipeline, value: float):
    def spoil(index, timestep, tensors):
        return {"latents": tensors["latents"] * (value if index == 0 else 1)}

    with pytest.raises(NumbersError, match="step 2 of 3 of the anchors gave NaN or infinity"):
        edit(pipe, on_step_end=spoil)


def test_frames_are_looked_at_too(pipe: FairyPipeline):
    anchors = [Anchor(1, FRAMES[1])]
    with pipe.begin("snow", anchors, EditConfig(num_inference_steps=2), size=(12, 16)) as session:
        with torch.no_grad():
            pipe.unet.conv_out.bias[0] = float("nan")
        with pytest.raises(NumbersError, match="step 1 of 2 of the frames"):
            session.edit([EditInput(0, FRAMES[0])])


def test_float16_is_named_as_the_cause():
    model = nn.Linear(2, 2, dtype=torch.float16)
    with pytest.raises(NumbersError, match="use --dtype bfloat16 or float32"):
        check_finite(torch.tensor([float("inf")]), "a step", {"unet": model})


def test_strong_guidance_is_named_as_the_cause():
    with pytest.raises(NumbersError, match="guidance 500 is too strong"):
        check_finite(torch.tensor([float("inf")]), "a step", {"unet": nn.Linear(2, 2)}, 500.0)


def test_finite_numbers_pass():
    check_finite(torch.tensor([65_504.0, -1e30]), "a step", {})
    steps = FiniteSteps()
    steps.add(torch.ones(3))
    assert len(steps) == 1 and steps.first_bad() is None


def test_an_edit_that_goes_wrong_leaves_no_result(pipe: FairyPipeline, tmp_path):
    with torch.no_grad():
        pipe.unet.conv_out.bias[0] = float("nan")
    write_video(np.stack(FRAMES), tmp_path / "clip.mp4")
    config = EditConfig(num_inference_steps=1, size=16, shots="off")
    with pytest.raises(NumbersError):
        edit_video(tmp_path / "clip.mp4", "snow", tmp_path / "out.mp4", config, pipeline=pipe)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
