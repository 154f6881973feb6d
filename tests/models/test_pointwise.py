"""1x1 convolutions give the same bits for any number of threads and any batch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fairy.models.pointwise import PointwiseConv2d, make_pointwise


def changed(model: nn.Module) -> nn.Module:
    make_pointwise(SimpleNamespace(components={"unet": model, "scheduler": object()}))
    return model


@torch.no_grad()
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_the_convolution(bias: bool):
    convolution = nn.Conv2d(96, 48, 1, bias=bias)
    images = torch.randn(3, 96, 7, 5)
    expected = convolution(images)
    torch.testing.assert_close(changed(convolution)(images), expected)
    assert isinstance(convolution, PointwiseConv2d)


@torch.no_grad()
@pytest.mark.parametrize("channels", [(96, 96), (288, 192), (640, 320)])
@pytest.mark.parametrize("size", [(12, 12), (18, 32)])
def test_threads_and_batch_change_no_bit(
    own_threads: None, channels: tuple[int, int], size: tuple[int, int]
):
    convolution = changed(nn.Conv2d(*channels, 1))
    images = torch.randn(6, channels[0], *size)
    results = []
    for number in (1, 2, 3):
        torch.set_num_threads(number)
        results += [convolution(images), torch.cat([convolution(one[None]) for one in images])]
    assert all(torch.equal(results[0], one) for one in results)


@pytest.mark.parametrize(
    "options",
    [{"kernel_size": 3}, {"kernel_size": 1, "stride": 2}, {"kernel_size": 1, "padding": 1},
     {"kernel_size": 1, "groups": 2}],
)  # fmt: skip
def test_others_stay(options: dict[str, int]):
    assert type(changed(nn.Conv2d(4, 4, **options))) is nn.Conv2d


def test_weights_keep_their_names():
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 8, 1))
    before = model.state_dict()
    assert changed(model).state_dict().keys() == before.keys()


def test_one_image_without_a_batch():
    assert changed(nn.Conv2d(4, 8, 1))(torch.zeros(4, 5, 6)).shape == (8, 5, 6)
