"""Write a tiny random image editor of a family, in diffusers format: `tiny_editor.py klein DIR`.

Every component is real and small, a few hundred kilobytes in all, so the whole way from a clip to
an edited clip runs in seconds on a CPU. The weights are random: its edits mean nothing. They are
scaled so that anchors change a frame visibly: `--anchor-strength` 0 and 1 differ.

    python examples/tiny_editor.py klein out/klein
    fairy edit clip.mp4 "make it snow" --model out/klein --size 64 --steps 2 -o snow.mp4
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
           "<|image_pad|>", "<|video_pad|>")  # fmt: skip
# One attention head of 16 channels; RoPE axes of 4 + 6 + 6
HEAD, AXES = 16, (4, 6, 6)
FLOW = {"use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15}


def make_tiny_editor(family: str, seed: int = 0) -> Any:
    """Return a pipeline of a family, float32 on the CPU.

    Raises:
        KeyError: no such family; `FAMILIES` names them.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pipe = FAMILIES[family]()
        for part in pipe.components.values():
            if isinstance(part, nn.Module):
                part.eval().requires_grad_(False)
        _make_anchors_visible(pipe, getattr(pipe, "transformer", None) or pipe.unet)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _make_anchors_visible(pipe: Any, denoiser: nn.Module) -> None:
    """Scale random weights so that attention to image tokens decides much of the result.

    As initialised, all scores are near 0, what attention adds is small beside the residual, and the
    decoder hardly answers to it.
    """
    for name, weight in denoiser.named_parameters():
        for parts, factor in SCALES.items():
            if any(part in name for part in parts):
                weight.mul_(factor)
                break
    for name, weight in pipe.vae.named_parameters():
        if name.endswith("bias"):
            weight.zero_()
        elif name.startswith("decoder.conv_out"):
            weight.mul_(2)


# The first line that fits a weight's name decides
SCALES = {
    # Text is looked at less
    ("norm_added_k", "txt_attn_k_norm", "embed_tokens"): 0.1,
    ("norm_q", "norm_k", "_q_norm", "_k_norm", "attn1.to_q"): 2,
    ("self_attn.to_q",): 10,
    (".to_out", ".to_v.", "attn_qkv", "attn_proj", ".to_qkv", "add_v_proj"): 5,
    ("proj_out", "conv_out"): 10,
    ("img_in", "x_embedder", "output_image_proj"): 0.3,
}


def _qwen_tokenizer() -> Any:
    """Return a tokenizer of bytes with the special tokens of Qwen's."""
    vocabulary = {token: index for index, token in enumerate(SPECIAL)}
    for byte in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[byte] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "vocab.json").write_text(json.dumps(vocabulary))
        Path(folder, "merges.txt").write_text("#version: 0.2\n")
        made = transformers.Qwen2Tokenizer.from_pretrained(
            folder, extra_special_tokens={"image_token": "<|image_pad|>"}
        )
    made.add_tokens(list(SPECIAL), special_tokens=True)
    made.pad_token = made.eos_token = SPECIAL[0]
    made.chat_template = CHATML
    return made


def _clip_tokenizer() -> Any:
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(c + "</w>" for c in letters)]
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = {token: index for index, token in enumerate(tokens)}
        Path(folder, "vocab.json").write_text(json.dumps(vocabulary))
        Path(folder, "merges.txt").write_text("#version: 0.2\n")
        return transformers.CLIPTokenizer.from_pretrained(folder, model_max_length=16)


def _clip_text(kind: type[Any], hidden: int) -> Any:
    config = transformers.CLIPTextConfig(
        vocab_size=54,
        hidden_size=hidden,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        projection_dim=hidden,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return kind(config)


def _kl(latent_channels: int, **entries: Any) -> Any:
    """Return an image autoencoder that shrinks by 8."""
    return diffusers.AutoencoderKL(
        block_out_channels=(4, 4, 4, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=latent_channels,
        norm_num_groups=2,
        sample_size=64,
        **entries,
    )


def _sdxl(is_cosxl_edit: bool = False) -> Any:
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=8,
        out_channels=4,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        transformer_layers_per_block=(1, 2),
        cross_attention_dim=16,
        attention_head_dim=(1, 2),
        norm_num_groups=4,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=8 + 6 * 4,
        use_linear_projection=True,
    )
    return diffusers.StableDiffusionXLInstructPix2PixPipeline(
        vae=_kl(4),
        text_encoder=_clip_text(transformers.CLIPTextModel, 8),
        text_encoder_2=_clip_text(transformers.CLIPTextModelWithProjection, 8),
        tokenizer=_clip_tokenizer(),
        tokenizer_2=_clip_tokenizer(),
        unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
        ),
        add_watermarker=False,
        is_cosxl_edit=is_cosxl_edit,
    )


def _controlnet() -> Any:
    """Return a pipeline of Stable Diffusion 1.5's kind with one ControlNet."""
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        transformer_layers_per_block=(1, 2),
        cross_attention_dim=8,
        attention_head_dim=(1, 2),
        norm_num_groups=4,
        use_linear_projection=True,
    )
    return diffusers.StableDiffusionControlNetPipeline(
        vae=_kl(4),
        text_encoder=_clip_text(transformers.CLIPTextModel, 8),
        tokenizer=_clip_tokenizer(),
        unet=unet,
        controlnet=_answering(
            diffusers.ControlNetModel.from_unet(
                unet, conditioning_embedding_out_channels=(4, 8, 8, 8)
            )
        ),
        scheduler=diffusers.DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _answering(controlnet: Any) -> Any:
    """Return a ControlNet that answers to its picture; before training its last layers are zero."""
    embedding = controlnet.controlnet_cond_embedding
    nn.init.normal_(embedding.conv_out.weight, std=0.3)
    for layer in (embedding.conv_in, *embedding.blocks):
        with torch.no_grad():
            layer.weight.mul_(4)
    for layer in (*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block):
        nn.init.normal_(layer.weight, std=0.3)
    return controlnet


def _kontext() -> Any:
    t5 = transformers.T5Config(
        vocab_size=300, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2
    )
    return diffusers.FluxKontextPipeline(
        vae=_kl(4, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1),
        text_encoder=_clip_text(transformers.CLIPTextModel, 8),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=transformers.T5EncoderModel(t5),
        tokenizer_2=_t5_tokenizer(),
        transformer=diffusers.FluxTransformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=HEAD,
            num_attention_heads=1,
            joint_attention_dim=16,
            pooled_projection_dim=8,
            guidance_embeds=True,
            axes_dims_rope=AXES,
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(**FLOW),
    )


def _t5_tokenizer() -> Any:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(letter, -3.0) for letter in "abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def _klein(is_distilled: bool = True) -> Any:
    # The pipeline reads the text encoder's layers 9, 18 and 27
    text = transformers.Qwen3Config(
        vocab_size=300,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=28,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=8,
    )
    return diffusers.Flux2KleinPipeline(
        text_encoder=transformers.Qwen3ForCausalLM(text),
        tokenizer=_qwen_tokenizer(),
        is_distilled=is_distilled,
        **_flux2_parts(joint_attention_dim=24, guidance_embeds=False),
    )


def _flux2_parts(**entries: Any) -> dict[str, Any]:
    return {
        "vae": diffusers.AutoencoderKLFlux2(
            block_out_channels=(4, 4, 4, 8),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=2,
            sample_size=64,
        ),
        "transformer": diffusers.Flux2Transformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=HEAD,
            num_attention_heads=1,
            timestep_guidance_channels=16,
            axes_dims_rope=(4, 4, 4, 4),
            **entries,
        ),
        "scheduler": diffusers.FlowMatchEulerDiscreteScheduler(**FLOW),
    }


def _flux2() -> Any:
    text = transformers.Mistral3Config(
        text_config=transformers.MistralConfig(
            vocab_size=300,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=31,
            num_attention_heads=1,
            num_key_value_heads=1,
            head_dim=8,
        ),
        vision_config=transformers.PixtralVisionConfig(
            hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
        ),
    )
    tokenizer = _qwen_tokenizer()
    tokenizer.chat_template = FLUX2_CHAT
    return diffusers.Flux2Pipeline(
        text_encoder=transformers.Mistral3ForConditionalGeneration(text),
        tokenizer=tokenizer,
        **_flux2_parts(joint_attention_dim=24, guidance_embeds=True),
    )


FLUX2_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}{{ c['text'] }}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
)


def _qwen_vae() -> Any:
    return diffusers.AutoencoderKLQwenImage(
        base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[
            False, True, True], latents_mean=[0.0] * 4, latents_std=[1.0] * 4
    )  # fmt: skip


def _qwen_vl() -> dict[str, Any]:
    """Return a vision-language model of the kind of Qwen2.5-VL and its processor."""
    tokenizer = _qwen_tokenizer()
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in IDS.items()}
    config = transformers.Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 300,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]},
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 16,
            "fullatt_block_indexes": [0],
        },
        **ids,
    )
    return {
        "text_encoder": transformers.Qwen2_5_VLForConditionalGeneration(config),
        "tokenizer": tokenizer,
        "processor": _qwen_vl_processor(tokenizer),
    }


IDS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}


def _qwen_vl_processor(tokenizer: Any) -> Any:
    """Return a processor of pictures and text; Qwen's own also takes videos, by torchvision."""
    images = transformers.Qwen2VLImageProcessorPil(min_pixels=56 * 56, max_pixels=56 * 56)
    return transformers.PaddleOCRVLProcessor(images, tokenizer)


def _qwen(plus: bool = True, zero_cond_t: bool = False) -> Any:
    kind = diffusers.QwenImageEditPlusPipeline if plus else diffusers.QwenImageEditPipeline
    return kind(
        vae=_qwen_vae(),
        transformer=diffusers.QwenImageTransformer2DModel(
            in_channels=16,
            out_channels=4,
            num_layers=3,
            attention_head_dim=HEAD,
            num_attention_heads=1,
            joint_attention_dim=16,
            axes_dims_rope=AXES,
            zero_cond_t=zero_cond_t,
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(**FLOW),
        **_qwen_vl(),
    )


def _longcat() -> Any:
    parts = _qwen_vl()
    return diffusers.LongCatImageEditPipeline(
        # The pipeline's latents have 16 channels
        vae=_kl(16, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1),
        text_processor=parts.pop("processor"),
        transformer=diffusers.LongCatImageTransformer2DModel(
            in_channels=64,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=HEAD,
            num_attention_heads=1,
            joint_attention_dim=16,
            pooled_projection_dim=16,
            axes_dims_rope=AXES,
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(**FLOW),
        **parts,
    )


def _wan_vae(**entries: Any) -> Any:
    return diffusers.AutoencoderKLWan(
        base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[
            False, True, True], latents_mean=[0.0] * 4, latents_std=[1.0] * 4, **entries
    )  # fmt: skip


def _joy(plus: bool = False) -> Any:
    tokenizer = _qwen_tokenizer()
    config = transformers.Qwen3VLConfig(
        text_config={
            "vocab_size": 300,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]},
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 16,
            "num_position_embeddings": 16,
            "patch_size": 14,
            "deepstack_visual_indexes": [0],
        },
        **{name: tokenizer.convert_tokens_to_ids(token) for name, token in IDS.items()},
    )
    suffix = "EditPlus" if plus else "Edit"
    transformer = getattr(diffusers, f"JoyImage{suffix}Transformer3DModel")(
        in_channels=4,
        hidden_size=HEAD,
        num_attention_heads=1,
        text_dim=16,
        num_layers=3,
        rope_dim_list=list(AXES),
    )
    return getattr(diffusers, f"JoyImage{suffix}Pipeline")(
        vae=_wan_vae(),
        text_encoder=transformers.Qwen3VLForConditionalGeneration(config),
        tokenizer=tokenizer,
        processor=_qwen_vl_processor(tokenizer),
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
    )


def _fibo() -> Any:
    text = transformers.SmolLM3Config(
        # The pipeline writes the token 128000 for an empty text
        vocab_size=128001,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=1,
        num_key_value_heads=1,
        pad_token_id=0,
    )
    return diffusers.BriaFiboEditPipeline(
        vae=_wan_vae(is_residual=False, patch_size=2, in_channels=12, out_channels=12),
        text_encoder=transformers.SmolLM3ForCausalLM(text),
        tokenizer=_qwen_tokenizer(),
        transformer=diffusers.BriaFiboTransformer2DModel(
            in_channels=4,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=HEAD,
            num_attention_heads=1,
            joint_attention_dim=16,
            text_encoder_dim=8,
            axes_dims_rope=list(AXES),
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(
            base_image_seq_len=256, max_image_seq_len=4096, **FLOW
        ),
    )


def _omnigen() -> Any:
    return diffusers.OmniGenPipeline(
        vae=_kl(4),
        tokenizer=_qwen_tokenizer(),
        transformer=diffusers.OmniGenTransformer2DModel(
            in_channels=4,
            hidden_size=32,
            num_attention_heads=2,
            num_key_value_heads=2,
            intermediate_size=16,
            num_layers=2,
            pad_token_id=0,
            vocab_size=300,
            rope_scaling={"short_factor": [1.0] * 8, "long_factor": [1.0] * 8},
            pos_embed_max_size=16,
            time_step_dim=16,
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True),
    )


FAMILIES: dict[str, Callable[[], Any]] = {
    "sdxl": _sdxl,
    "cosxl": lambda: _sdxl(is_cosxl_edit=True),
    "controlnet": _controlnet,
    "kontext": _kontext,
    "klein": _klein,
    "klein-base": lambda: _klein(is_distilled=False),
    "flux2": _flux2,
    "qwen": lambda: _qwen(plus=False),
    "qwen-plus": _qwen,
    "qwen-2511": lambda: _qwen(zero_cond_t=True),
    "longcat": _longcat,
    "joy": _joy,
    "joy-plus": lambda: _joy(plus=True),
    "fibo": _fibo,
    "omnigen": _omnigen,
}


def main() -> None:
    """Write the family named first to the folder named second."""
    if len(sys.argv) != 3 or sys.argv[1] not in FAMILIES:
        sys.exit(f"usage: tiny_editor.py FAMILY DIR, with one of {', '.join(FAMILIES)}")
    make_tiny_editor(sys.argv[1]).save_pretrained(sys.argv[2])
    print(sys.argv[2])


if __name__ == "__main__":
    main()
