import av
import numpy as np
import pytest
from PIL import ExifTags
from PIL import Image as PilImage

from fairy.media import probe, read_frames
from fairy.media.decoding.orientation import Orientation

EVERY = [Orientation(bool(n & 4), bool(n & 2), bool(n & 1)) for n in range(8)]


@pytest.mark.parametrize("orientation", EVERY)
def test_mirroring_then_turning_is_what_is_applied(scene, orientation):
    expected = scene[:, ::-1] if orientation.mirrored else scene
    expected = np.rot90(expected, orientation.rotation // 90)
    assert np.array_equal(orientation.apply(scene), expected)
    assert orientation.size(*scene.shape[:2]) == expected.shape[:2]


def test_the_eight_orientations_differ(scene):
    pictures = {orientation.apply(scene).tobytes() for orientation in EVERY}
    assert len(pictures) == 8


@pytest.mark.parametrize(
    ("degrees", "turned"), [(0, 0), (90, 90), (180, 180), (270, 270), (30, 0), (120, 90)]
)
def test_the_matrix_of_a_written_file_is_undone(tmp_path, scene, degrees, turned):
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv444p"
        stream.set_display_rotation(degrees)
        file.mux(stream.encode(av.VideoFrame.from_ndarray(scene, format="rgb24")))
        file.mux(stream.encode(None))
    info, frame = probe(path), next(read_frames(path))
    assert (info.rotation, info.mirrored) == (turned, False)
    assert ("turned by no multiple of 90" in " ".join(info.notes)) == (degrees != turned)
    assert np.abs(frame.image - np.rot90(scene, turned // 90).astype(int)).mean() < 3


@pytest.mark.parametrize(("exif", "turned"), [(1, 0), (3, 180), (6, 270), (8, 90)])
def test_a_picture_with_exif_is_upright(tmp_path, scene, exif, turned):
    path = tmp_path / "photo.tif"
    picture = PilImage.fromarray(scene)
    tags = picture.getexif()
    tags[ExifTags.Base.Orientation], tags[ExifTags.Base.Make] = exif, "camera"
    picture.save(path, exif=tags)
    assert np.array_equal(next(read_frames(path)).image, np.rot90(scene, turned // 90))


def test_a_mirrored_recording_is_shown_as_it_was_seen(clip):
    path = clip("stress/rotate_and_reflect.mp4")
    with av.open(str(path)) as file:
        coded = next(file.decode(video=0)).to_ndarray(format="rgb24")
    shown = next(read_frames(path)).image
    assert (probe(path).mirrored, probe(path).rotation) == (True, 90)
    # Its matrix shows the point (p, q) at (q, p).
    assert np.abs(shown - coded.swapaxes(0, 1).astype(int)).mean() < 3
