"""Errors that a user can act on; the command line prints each as one line.

Every message says what was wrong, what is allowed and what to do. These errors are for files,
models, instructions and settings; wrong arguments of a Python call are `ValueError`.
"""

import importlib.util


class FairyError(Exception):
    """Base of every error that a user can act on; the command line exits with code 2."""


class MediaError(FairyError):
    """A clip cannot be read or written: missing, damaged, no video stream, unknown container."""


class WorkspaceInUseError(MediaError):
    """Another process works on the same output."""


class OutputExistsError(FairyError):
    """The output exists, and `overwrite` is off."""


class ModelError(FairyError):
    """A model cannot be found or loaded, or is not of the InstructPix2Pix type."""


class InstructionError(FairyError):
    """The instruction is empty or has no word that the model knows."""


class NumbersError(FairyError):
    """A model computed NaN or infinity: broken weights, too small a dtype, too strong settings."""


def first_line(error: BaseException) -> str:
    r"""Return the first line of another library's message, or the error's type if it has none.

    >>> first_line(ValueError("no such layer\nTraceback: ..."))
    'no such layer'
    """
    return str(error).strip().partition("\n")[0] or type(error).__name__


def require_package(module: str, what: str, extra: str) -> None:
    """Raise SettingsError if a package is missing that `what` needs; `extra` installs it."""
    if importlib.util.find_spec(module) is None:
        package = module.replace("_", "-")
        raise SettingsError(
            f"{what} needs the package {package}: pip install 'fairy-video[{extra}]'"
        )


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
