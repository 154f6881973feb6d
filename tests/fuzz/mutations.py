"""Damage to files: what a bad disk, a broken download or a wrong tool does to a clip."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("flip", "zero", "cut", "drop", "repeat", "size", "shuffle")


@dataclass(frozen=True)
class Mutation:
    """One injury: its kind, where (a share of the file), how long (bytes), and a number."""

    kind: str
    place: float
    length: int
    value: int

    def apply(self, data: bytes) -> bytes:
        """Return the injured bytes."""
        at = int(self.place * len(data))
        end = min(len(data), at + self.length)
        part = data[at:end]
        if self.kind == "flip":
            part = bytes(byte ^ (self.value & 255) for byte in part)
        elif self.kind == "zero":
            part = bytes(len(part))
        elif self.kind == "cut":
            return data[:at]
        elif self.kind == "drop":
            part = b""
        elif self.kind == "repeat":
            part = part * 3
        elif self.kind == "size":
            # Fields of four bytes hold sizes, counts and times: the ends of their range hurt.
            part = (self.value & 0xFFFFFFFF).to_bytes(4, "big") + part[4:]
        elif self.kind == "shuffle":
            part = part[::-1]
        return data[:at] + part + data[end:]


def damaged(data: bytes, mutations: list[Mutation]) -> bytes:
    """Return `data` after all injuries in a row."""
    for mutation in mutations:
        data = mutation.apply(data)
    return data
