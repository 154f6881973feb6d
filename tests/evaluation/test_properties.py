"""fairy/evaluation/properties.py."""

from __future__ import annotations

import pytest
import torch

from fairy import FairyPipeline
from fairy.evaluation.clips import rendered_clips
from fairy.evaluation.properties import (
    PROPERTIES,
    SCALE,
    TRANSLATION,
    draw_maps,
    measure_properties,
)


def test_a_model_has_every_property(tiny_pipeline):
    pipe = FairyPipeline.from_pipe(tiny_pipeline)
    pipe.defaults = type(pipe.defaults)(num_inference_steps=1, guidance_scale=1)
    (clip,) = rendered_clips(1, 4, (16, 24))
    found = measure_properties(pipe, clip, 2, 0)
    assert found.keys() == {row.key for row in PROPERTIES}
    assert found["equivariance_error"] > 0
    assert found["anchor_transfer"] > 0


def test_maps_stay_in_the_papers_ranges():
    theta = draw_maps(500, 1.0, torch.Generator().manual_seed(0))
    assert theta[:, :, 2].abs().max() <= 2 * TRANSLATION
    assert theta[:, :, 2].abs().max() > 1.8 * TRANSLATION
    size = theta[:, :, :2].det().sqrt()
    # Shear along both axes changes the area by less than tan(5 degrees) squared
    assert (size - 1).abs().max() < SCALE + 0.01


@pytest.mark.parametrize("aspect", [0.5, 1.5])
def test_a_turn_is_a_turn_in_pixels_not_in_shares_of_the_sides(aspect):
    square = draw_maps(3, 1.0, torch.Generator().manual_seed(1))
    wide = draw_maps(3, aspect, torch.Generator().manual_seed(1))
    sides = torch.diag(torch.tensor([aspect, 1.0]))
    in_pixels = sides @ wide[:, :, :2] @ sides.inverse()
    assert torch.allclose(in_pixels, square[:, :, :2], atol=1e-6)
