"""The edits that `mini` learns: each is a source scene, an instruction and an exact target.

There are three kinds. *Global* looks and *local* changes are deterministic: the source and the
instruction determine the target. *One-to-many* edits leave colours open. Drawn from noise frame by
frame, these colours flicker, so the anchors must hold them still. In local one-to-many edits all
shapes of a kind get the same colour, so the model learns to look up what it chose elsewhere.
Images (B,3,H,W) in [0,1]. Tests: tests/synthetic/test_edits.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from fairy.synthetic import looks, phrases
from fairy.synthetic.colours import named_colour, random_colours
from fairy.synthetic.free_looks import FREE_LOOKS, FreeLook
from fairy.synthetic.names import COLOUR_NAMES, SHAPE_NAMES
from fairy.synthetic.samplers import SceneSampler
from fairy.synthetic.scenes import Rendered, SceneBatch, render

Split = Literal["train", "test"]
Scope = Literal["global", "local", "one-to-many"]
Words = dict[str, str]
# Makes the targets of scenes, and the words for each instruction.
Apply = Callable[[SceneBatch, Rendered, torch.Generator], tuple[Tensor, list[Words]]]


@dataclass(frozen=True)
class Edit:
    """One edit that an instruction can ask for.

    Attributes:
        name: its key in `phrase_table.PHRASES`.
        scope: "global", "local" or "one-to-many".
        needs_objects: whether a scene needs at least one object for this edit.
        apply: makes the targets.
    """

    name: str
    scope: Scope
    needs_objects: bool
    apply: Apply

    @property
    def deterministic(self) -> bool:
        """Whether source and instruction determine the target."""
        return self.scope != "one-to-many"


@dataclass(frozen=True)
class Pairs:
    """B examples: source and target (B,3,H,W) in [0,1], instructions, and the edits' names.

    `objects` (B,H,W) is True where the source shows an object.
    """

    source: Tensor
    target: Tensor
    objects: Tensor
    instructions: list[str]
    names: list[str]


def _look(function: Callable[[Tensor], Tensor]) -> Apply:
    return lambda scene, drawn, generator: (function(drawn.image), [{}] * len(drawn.image))


def _free_look(look: FreeLook) -> Apply:
    return lambda scene, drawn, generator: (
        look.apply(drawn.image, generator),
        [{}] * len(drawn.image),
    )


def _some_kind(scene: SceneBatch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return a kind of shape in each scene, (B,), and which objects have that kind, (B,O)."""
    present = scene.present.float()
    chosen = torch.multinomial(present, 1, generator=generator)
    kind = scene.kind.gather(1, chosen)[:, 0]
    return kind, scene.present & (scene.kind == kind[:, None])


def recolour(
    scene: SceneBatch, drawn: Rendered, generator: torch.Generator
) -> tuple[Tensor, list[Words]]:
    """Make all shapes of one kind a named colour."""
    kind, mask = _some_kind(scene, generator)
    names = torch.randint(len(COLOUR_NAMES), (len(kind),), generator=generator)
    colour = torch.stack([named_colour(COLOUR_NAMES[i]) for i in names.tolist()])
    painted = replace(
        scene,
        colour=torch.where(mask[..., None], colour[:, None], scene.colour),
        pattern=torch.where(mask, 0, scene.pattern),
    )
    words = [
        {"shape": SHAPE_NAMES[k], "colour": COLOUR_NAMES[c]}
        for k, c in zip(kind.tolist(), names.tolist(), strict=True)
    ]
    return render(painted).image, words


def reshape(
    scene: SceneBatch, drawn: Rendered, generator: torch.Generator
) -> tuple[Tensor, list[Words]]:
    """Turn all shapes of one kind into another kind, upright, because a circle has no angle."""
    kind, mask = _some_kind(scene, generator)
    step = torch.randint(1, len(SHAPE_NAMES), (len(kind),), generator=generator)
    other = (kind + step) % len(SHAPE_NAMES)
    centre_and_radius, angle = scene.pose.split([3, 1], dim=-1)
    turned = replace(
        scene,
        kind=torch.where(mask, other[:, None], scene.kind),
        pose=torch.cat([centre_and_radius, angle.masked_fill(mask[..., None], 0.0)], dim=-1),
    )
    words = [
        {"shape": SHAPE_NAMES[k], "other": SHAPE_NAMES[o]}
        for k, o in zip(kind.tolist(), other.tolist(), strict=True)
    ]
    return render(turned).image, words


def remove(
    scene: SceneBatch, drawn: Rendered, generator: torch.Generator
) -> tuple[Tensor, list[Words]]:
    """Remove all shapes of one kind."""
    kind, mask = _some_kind(scene, generator)
    emptied = replace(scene, present=scene.present & ~mask)
    return render(emptied).image, [{"shape": SHAPE_NAMES[k]} for k in kind.tolist()]


def grey_background(
    scene: SceneBatch, drawn: Rendered, generator: torch.Generator
) -> tuple[Tensor, list[Words]]:
    """Make everything grey except the shapes."""
    grey = replace(scene, canvas=looks.black_and_white(scene.canvas))
    return render(grey).image, [{}] * len(drawn.image)


def _by_kind(values: Tensor, kind: Tensor) -> Tensor:
    """Give each object (B,O) the value drawn for its kind: (B,kinds,C) -> (B,O,C)."""
    return values.gather(1, kind[..., None].expand(-1, -1, values.shape[-1]))


def random_shape_colours(
    scene: SceneBatch, drawn: Rendered, generator: torch.Generator
) -> tuple[Tensor, list[Words]]:
    """Give every kind of shape a random colour."""
    colours = random_colours((len(scene.kind), len(SHAPE_NAMES)), generator)
    painted = replace(
        scene,
        colour=_by_kind(colours, scene.kind),
        pattern=torch.zeros_like(scene.pattern),
    )
    return render(painted).image, [{}] * len(drawn.image)


def _global(function: Callable[[Tensor], Tensor]) -> Edit:
    return Edit(function.__name__, "global", False, _look(function))


EDITS: tuple[Edit, ...] = (
    *map(
        _global,
        (
            looks.black_and_white,
            looks.sepia,
            looks.negative,
            looks.night,
            looks.sunset,
            looks.winter,
            looks.fog,
            looks.pencil_sketch,
            looks.poster,
            looks.pixel_art,
            looks.emboss,
            looks.warm_film,
            looks.high_contrast,
            looks.blueprint,
            looks.thermal,
            looks.comic,
        ),
    ),
    Edit("recolour", "local", True, recolour),
    Edit("reshape", "local", True, reshape),
    Edit("remove", "local", True, remove),
    Edit("grey_background", "local", True, grey_background),
    Edit("random_shape_colours", "one-to-many", True, random_shape_colours),
    *(Edit(name, "one-to-many", False, _free_look(look)) for name, look in FREE_LOOKS.items()),
)
EDITS_BY_NAME = {edit.name: edit for edit in EDITS}
# Their targets are grey
COLOURLESS = frozenset(("black_and_white", "pencil_sketch", "emboss"))
# Their targets have a grid that stays in place on the screen when the scene moves.
SCREEN_LOOKS: dict[str, Callable[[Tensor], Tensor]] = {"pixel_art": looks.pixel_art}
# What a small model learns last: hard edges, an inverted sign, objects that appear or disappear.
HARD_EDITS = frozenset(
    ("poster", "comic", "high_contrast", "pencil_sketch", "negative", "emboss", "blueprint")
).union(("winter", "thermal", "remove", "reshape"))
HARD_EDIT_FACTOR = 2.0
SCOPES: tuple[Scope, ...] = ("global", "local", "one-to-many")
# Weight of one edit by scope. Local edits have parameters (which shape, which colour).
SCOPE_WEIGHTS = (0.6, 4.0, 1.4)


def sample_pairs(
    sampler: SceneSampler,
    batch_size: int,
    size: tuple[int, int],
    generator: torch.Generator,
    *,
    split: Split = "train",
    edits: tuple[Edit, ...] = EDITS,
    scope_weights: tuple[float, float, float] = SCOPE_WEIGHTS,
    rows_per_edit: int = 4,
) -> Pairs:
    """Draw scenes and edit them.

    Args:
        sampler: draws the scenes.
        batch_size: number of pairs B.
        size: (height, width) in pixels.
        generator: all randomness comes from it.
        split: which phrasings are used; "test" ones are never trained on.
        edits: edits to draw from.
        scope_weights: how often a global, a local and a one-to-many edit is drawn, relative to
            each other; `HARD_EDITS` are drawn `HARD_EDIT_FACTOR` times as often as others.
        rows_per_edit: neighbouring rows that share an edit (and are drawn together).
    """
    num_groups = -(-batch_size // rows_per_edit)
    weights = torch.tensor([_weight(edit, scope_weights) for edit in edits])
    drawn = torch.multinomial(weights, num_groups, replacement=True, generator=generator)
    sources: list[Tensor] = []
    targets: list[Tensor] = []
    objects: list[Tensor] = []
    instructions: list[str] = []
    names: list[str] = []
    for index in drawn.tolist():
        edit, rows = edits[index], min(rows_per_edit, batch_size - len(names))
        scene = sampler.sample(_num_objects(edit, rows, generator), size, generator)
        source = render(scene)
        target, words = edit.apply(scene, source, generator)
        sources.append(source.image)
        targets.append(target)
        objects.append(source.labels > 0)
        instructions += [phrases.phrase(edit.name, split, generator, **fill) for fill in words]
        names += [edit.name] * rows
    images = torch.cat(sources), torch.cat(targets), torch.cat(objects)
    return Pairs(*images, instructions, names)


def _weight(edit: Edit, scope_weights: tuple[float, float, float]) -> float:
    factor = HARD_EDIT_FACTOR if edit.name in HARD_EDITS else 1.0
    return factor * scope_weights[SCOPES.index(edit.scope)]


def _num_objects(edit: Edit, rows: int, generator: torch.Generator) -> Tensor:
    """Return the number of objects per scene, (rows,); 0 in half of them if the edit needs none."""
    some = torch.randint(1, 5, (rows,), generator=generator)
    if edit.needs_objects:
        return some
    return some * torch.randint(2, (rows,), generator=generator)
