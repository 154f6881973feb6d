"""An edit does not depend on the number of threads: several workers have fewer each."""

from __future__ import annotations

import torch

from fairy.editors.ip2p.pipeline import FairyPipeline
from tests.tiny import make_frames


def test_the_bundled_model_gives_the_same_bits(own_threads: None):
    mini = FairyPipeline.from_pretrained("mini")
    mini.set_progress_bar_config(disable=True)
    results = []
    for number in (1, 2, 3):
        torch.set_num_threads(number)
        noise = torch.Generator().manual_seed(0)
        frames = make_frames(4, 96, 96)
        results.append(mini(frames, "make it night", output_type="pt", generator=noise).frames)
    assert all(torch.equal(results[0], one) for one in results)
