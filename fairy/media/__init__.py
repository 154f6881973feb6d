"""Files <-> frames: the only package that imports av. It does not depend on any model."""

from fairy.media.info import AudioInfo, Frame, VideoInfo
from fairy.media.read import probe, read_frame_at, read_frames, read_video
from fairy.media.write import VideoWriter, check_output, write_video

__all__ = [
    "AudioInfo",
    "Frame",
    "VideoInfo",
    "VideoWriter",
    "check_output",
    "probe",
    "read_frame_at",
    "read_frames",
    "read_video",
    "write_video",
]
