"""The results of an evaluation: every score of every clip, as JSON and CSV.

Summaries are computed from the scores and never stored, so they cannot contradict them.
Tests: tests/evaluation/test_results.py.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fairy.analysis.tracking import LayerAccuracy, TrackingAccuracy
from fairy.errors import SettingsError
from fairy.evaluation.measures import MEASURES, Measure
from fairy.evaluation.scores import Scores
from fairy.evaluation.statistics import Estimate, PairedTest, estimate_mean, paired_test
from fairy.system import machine, parse_json, versions

FORMAT = "fairy evaluation 1"


def provenance() -> dict[str, str | int]:
    """Return versions, machine and, in a checkout, the commit."""
    return {**versions(), **machine()}


@dataclass(frozen=True, kw_only=True)
class Case:
    """The scores of one clip edited by one method.

    Attributes:
        clip: the clip's name.
        instruction: the edit's instruction; empty if it is unknown.
        method: the method's name, or the value of a varied setting.
        seed: seed of the edit's noise.
        seconds: how long the edit took; None if it was made elsewhere.
        scores: the edit's scores.
        edit: the edit's name in the training data, if the instruction asks for one.
    """

    clip: str
    instruction: str
    method: str
    seed: int
    scores: Scores
    seconds: float | None = None
    edit: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        """The same for all methods of one clip, instruction and seed."""
        return self.clip, self.instruction, self.seed


@dataclass(frozen=True, kw_only=True)
class Results:
    """A whole evaluation.

    Attributes:
        title: title of the report.
        methods: names of the methods, in table order.
        reference: the method that is tested against the others; None for a single clip.
        cases: every clip with every method.
        sweeps: by setting ("num_anchors"), cases whose `method` is its value ("3").
        properties: measures of each model itself; `method` is the model's name.
        tracking: by model, how well its layers' attention tracks points of rendered clips.
        settings: settings of the edits and measures.
        notes: for the report, such as how clips were aligned.
        origin: versions, machine and commit.
    """

    title: str
    methods: list[str]
    reference: str | None
    cases: list[Case]
    sweeps: dict[str, list[Case]] = field(default_factory=dict)
    properties: list[Case] = field(default_factory=list)
    tracking: dict[str, TrackingAccuracy] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    origin: dict[str, str | int] = field(default_factory=provenance)

    @property
    def num_clips(self) -> int:
        """Number of clips; a clip counts once per instruction."""
        return len({case.key for case in self.cases})

    @property
    def measures(self) -> list[Measure]:
        """Measures that were taken for at least one clip, in table order."""
        return [row for row in MEASURES if any(row.key in c.scores.values for c in self.cases)]

    @property
    def missing(self) -> dict[str, list[str]]:
        """Labels of the measures that were taken for no clip, by reason."""
        found: dict[str, list[str]] = {}
        for row in [row for row in MEASURES if row not in self.measures]:
            reasons = [c.scores.missing[row.key] for c in self.cases if row.key in c.scores.missing]
            if reasons:
                found.setdefault(", or ".join(dict.fromkeys(reasons)), []).append(row.label)
        return found

    def of(self, method: str) -> list[Case]:
        """Return a method's cases."""
        return [case for case in self.cases if case.method == method]

    def estimate(self, method: str, key: str) -> Estimate | None:
        """Return a method's mean of a measure with its interval; None if it was not measured."""
        return _estimate(self.of(method), key)

    def property_of(self, model: str, key: str) -> Estimate | None:
        """Return the mean of a model's property with its interval; None if not measured."""
        return _estimate([case for case in self.properties if case.method == model], key)

    def test(self, method: str, other: str, key: str) -> PairedTest | None:
        """Test `method` minus `other` over the clips with both; None if there are none."""
        first, second = paired_values(self.of(method), self.of(other), key)
        return paired_test(first, second) if first else None

    def to_json(self) -> str:
        """Return the document, with a trailing newline."""
        document = {"format": FORMAT, **asdict(self)}
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"

    def to_csv(self) -> str:
        """Return a table with a row per clip and method, unscaled; empty cells if not measured."""
        keys = [row.key for row in MEASURES]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["clip", "instruction", "method", "seed", "seconds", *keys])
        for case in self.cases:
            scores = [case.scores.values.get(key, "") for key in keys]
            seconds = "" if case.seconds is None else case.seconds
            writer.writerow([case.clip, case.instruction, case.method, case.seed, seconds, *scores])
        return text.getvalue()


def read_results(path: Path) -> Results:
    """Read the JSON document of an evaluation.

    Raises:
        SettingsError: there is no such file, or it is another kind of document.
    """
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
        if document.pop("format") != FORMAT:
            raise ValueError("another format")
        sweeps = {name: _cases(cases) for name, cases in document.pop("sweeps").items()}
        cases, properties = (_cases(document.pop(name)) for name in ("cases", "properties"))
        tracked = document.pop("tracking", {}).items()
        tracking = {model: _tracking(accuracy) for model, accuracy in tracked}
        return Results(
            **document, cases=cases, properties=properties, sweeps=sweeps, tracking=tracking
        )
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SettingsError(
            f"{path}: not the JSON of an evaluation: use a file that fairy eval wrote"
        ) from error


def _estimate(cases: list[Case], key: str) -> Estimate | None:
    values = [case.scores.values[key] for case in cases if key in case.scores.values]
    return estimate_mean(values) if values else None


def paired_values(
    first: list[Case], second: list[Case], key: str
) -> tuple[list[float], list[float]]:
    """Return two lists of a measure's values, for the clips that have both."""
    others = {case.key: case.scores.values for case in second}
    pairs = [
        (case.scores.values[key], others[case.key][key])
        for case in first
        if key in case.scores.values and key in others.get(case.key, {})
    ]
    return [a for a, _ in pairs], [b for _, b in pairs]


def _cases(documents: list[dict[str, Any]]) -> list[Case]:
    return [Case(**{**case, "scores": Scores(**case["scores"])}) for case in documents]


def _tracking(document: dict[str, Any]) -> TrackingAccuracy:
    """Read a tracking accuracy from JSON, in which numeric keys are text."""
    layers = [
        LayerAccuracy(
            row["layer"], row["step"], tuple(row["grid"]), _by_px(row["within"]),
            _by_px(row["limit"]),
        )
        for row in document["layers"]
    ]  # fmt: skip
    return TrackingAccuracy(layers, _by_px(document["standing_still"]), document["num_points"])


def _by_px(shares: dict[str, float]) -> dict[int, float]:
    return {int(px): share for px, share in shares.items()}
