"""Schedulers for few steps."""

from __future__ import annotations

import pytest

from fairy.errors import ModelError
from fairy.models.schedulers import SCHEDULERS, make_scheduler


@pytest.mark.parametrize("name", SCHEDULERS)
def test_ten_steps_begin_at_the_noisiest_timestep(tiny_pipeline, name):
    scheduler = make_scheduler(name, tiny_pipeline.scheduler)
    scheduler.set_timesteps(10)
    assert scheduler.timesteps[0] == 999
    assert scheduler.timesteps[-1] == 99


def test_noise_schedule_is_the_models_own(tiny_pipeline):
    scheduler = make_scheduler("euler", tiny_pipeline.scheduler)
    assert scheduler.config.beta_schedule == "scaled_linear"


def test_unknown_name_is_refused(tiny_pipeline):
    with pytest.raises(ModelError, match="euler_ancestral"):
        make_scheduler("magic", tiny_pipeline.scheduler)
