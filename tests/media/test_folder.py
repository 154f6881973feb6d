import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from fairy.errors import MediaError
from fairy.media import VideoWriter, probe, read_frame_at, read_frames, read_video
from fairy.media.write import check_names
from fairy.settings import MediaConfig


def make_folder(folder, names, size=(8, 6)):
    for level, name in enumerate(names):
        Image.new("RGB", size, (level, 0, 0)).save(folder / name, lossless=True)
    return folder


def test_images_come_in_natural_order(tmp_path):
    folder = make_folder(tmp_path, ["f10.png", "f9.png", "f100.png"])
    assert read_video(folder)[:, 0, 0, 0].tolist() == [1, 0, 2]


def test_folder_is_a_clip_of_25_frames_per_second(tmp_path):
    info = probe(make_folder(tmp_path, ["0.png", "1.webp", "2.png"]))
    assert (info.num_frames, info.fps, info.height, info.width) == (3, 25, 6, 8)
    assert info.audio == () and info.duration_s == 3 / 25
    times = [frame.time_s for frame in read_frames(info.path)]
    assert times == [0, Fraction(1, 25), Fraction(2, 25)]


def test_frames_are_found_by_index(tmp_path):
    folder = make_folder(tmp_path, ["0.png", "1.png", "2.png"])
    assert [frame.pts for frame in read_frame_at(folder, [2, 0])] == [2, 0]


def test_exif_orientation_is_followed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 6)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_video(tmp_path).shape == (1, 8, 6, 3)
    assert (probe(tmp_path).height, probe(tmp_path).width) == (8, 6)


def test_other_files_and_hidden_ones_are_left_alone(tmp_path):
    make_folder(tmp_path, ["0.png", ".hidden.png"])
    (tmp_path / "notes.txt").write_text("notes")
    assert probe(tmp_path).num_frames == 1


def test_empty_folder_is_refused(tmp_path):
    with pytest.raises(MediaError, match="no images in this folder"):
        probe(tmp_path)


def test_images_of_two_sizes_are_refused(tmp_path):
    make_folder(tmp_path, ["0.png"])
    make_folder(tmp_path, ["1.png"], size=(9, 6))
    with pytest.raises(MediaError, match=r"1\.png: 9x6 pixels.*8x6"):
        list(read_frames(tmp_path))


def test_a_broken_image_is_named(tmp_path):
    (tmp_path / "0.png").write_text("no image")
    with pytest.raises(MediaError, match=r"0\.png: not an image"):
        probe(tmp_path)


def test_an_animated_webp_is_refused_with_what_to_do(tmp_path):
    pictures = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:])
    with pytest.raises(MediaError, match="animated WebP cannot be read: convert it"):
        probe(tmp_path / "a.webp")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_as_pillow_turns_it(tmp_path, orientation):
    image = Image.effect_noise((8, 6), 90).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
    assert np.array_equal(read_video(tmp_path)[0], expected)


def test_a_picture_with_odd_exif_data_is_read_and_turned(failing):
    assert read_video(failing("exif_struct_error.jpg")).shape == (1, 48, 32, 3)


@settings(max_examples=60, deadline=None)
@given(exif=st.binary(max_size=80), order=st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]))
def test_no_exif_data_keeps_a_picture_from_being_read(exif, order):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.jpg")
        Image.new("RGB", (8, 6)).save(path, exif=b"Exif\0\0" + order + exif)
        assert read_video(path).size == 8 * 6 * 3


def test_names_may_hold_digits_of_any_kind(failing, tmp_path):
    assert probe(failing("circled_digits")).num_frames > 0
    names = ["①.png", "²2.png", "٣.png", "f½.png", "f10.png", "f9.png"]
    assert probe(make_folder(tmp_path, names)).num_frames == len(names)


def test_what_file_managers_leave_is_no_picture(tmp_path):
    folder = make_folder(tmp_path, ["a.png", "b.png"])
    for name in (".DS_Store", "Thumbs.db", "._a.png", "desktop.ini"):
        (folder / name).write_bytes(b"not a picture")
    (folder / "c.png").mkdir()
    assert probe(folder).num_frames == 2


def copy_of(source, out):
    """Write the pictures of the folder `source` to the folder `out`."""
    info = probe(source)
    with VideoWriter(out, info=info, height=info.height, width=info.width) as writer:
        for frame in read_frames(source):
            writer.write(frame.image, frame.pts, frame.time_base)
    return sorted(path.name for path in out.iterdir())


def test_a_folder_of_pictures_keeps_their_names(tmp_path):
    source = tmp_path / "photos"
    source.mkdir()
    make_folder(source, ["IMG_0042.jpg", "IMG_0043.webp", "b.v2.png"])
    assert copy_of(source, tmp_path / "out") == [
        ".fairy.json", "IMG_0042.png", "IMG_0043.png", "b.v2.png",
    ]  # fmt: skip
    # Each name has its own picture
    assert np.array_equal(read_video(tmp_path / "out"), read_video(source))


def test_the_names_are_those_of_the_stretch_that_is_read(tmp_path):
    make_folder(tmp_path, ["a.png", "b.png", "c.png", "d.png"])
    info = probe(tmp_path, MediaConfig(start_s=0.04, max_frames=2))
    assert info.image_names == ("b.png", "c.png")


def test_pictures_that_would_get_one_name_are_refused(tmp_path):
    info = probe(make_folder(tmp_path, ["a.jpg", "b.png", "A.webp"]))
    with pytest.raises(MediaError, match=r"A\.webp and a\.jpg|a\.jpg and A\.webp"):
        check_names(tmp_path / "out", info)
    check_names(tmp_path / "out.mp4", info)


def other_profile() -> bytes:
    """Return a colour profile whose red is sRGB's green, and its green sRGB's red."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # Tags: name, place and size of the content (ICC.1:2022, 7.3)
    count = int.from_bytes(content[128:132], "big")
    tags = {bytes(content[n : n + 4]): n for n in range(132, 132 + 12 * count, 12)}
    red, green = (slice(tags[name] + 4, tags[name] + 12) for name in (b"rXYZ", b"gXYZ"))
    content[red], content[green] = content[green], content[red]
    return bytes(content)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_colours_of_another_profile_become_srgb(tmp_path, suffix: str):
    path = tmp_path / f"a{suffix}"
    options = {"lossless": True} if suffix == ".webp" else {}
    picture = Image.new("RGB", (16, 16), (200, 40, 10))
    picture.save(path, icc_profile=other_profile(), quality=100, **options)
    [image] = read_video(path)
    assert np.abs(image.astype(int) - (40, 200, 10)).max() <= 3
    [note] = probe(path).notes
    assert note.startswith("colours of the profile sRGB built-in: converted to sRGB")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "I;16"])
def test_a_profile_of_any_kind_of_picture_keeps_none_from_being_read(tmp_path, mode: str, caplog):
    plain, profiled = tmp_path / "a.png", tmp_path / "b.png"
    picture = Image.new("RGBA", (16, 16), (200, 40, 10, 255))
    picture = picture.convert("L").convert(mode) if mode == "I;16" else picture.convert(mode)
    picture.save(plain)
    picture.save(profiled, icc_profile=other_profile())
    [expected], [image] = read_video(plain), read_video(profiled)
    if mode in ("RGBA", "P"):
        expected = expected[..., [1, 0, 2]]
    assert np.abs(image.astype(int) - expected).max() <= 3
    # A profile of colours is none of grey pictures
    assert ("cannot be used" in caplog.text) == (mode in ("L", "I;16"))


def test_srgb_and_damaged_profiles_change_nothing(tmp_path, caplog):
    same = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    for name, profile in {"same": same, "damaged": other_profile()[:200]}.items():
        path = tmp_path / f"{name}.png"
        for mode in ("RGB", "RGBA"):
            Image.fromarray(picture).convert(mode).save(path, icc_profile=profile)
            assert np.array_equal(read_video(path)[0], picture)
            assert probe(path).notes == ()
        assert ("cannot be used" in caplog.text) == (name == "damaged")


def test_a_profile_of_a_later_picture_is_said(tmp_path, caplog):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    Image.new("RGB", (16, 16)).save(tmp_path / "b.png", icc_profile=other_profile())
    assert probe(tmp_path).notes == ()
    assert read_video(tmp_path).shape == (2, 16, 16, 3)
    assert caplog.text.count("converted to sRGB") == 1
