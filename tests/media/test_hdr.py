from fractions import Fraction

import av
import numpy as np
import pytest

from fairy.media import VideoWriter, probe, read_frames
from fairy.media.hdr import (
    HLG,
    PQ,
    USUAL_PEAK,
    WHITE,
    ToneMap,
    compress,
    hlg_to_scene,
    light_to_pq,
    pq_to_light,
)

LIGHT = np.array([0.0, 0.5, 5.0, 20.0, 50.0, 100.0, 203.0, 500.0, 1000.0])


def coded(light, curve=PQ):
    """Return grey of this light in cd/m2 as 16-bit codes (1,N,3)."""
    code = light_to_pq(light) if curve == PQ else hlg_code(np.asarray(light))
    return np.repeat(np.rint(65535 * code).astype(np.uint16)[None, :, None], 3, axis=-1)


def hlg_code(light):
    """The inverse of HLG on a 1000 cd/m2 display (BT.2100): light to scene light to code."""
    scene = (light / 1000) ** (1 / 1.2)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(12 * scene - b) + c)


# Codes of the table in Rep. ITU-R BT.2408, annex: 10-bit PQ, in share of full range.
@pytest.mark.parametrize(("light", "code"), [(0, 0.0), (100, 0.508), (203, 0.581), (10_000, 1.0)])
def test_pq_is_the_standards(light, code):
    assert light_to_pq(light) == pytest.approx(code, abs=5e-4)
    assert pq_to_light(light_to_pq(light)) == pytest.approx(light, rel=1e-6, abs=1e-6)


def test_hlg_is_the_standards():
    # BT.2100: half the code is a twelfth of the scene's light, the full code all of it.
    assert hlg_to_scene([0, 0.5, 1]) == pytest.approx([0, 1 / 12, 1], abs=1e-6)


def test_dark_and_middle_tones_are_not_touched():
    assert compress(LIGHT[:5], 1000) == pytest.approx(LIGHT[:5], rel=1e-6)


def test_bright_tones_are_rolled_off_in_order():
    shown = compress(np.linspace(0, 1000, 200), 1000)
    assert (np.diff(shown) > 0).all() and shown[-1] == pytest.approx(WHITE, rel=1e-6)


def test_a_clip_no_brighter_than_white_is_not_compressed():
    assert compress(LIGHT[:7], WHITE) == pytest.approx(LIGHT[:7])


@pytest.mark.parametrize("curve", [PQ, HLG])
def test_greys_stay_grey_and_keep_their_order(curve):
    shown = ToneMap(curve).apply(coded(LIGHT, curve)).astype(int)
    assert np.ptp(shown, axis=-1).max() <= 1
    levels = shown[0, :, 0]
    assert (np.diff(levels) > 0).all() and levels[0] <= 2 and levels[-1] == 255


@pytest.mark.parametrize("curve", [PQ, HLG])
def test_middle_grey_is_as_bright_as_on_an_sdr_screen(curve):
    shown = ToneMap(curve).apply(coded(np.array([20.0]), curve))
    assert shown[0, 0, 0] == pytest.approx(255 * (20 / WHITE) ** (1 / 2.4), abs=1)


def test_a_colour_outside_of_bt709_pales_and_keeps_its_hue():
    pure_green = np.zeros((1, 1, 3), np.uint16)
    pure_green[..., 1] = round(65535 * float(light_to_pq(100)))
    red, green, blue = ToneMap(PQ).apply(pure_green)[0, 0].astype(int)
    assert green > 150 and green > 1.5 * blue and green > 1.5 * red


@pytest.fixture(params=["PQ", "HLG"])
def hdr_clip(request, tmp_path):
    """A grey ramp in 10-bit HEVC, BT.2020, tagged as the curve asks."""
    curve, light = {"PQ": PQ, "HLG": HLG}[request.param], np.linspace(1, 900, 64)
    path = tmp_path / "hdr.mp4"
    codes = np.repeat(coded(light, curve), 48, axis=0)
    with av.open(str(path), "w") as file:
        options = {"crf": "1", "x265-params": "log-level=error:bframes=0"}
        stream = file.add_stream("libx265", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = 9, 9, curve
        context.color_range = 1
        frame = av.VideoFrame.from_ndarray(codes, format="rgb48le").reformat(
            format="yuv420p10le", dst_colorspace=9, src_color_range=2, dst_color_range=1
        )
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        frame.colorspace, frame.color_range = 9, 1
        frame.color_primaries, frame.color_trc = 9, curve
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    expected = 255 * (compress(light, USUAL_PEAK) / WHITE) ** (1 / 2.4)
    return path, request.param, expected


def test_an_hdr_file_is_shown_as_sdr(hdr_clip, caplog):
    path, name, expected = hdr_clip
    info = probe(path)
    assert f"HDR ({name}): toned down to SDR, BT.709" in caplog.text
    assert (info.colorspace, info.color_primaries, info.color_trc) == ("bt709",) * 3
    shown = next(read_frames(path)).image
    assert np.abs(shown[24, :, 1] - expected).max() < 6


def test_what_is_written_of_it_is_sdr(hdr_clip, tmp_path, caplog):
    path, _, _ = hdr_clip
    info = probe(path)
    out = tmp_path / "out.mp4"
    with VideoWriter(out, info=info, height=48, width=64) as writer:
        for frame in read_frames(path):
            writer.write(frame.image, frame.pts, frame.time_base, frame.duration)
    caplog.clear()
    after = probe(out)
    assert "HDR" not in caplog.text and after.pix_fmt == "yuv420p"
    assert (after.color_primaries, after.color_trc) == ("bt709", "bt709")
