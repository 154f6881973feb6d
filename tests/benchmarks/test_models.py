"""benchmarks/_models.py: architectures with random weights are what they say they are."""

from __future__ import annotations

import torch
from _models import ARCHITECTURES, _text_encoder, _tokenizer, _unet, _vae, load_model

from tests.tiny import make_frames

SD15 = ARCHITECTURES["sd15"]
# Stable Diffusion 1.5's own, with 4 input channels: its checkpoint's numbers
SD15_UNET, SD15_VAE, SD15_TEXT = 859_520_964, 83_653_863, 123_060_480


def num_parameters(model: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def test_sd15_has_the_checkpoint_s_number_of_weights():
    tokenizer = _tokenizer(SD15.text_tokens)
    with torch.device("meta"):
        unet, vae, text = _unet(SD15), _vae(SD15), _text_encoder(SD15, tokenizer)
    # InstructPix2Pix: 4 more channels into a 3x3 convolution
    assert num_parameters(unet) == SD15_UNET + 4 * 320 * 9
    assert num_parameters(vae) == SD15_VAE
    assert num_parameters(text) == SD15_TEXT


def test_random_model_edits_in_the_dtype_asked_for():
    pipe = load_model("sd15-tiny", "cpu", "bfloat16")
    assert pipe.unet.dtype == pipe.vae.dtype == pipe.text_encoder.dtype == torch.bfloat16
    frames = pipe(make_frames(2, 32, 32), "make it snow", num_inference_steps=1, num_anchors=1)
    assert frames.frames.shape == (2, 32, 32, 3)


def test_random_weights_are_the_same_each_time_and_leave_the_seed_alone():
    before = torch.random.get_rng_state()
    first, second = (load_model("sd15-tiny", "cpu").unet.conv_in.weight for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_default_dtype() == torch.float32
