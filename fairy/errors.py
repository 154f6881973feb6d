"""Errors that a user can act on; the command line prints each as one line.

Every message states what was wrong, what is allowed and what to do. Wrong arguments of a Python
call are `ValueError`; these are for files, models, instructions and settings.
"""


class FairyError(Exception):
    """Base of every error that a user can act on; the command line exits with code 2."""


class MediaError(FairyError):
    """A clip cannot be read or written: missing, damaged, no video stream, unknown container."""


class OutputExistsError(FairyError):
    """The output exists and overwriting was not asked for."""


class ModelError(FairyError):
    """A model cannot be found or loaded, or is not of the InstructPix2Pix type."""


class InstructionError(FairyError):
    """The instruction is empty or has no word that the model knows."""


class NumbersError(FairyError):
    """A model computes NaN or infinity: broken weights, a dtype too small, settings too strong."""


class JobInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended a job; the command line exits with 128 + `signal_number`.

    Attributes:
        signal_number: 2 for Ctrl-C (SIGINT), 15 for SIGTERM.
    """

    def __init__(self, signal_number: int, message: str = "interrupted; nothing was written"):
        super().__init__(message)
        self.signal_number = signal_number


class SettingsError(FairyError):
    """Settings contradict each other, the clip, the model or the machine."""
