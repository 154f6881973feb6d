from fractions import Fraction

import numpy as np
import pytest

from fairy.errors import MediaError, OutputExistsError
from fairy.media import VideoWriter, check_output, probe, read_frames, read_video, write_video
from fairy.media.info import still_info
from fairy.settings import MediaConfig


def open_writer(out, **options):
    info = still_info(out, 1, 48, 64, Fraction(25), "rgb24")
    return VideoWriter(out, info=info, height=48, width=64, **options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.gif", "a.MP4", "frames"])
def test_what_can_be_written(tmp_path, name):
    check_output(tmp_path / name)


def test_existing_file_is_kept(tmp_path, scene):
    (tmp_path / "a.mp4").write_text("mine")
    with pytest.raises(OutputExistsError, match="already there: use --overwrite"):
        write_video(scene[None], tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_text() == "mine"


def test_existing_file_is_overwritten_when_asked(tmp_path, scene):
    (tmp_path / "a.mp4").write_text("old")
    write_video(scene[None], tmp_path / "a.mp4", overwrite=True)
    assert probe(tmp_path / "a.mp4").num_frames == 1


def test_missing_folder_is_no_fault_and_not_made_by_the_check(tmp_path):
    check_output(tmp_path / "nowhere" / "a.mp4")
    assert not (tmp_path / "nowhere").exists()


def test_unknown_container(tmp_path):
    with pytest.raises(MediaError, match=r"unknown container \.xyz: use \.mp4, "):
        check_output(tmp_path / "a.xyz")


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif", "frames"])
@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_when_stopped(tmp_path, scene, name, stop):
    with pytest.raises(stop), open_writer(tmp_path / name) as writer:
        writer.write(scene, 0, Fraction(1, 25))
        raise stop
    assert names(tmp_path) == []


def test_old_file_survives_a_stopped_overwrite(tmp_path, scene):
    (tmp_path / "a.mp4").write_text("old")
    with pytest.raises(RuntimeError), open_writer(tmp_path / "a.mp4", overwrite=True) as writer:
        writer.write(scene, 0, Fraction(1, 25))
        raise RuntimeError
    assert (tmp_path / "a.mp4").read_text() == "old" and names(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize("name", ["a.mp4", "frames"])
def test_output_appears_only_whole(tmp_path, scene, name):
    with open_writer(tmp_path / name) as writer:
        writer.write(scene, 0, Fraction(1, 25))
        assert not (tmp_path / name).exists()
    assert names(tmp_path) == [name]


def test_folder_with_other_files_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputExistsError, match="never overwritten"):
        check_output(tmp_path, overwrite=True)


def test_folder_of_pngs_is_replaced_when_asked(tmp_path, scene):
    write_video(np.stack([scene] * 3), tmp_path / "frames")
    with pytest.raises(OutputExistsError, match="already holds images"):
        check_output(tmp_path / "frames")
    write_video(255 - scene[None], tmp_path / "frames", overwrite=True)
    assert np.array_equal(read_video(tmp_path / "frames"), 255 - scene[None])
    assert names(tmp_path) == ["frames"]


def test_empty_folder_may_be_filled(tmp_path, scene):
    (tmp_path / "frames").mkdir()
    write_video(scene[None], tmp_path / "frames")
    assert names(tmp_path / "frames") == [".fairy.json", "000000.png"]


def test_file_where_a_folder_would_go(tmp_path):
    (tmp_path / "frames").write_text("a file")
    with pytest.raises(OutputExistsError, match="folder of PNGs"):
        check_output(tmp_path / "frames", overwrite=True)


def test_frames_of_another_size_are_refused(tmp_path, scene):
    refused = pytest.raises(ValueError, match=r"give uint8 of \(48, 64, 3\)")
    with refused, open_writer(tmp_path / "a.mp4") as writer:
        writer.write(scene[:-2], 0, Fraction(1, 25))


def test_no_frames_are_refused(tmp_path, scene):
    with pytest.raises(ValueError, match="frames is empty"):
        write_video(scene[None][:0], tmp_path / "a.mp4")


@pytest.mark.parametrize(("name", "step_s"), [("a.mp4", 2**28), ("a.mov", 2**28), ("a.gif", 656)])
def test_frames_too_far_apart_are_refused(tmp_path, scene, name, step_s):
    with (
        pytest.raises(MediaError, match=r"further apart in time than \.\w+ holds: use \.mkv"),
        open_writer(tmp_path / name) as writer,
    ):
        for index in range(2):
            writer.write(scene, index * step_s, Fraction(1))
    assert names(tmp_path) == []
    with open_writer(tmp_path / "a.mkv") as writer:
        for index in range(2):
            writer.write(scene, index * step_s, Fraction(1))
    assert [frame.time_s for frame in read_frames(tmp_path / "a.mkv")] == [0, step_s]


@pytest.mark.parametrize("size", [(16, 128), (17, 4097), (4320, 8)])
def test_pictures_too_thin_for_av1_are_refused_before_the_work(tmp_path, size):
    info = still_info(tmp_path, 8, *size, Fraction(25), "rgb24")
    writer = VideoWriter(
        tmp_path / "a.mkv", info=info, height=size[0], width=size[1], media=MediaConfig(codec="av1")
    )
    with pytest.raises(MediaError, match="takes no pictures as thin as"):
        writer.try_encoder()
