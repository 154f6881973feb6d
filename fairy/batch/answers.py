"""What a worker of a list answers: what it is, and how a job ended."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from fairy.batch.joblist import Job

FailureKind = Literal["input", "memory", "device", "storage", "busy", "bug", "worker"]
"""What failed: the job itself (clip, instruction, settings), memory, the GPU, a disk or a server,
nothing (another process writes the output), Fairy, or several workers that died with the job."""


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """The result of one job.

    Attributes:
        line: the job's line in its file.
        input: the clip.
        instruction: the instruction.
        output: the edited clip.
        state: "done", "kept" (the output existed) or "failed".
        num_frames: frames of the edited clip; None unless it was made now.
        seconds: how long the job took, without loading the model.
        error: the error message, in one line.
        kind: what failed, if something did: `FailureKind`.
    """

    line: int
    input: str
    instruction: str
    output: str
    state: Literal["done", "kept", "failed"]
    num_frames: int | None = None
    seconds: float = 0.0
    error: str | None = None
    kind: FailureKind | None = None

    def to_json(self) -> str:
        """Return the result as one line of JSON, without entries that are None."""
        entries = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(entries, ensure_ascii=False)


def result_of(
    job: Job,
    state: Literal["done", "kept", "failed"],
    *,
    num_frames: int | None = None,
    seconds: float = 0.0,
    error: str | None = None,
    kind: FailureKind | None = None,
) -> JobResult:
    """Return the result of a job."""
    return JobResult(
        line=job.line,
        input=job.source_name,
        instruction=job.instruction,
        output=job.out_name,
        state=state,
        num_frames=num_frames,
        seconds=seconds,
        error=error,
        kind=kind,
    )


@dataclass(frozen=True)
class WorkerIdentity:
    """What must be the same for all workers of a list.

    Attributes:
        host: the machine, for messages; it may differ.
        versions: of Fairy, torch and the other libraries.
        model: a hash of the model's weights and of what else decides its results.
    """

    host: str
    versions: dict[str, str]
    model: str

    def difference(self, other: WorkerIdentity) -> str | None:
        """Return in words what differs from another worker, or None."""
        for name in dict.fromkeys([*self.versions, *other.versions]):
            mine, theirs = self.versions.get(name), other.versions.get(name)
            if mine != theirs and name != "platform":
                return f"{name} {mine} on {self.host}, {theirs} on {other.host}"
        if self.model != other.model:
            return f"model {self.model} on {self.host}, {other.model} on {other.host}"
        return None
