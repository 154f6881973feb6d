"""The identity of a model changes with all that changes its edits, and with nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler

from fairy.editors.ip2p.pipeline import FairyPipeline


@pytest.fixture
def pipe(tiny_pipeline) -> FairyPipeline:
    return FairyPipeline.from_pipe(tiny_pipeline)


def test_two_pipelines_of_one_model_are_the_same(pipe):
    assert FairyPipeline.from_pipe(pipe).identity() == pipe.identity()


def change_weight(pipe: FairyPipeline) -> None:
    with torch.no_grad():
        pipe.unet.conv_in.weight[0, 0, 0, 0] += 1


def change_scheduler(pipe: FairyPipeline) -> None:
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)


def change_defaults(pipe: FairyPipeline) -> None:
    pipe.defaults = replace(pipe.defaults, size=100)


def change_dtype(pipe: FairyPipeline) -> None:
    pipe.to(torch.bfloat16)


@pytest.mark.parametrize("change", [change_weight, change_scheduler, change_defaults, change_dtype])
def test_what_changes_an_edit_changes_the_identity(pipe, change):
    before = pipe.identity()
    change(pipe)
    assert pipe.identity() != before
