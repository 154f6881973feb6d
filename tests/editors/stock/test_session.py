"""Ways of a session beyond the invariants: references, text, several at once, what is refused."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
import torch
from diffusers import FirstBlockCacheConfig

from examples.tiny_editor import make_tiny_editor
from fairy.editors.base import Anchor, EditInput
from fairy.editors.stock.editor import StockEditor
from fairy.editors.stock.hooks import attention_layers
from fairy.errors import InstructionError, ModelError, SettingsError
from fairy.settings import EditConfig
from tests.editors.stock.conftest import SIZE, STEPS, begin, edited, stock


def test_anchors_as_references_are_further_pictures_of_the_stock_call(make_editor, frames):
    editor = make_editor("klein")
    with begin(editor, frames, [1], anchors_as="reference") as session:
        result = session.edit_tensors([EditInput(0, frames[0])])[0]
        anchor = session.edit([EditInput(1, frames[1])])[0]
        arguments = session._call.arguments([frames[0]], [anchor])
    assert len(arguments["image"]) == 2
    expected = editor.pipe(**arguments, return_dict=False)[0][0].float()
    assert torch.equal(result, expected)
    assert torch.equal(session._anchors[1], stock(editor, frames[1]))


def test_too_many_references_are_refused(make_editor, frames):
    with pytest.raises(SettingsError, match="one picture only"):
        begin(make_editor("kontext"), frames, [0], anchors_as="reference")
    with pytest.raises(SettingsError, match="at most 2 anchors"):
        begin(make_editor("qwen-plus"), frames, [0, 1, 2], anchors_as="reference")


def count_encodings(editor, monkeypatch) -> list[int]:
    calls: list[int] = []
    encode = editor.pipe.encode_prompt

    def counted(*args, **kwargs):
        calls.append(1)
        return encode(*args, **kwargs)

    monkeypatch.setattr(editor.pipe, "encode_prompt", counted)
    return calls


def test_text_that_sees_no_picture_is_encoded_once(make_editor, frames, monkeypatch):
    editor = make_editor("klein")
    calls = count_encodings(editor, monkeypatch)
    edited(editor, frames, [0, 1], range(4))
    assert len(calls) == 1


def test_text_from_the_anchor_is_encoded_once_and_changes_frames(make_editor, frames, monkeypatch):
    editor = make_editor("qwen-plus")
    own = edited(editor, frames, [1], [0, 1])
    calls = count_encodings(editor, monkeypatch)
    shared = edited(editor, frames, [1], [0, 1], text_from="anchor")
    # The instruction and the negative prompt
    assert len(calls) == 2
    assert torch.equal(shared[1], own[1])
    assert not torch.equal(shared[0], own[0])


def test_kept_anchors_bring_back_their_text(make_editor, frames, tmp_path):
    editor = make_editor("qwen-plus")
    config = EditConfig(num_inference_steps=STEPS, text_from="anchor", seed=0)
    results = []
    for _ in range(2):
        with editor.begin(
            "snow", [Anchor(1, frames[1])], config, size=SIZE, anchor_store=tmp_path / "kept"
        ) as session:
            results.append(session.edit_tensors([EditInput(i, frames[i]) for i in (0, 1)]))
    assert (tmp_path / "kept").exists()
    assert torch.equal(*results)


def test_text_from_an_anchor_needs_an_encoder_that_sees(make_editor, frames):
    with pytest.raises(SettingsError, match="sees no pictures"):
        begin(make_editor("klein"), frames, [0], text_from="anchor")


def test_sessions_in_threads_do_not_mix(make_editor, frames):
    editors = [make_editor(family) for family in ("kontext", "kontext", "klein")]
    expected = [edited(editor, frames, [n, 3], [2]) for n, editor in enumerate(editors)]
    found: dict[int, torch.Tensor] = {}

    def work(n: int) -> None:
        found[n] = edited(editors[n], frames, [n, 3], [2])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found[n], expected[n]) for n in range(3))


@pytest.mark.parametrize("family", ["sdxl", "kontext"])
def test_backends_agree(make_editor, frames, family):
    editor = make_editor(family)
    results = [edited(editor, frames, [1], [0], backend=name) for name in ("sdpa", "reference")]
    assert (results[0] - results[1]).abs().max() < 1e-3


def test_strengths_between_are_between(make_editor, frames):
    editor = make_editor("kontext")
    results = [edited(editor, frames, [1], [0], anchor_strength=s) for s in (0, 1e-6, 1)]
    assert (results[1] - results[0]).abs().max() < (results[2] - results[0]).abs().max() / 10


@pytest.mark.slow
def test_an_editor_sent_to_another_process_edits_alike(frames):
    # Before its first edit: transformers then puts hooks on text encoders that cannot be sent
    editor = StockEditor(make_tiny_editor("sdxl"))
    sent = pickle.loads(pickle.dumps(editor))
    assert sent.family is editor.family
    assert torch.equal(edited(sent, frames, [1], [0]), edited(editor, frames, [1], [0]))


@pytest.mark.slow
def test_compiled_blocks_keep_the_result(make_editor, frames):
    plain = edited(make_editor("kontext"), frames, [1], [0])
    editor = StockEditor(make_tiny_editor("kontext"))
    editor.denoiser.compile_repeated_blocks(backend="eager")
    assert (edited(editor, frames, [1], [0]) - plain).abs().max() < 1e-5


def test_layers_are_those_of_the_denoiser(make_editor):
    names = attention_layers(make_editor("sdxl").denoiser)
    assert names and all(name.endswith("attn1") for name in names)
    assert len(attention_layers(make_editor("klein").denoiser)) == 2


def test_call_arguments_of_the_user_reach_the_pipeline(make_editor, frames):
    editor = make_editor("kontext")
    longer = StockEditor.from_pipe(editor.pipe, max_sequence_length=16)
    assert not torch.equal(edited(longer, frames, [0], [0]), edited(editor, frames, [0], [0]))


@pytest.mark.parametrize(
    ("family", "settings", "words"),
    [
        ("klein", {"quality": "fast"}, "InstructPix2Pix's UNets only"),
        ("klein", {"image_guidance_scale": 1.5}, "no weight of the source"),
        ("klein", {"negative_prompt": "blur"}, "takes none"),
        ("klein", {"backend": "triton", "anchor_strength": 0.5}, "use sdpa"),
    ],
)
def test_what_a_family_lacks_is_refused(make_editor, frames, family, settings, words):
    with pytest.raises(SettingsError, match=words):
        begin(make_editor(family), frames, [0], **settings)


def test_bad_calls(make_editor, frames):
    editor, config = make_editor("klein"), EditConfig()
    anchors = [Anchor(0, frames[0])]
    with pytest.raises(InstructionError):
        editor.begin(" ", anchors, config, size=SIZE)
    with pytest.raises(ValueError, match="sorted"):
        editor.begin("snow", [], config, size=SIZE)
    with pytest.raises(ValueError, match="multiples of 16"):
        editor.begin("snow", anchors, config, size=(72, 72))
    with pytest.raises(SettingsError, match="at least 64 pixels"):
        editor.begin("snow", anchors, config, size=(32, 64))
    with begin(editor, frames, [0]) as session, pytest.raises(SettingsError, match="mask"):
        session.edit([EditInput(1, frames[1], mask=torch.ones(SIZE))])


def test_a_step_cache_is_refused(frames):
    from examples.tiny_editor import make_tiny_editor

    editor = StockEditor(make_tiny_editor("kontext"))
    editor.denoiser.enable_cache(FirstBlockCacheConfig(threshold=0.1))
    with pytest.raises(SettingsError, match="disable_cache"):
        begin(editor, frames, [0])


def test_an_unknown_pipeline_is_refused(tiny_pipeline):
    with pytest.raises(ModelError, match="it knows"):
        StockEditor.from_pipe(tiny_pipeline)


def test_identity_changes_with_a_weight(make_editor):
    from examples.tiny_editor import make_tiny_editor

    one, same, other = (StockEditor(make_tiny_editor("kontext", seed)) for seed in (0, 0, 1))
    assert one.identity() == same.identity() != other.identity()


def test_edit_rounds_as_diffusers(make_editor, frames):
    editor = make_editor("kontext")
    with begin(editor, frames, [0]) as session:
        arguments = session._call.arguments([frames[0]]) | {"output_type": "pil"}
        result = session.edit([EditInput(0, frames[0])])[0]
    expected = editor.pipe(**arguments, return_dict=False)[0][0]
    assert np.array_equal(result, np.asarray(expected))


def test_step_by_step_holds_one_step(make_editor, frames, monkeypatch):
    editor = make_editor("klein")
    with begin(editor, frames, [1, 3], anchor_cache="whole") as session:
        whole = session.used.anchor_cache_bytes
    with begin(editor, frames, [1, 3], anchor_cache="step") as session:
        cache, held = session._sharing.cache, []
        drop = cache.drop
        monkeypatch.setattr(cache, "drop", lambda step: (held.append(cache.num_bytes), drop(step)))
        session.edit([EditInput(0, frames[0])])
    # After the last step there is nothing left but decoding
    assert held == [whole // STEPS] * STEPS + [0]
    assert cache.num_bytes == 0
