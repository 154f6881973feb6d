import hashlib
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fairy.errors import FairyError, MediaError
from fairy.media import VideoWriter, check_output, probe, read_video
from fairy.media.encoding.codecs import CODECS, CONTAINERS, choose_encoding
from fairy.media.info import still_info
from fairy.media.write import write_video
from fairy.settings import MediaConfig
from tests.tiny import make_frames

PAIRS = [
    (suffix, codec)
    for suffix, kind in CONTAINERS.items()
    for codec in kind.codecs
    if codec != "gif"
]


def write(scene, out, **asked):
    info = still_info(out, 3, *scene.shape[:2], Fraction(25), "rgb24")
    height, width = scene.shape[:2]
    media = MediaConfig(**asked)
    with VideoWriter(out, info=info, height=height, width=width, media=media) as writer:
        for index in range(3):
            writer.write(scene, index, info.time_base, 1)
    return out


def test_h264_has_the_same_bytes_each_time(tmp_path):
    frames = np.tile(make_frames(14, 32, 48), (1, 10, 10, 1))
    hashes = set()
    for number in range(8):
        out = tmp_path / f"{number}.mp4"
        write_video(frames, out, fps=10)
        hashes.add(hashlib.sha256(out.read_bytes()).hexdigest())
    assert len(hashes) == 1


@pytest.mark.parametrize(("suffix", "codec"), PAIRS)
def test_every_pair_is_written_and_looks_like_the_picture(tmp_path, scene, suffix, codec):
    out = write(scene, tmp_path / f"a{suffix}", codec=codec)
    info = probe(out)
    assert (info.codec, info.num_frames, info.height, info.width) == (codec, 3, 48, 64)
    assert np.abs(read_video(out) - scene.astype(int)).mean() <= 2


def test_ffv1_loses_nothing(tmp_path, scene):
    assert np.array_equal(read_video(write(scene, tmp_path / "a.mkv", codec="ffv1"))[0], scene)


@pytest.mark.parametrize("codec", ["vp9", "av1", "prores", "ffv1"])
def test_odd_sizes_stay_odd(tmp_path, scene, codec):
    info = probe(write(scene[:47, :63], tmp_path / "a.mkv", codec=codec))
    assert (info.height, info.width) == (47, 63)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize(
    ("pix_fmt", "size"), [("yuv420p", (48, 64)), ("yuv422p", (47, 64)), ("yuv444p", (47, 63))]
)
def test_sides_are_padded_as_the_chroma_asks(tmp_path, scene, codec, pix_fmt, size):
    info = probe(write(scene[:47, :63], tmp_path / "a.mp4", codec=codec, pix_fmt=pix_fmt))
    assert (info.pix_fmt, info.height, info.width) == (pix_fmt, *size)


def test_ten_bits_are_written_when_asked(tmp_path, scene):
    out = write(scene, tmp_path / "a.mp4", codec="hevc", pix_fmt="yuv420p10le")
    assert probe(out).pix_fmt == "yuv420p10le"
    assert np.abs(read_video(out) - scene.astype(int)).mean() <= 2


def test_a_higher_crf_makes_a_smaller_file(tmp_path, scene):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, scene.shape).astype(np.uint8)
    sizes = [write(noise, tmp_path / f"{crf}.mp4", crf=crf).stat().st_size for crf in (5, 20, 45)]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 2 * sizes[2]


@pytest.mark.parametrize(
    ("name", "asked", "words"),
    [
        ("a.webm", {"codec": "h264"}, "h264 does not go into .webm: use vp9 or av1, or a name that "
         "ends in .mp4 or .mov or .mkv"),
        ("a.mp4", {"codec": "prores"}, "prores does not go into .mp4"),
        ("a.gif", {"codec": "h264"}, "h264 does not go into .gif"),
        ("a.mov", {"codec": "prores", "crf": 3}, "--crf does not go with prores"),
        ("a.mp4", {"crf": 60}, "--crf 60 is too large for h264: use 0 to 51"),
        ("a.mp4", {"pix_fmt": "yuv411p"}, "h264 cannot store yuv411p: use yuv420p, "),
        ("frames", {"codec": "h264"}, "--codec does not go with pictures"),
        ("a.png", {"crf": 3}, "--crf does not go with pictures"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused_first(tmp_path, name, asked, words):
    with pytest.raises(MediaError) as error:
        check_output(tmp_path / name, media=MediaConfig(**asked))
    assert words in str(error.value)


@pytest.mark.parametrize("codec", [name for name, codec in CODECS.items() if codec.max_crf])
def test_crf_goes_as_far_as_the_encoder_does(tmp_path, scene, codec):
    out, most = tmp_path / "a.mkv", CODECS[codec].max_crf
    with pytest.raises(FairyError, match=f"{most + 1}.*0 (to|and) {most}$"):
        check_output(out, media=MediaConfig(codec=codec, crf=most + 1))
    assert probe(write(scene, out, codec=codec, crf=most)).num_frames == 3


@pytest.mark.parametrize("codec", CODECS)
def test_an_encoder_stores_what_it_does_by_default(codec):
    assert CODECS[codec].pix_fmt in CODECS[codec].pix_fmts


def test_full_chroma_is_kept_unless_asked_otherwise():
    out, thinned = Path("a.mp4"), MediaConfig(pix_fmt="yuv420p")
    assert choose_encoding(out).pix_fmt == "yuv420p"
    assert choose_encoding(out, full_chroma=True).pix_fmt == "yuv444p"
    assert choose_encoding(out, thinned, full_chroma=True).pix_fmt == "yuv420p"
    av1 = MediaConfig(codec="av1")
    assert choose_encoding(out, av1, full_chroma=True).pix_fmt == "yuv420p"


def test_small_pictures_are_coded_finer_and_an_asked_quality_is_kept():
    sizes = [64 * 48, 320 * 240, 640 * 480, 1280 * 720, 3840 * 2160]
    crfs = [int(choose_encoding(Path("a.mp4"), num_pixels=n).options["crf"]) for n in sizes]
    assert crfs == sorted(crfs) and crfs[0] == crfs[1] < crfs[2] < crfs[3] == crfs[4] == 15
    asked = choose_encoding(Path("a.mp4"), MediaConfig(crf=30), num_pixels=sizes[0])
    assert asked.options["crf"] == "30"


ENCODE = """
import hashlib, os, sys
from fractions import Fraction
from pathlib import Path
import numpy as np

os.sched_setaffinity(0, set(map(int, sys.argv[3].split(","))))
from fairy.media.encoding.codecs import choose_encoding
from fairy.media.encoding.encode import VideoEncoder
from fairy.media.info import still_info
from fairy.settings import MediaConfig

height, width, num_frames = 288, 512, 20
encoding = choose_encoding(Path(sys.argv[1]), MediaConfig(codec=sys.argv[2]))
info = still_info(Path("clip"), num_frames, height, width, Fraction(25), "rgb24")
encoder = VideoEncoder(Path(os.devnull), encoding, info, height, width, tracks=False)
noise = np.random.default_rng(0).integers(0, 256, (height // 8, width // 4, 3), np.uint8)
wide = np.kron(noise, np.ones((8, 8, 1), np.uint8))
digest = hashlib.sha256()
packets = []
for index in range(num_frames):
    image = np.ascontiguousarray(wide[:, 3 * index : 3 * index + width])
    packets += encoder.encode(image, index, Fraction(1, 25), 1)
for packet in packets + encoder.flush():
    digest.update(bytes(packet))
print(digest.hexdigest())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "h264"), ("a.mp4", "hevc"), ("a.webm", "vp9"), ("a.mp4", "av1"), ("a.mkv", "ffv1")],
)
def test_the_same_bytes_on_any_number_of_cores(name, codec):
    cores = sorted(os.sched_getaffinity(0))
    outputs = []
    for count in {min(count, len(cores)) for count in (1, 2, 4)}:
        chosen = ",".join(map(str, cores[:count]))
        command = [sys.executable, "-c", ENCODE, name, codec, chosen]
        outputs.append(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert len(set(outputs)) == 1
    if len(outputs) == 1:
        pytest.skip("this machine has one core")


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="no scheduling policies here")
@pytest.mark.parametrize("codec", ["av1", "hevc"])
def test_an_encoder_leaves_the_callers_priority_as_it_was(codec: str, tmp_path: Path):
    # SVT-AV1 changes it where it may, as root in a container
    before = os.sched_getscheduler(0)
    out = tmp_path / "out.mp4"
    write_video(np.zeros((2, 64, 64, 3), np.uint8), out, media=MediaConfig(codec=codec))
    assert os.sched_getscheduler(0) == before
