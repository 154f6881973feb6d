"""Sign an edit's outputs with C2PA: `--c2pa CERT KEY`.

The record says that a model made the pictures, with which instruction, out of which clip. Files are
signed when they are whole, before they get their final name.
Tests: tests/jobs/test_credentials.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairy.jobs.plan import EditPlan
from fairy.jobs.report import how_made
from fairy.media.signing import SOURCE_TYPES, FileSigner


def signature(plan: EditPlan) -> Callable[[Path, Path], None]:
    """Return a function of (finished file, its final name) that signs it if that is asked for."""
    request = plan.request
    if request.config.c2pa is None:
        return lambda part, out: None
    signer, edit = FileSigner(*request.config.c2pa), edit_action(plan)
    return lambda part, out: signer.sign(part, out, edit, request.source)


def edit_action(plan: EditPlan) -> dict[str, Any]:
    """Return the edit as an action of C2PA.

    Pictures that keep parts of the source, or that a person drew, are composites.
    """
    whole = plan.changes.everything and not plan.keyframes.anchors
    source_type = "trainedAlgorithmicMedia" if whole else "compositeWithTrainedAlgorithmicMedia"
    made = how_made(plan.request.instruction, plan.request.config, plan.stretches)
    told_elsewhere = ("tool", "version")
    return {
        "action": "c2pa.edited",
        "digitalSourceType": SOURCE_TYPES + source_type,
        "parameters": {name: value for name, value in made.items() if name not in told_elsewhere},
    }
