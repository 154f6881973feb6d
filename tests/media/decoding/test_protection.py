"""Encrypted pictures and photos of tiles are named as such."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

import fairy.media.folder
from fairy.errors import MediaError
from fairy.media import probe, read_frames
from fairy.media.decoding.protection import is_encrypted, is_of_tiles


def test_encrypted_pictures_are_named_as_such(failing):
    with pytest.raises(MediaError, match=r"its pictures are encrypted \(DRM\): give a copy"):
        probe(failing("drm.mp4"))


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    """A transport stream."""
    path = tmp_path / "clip.ts"
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=10)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        for index in range(10):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = index
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
    return path


def test_a_scrambled_transport_stream_is_encrypted(stream: Path):
    with av.open(str(stream)) as file:
        video = file.streams.video[0]
        assert not is_encrypted(stream, file, video)
        data = bytearray(stream.read_bytes())
        for place in range(0, len(data), 188):
            if int.from_bytes(data[place + 1 : place + 3], "big") & 0x1FFF == video.id:
                data[place + 3] |= 0x80
        stream.write_bytes(data)
        assert is_encrypted(stream, file, video)


def test_a_photo_of_tiles_is_refused_without_the_library_for_it(failing, monkeypatch):
    source = failing("grid.heic")
    monkeypatch.setattr(fairy.media.folder, "_reads_heic", lambda: False)
    assert is_of_tiles(source)
    with pytest.raises(
        MediaError, match=r"a picture of tiles: .*pip install 'fairy-video\[heic\]'"
    ):
        probe(source)


def test_a_folder_of_such_photos_too(tmp_path: Path, monkeypatch):
    (tmp_path / "a.heic").write_bytes(b"any")
    monkeypatch.setattr(fairy.media.folder, "_reads_heic", lambda: False)
    with pytest.raises(MediaError, match=r"a\.heic: reading HEIC photos needs the package"):
        list(read_frames(tmp_path))


def test_other_files_are_neither(stream: Path):
    assert not is_of_tiles(stream)
