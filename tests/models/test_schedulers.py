"""Schedulers for few steps."""

from __future__ import annotations

import pytest
from diffusers import DDIMScheduler, DDPMScheduler, EulerAncestralDiscreteScheduler

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


def predicting_samples(kind):
    return kind(beta_schedule="scaled_linear", prediction_type="sample")


@pytest.mark.parametrize("own", [DDPMScheduler, DDIMScheduler])
def test_model_that_predicts_samples_keeps_its_own_scheduler_trailing(own):
    # Euler ancestral is the default, and cannot step with samples
    scheduler = make_scheduler("euler_ancestral", predicting_samples(own))
    assert type(scheduler) is own
    assert scheduler.config.timestep_spacing == "trailing"


@pytest.mark.parametrize("name", ["euler_ancestral", None])
def test_scheduler_that_cannot_step_with_samples_is_replaced(name):
    own = predicting_samples(EulerAncestralDiscreteScheduler)
    assert type(make_scheduler(name, own)) is DDPMScheduler


def test_other_schedulers_step_with_samples():
    assert type(make_scheduler("euler", predicting_samples(DDPMScheduler))) is SCHEDULERS["euler"]


def test_without_a_name_the_models_own_stays(tiny_pipeline):
    assert make_scheduler(None, tiny_pipeline.scheduler) is tiny_pipeline.scheduler
