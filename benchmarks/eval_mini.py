"""How good a trained editor is on held-out scenes, and which settings serve it best.

    python benchmarks/eval_mini.py                     the model's own defaults
    python benchmarks/eval_mini.py --sweep guidance    four pairs of guidance scales
    python benchmarks/eval_mini.py --sweep sampler     samplers and numbers of steps
    python benchmarks/eval_mini.py --photos ../shared/photos --sheet sheet.png

Scenes of unseen seeds, instructions in phrasings kept from training, deterministic edits. An edit
is *right* if the output is nearest (mean squared error) to its own target among the targets of
all deterministic edits of that source: every global look, and one example of each local edit.
PSNR is to the own target. Images (B,3,H,W) in [0,1].
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from _record import show
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
)
from PIL import Image
from torch import Tensor

from fairy import FairyPipeline
from fairy.evaluation.methods import edit_alone
from fairy.media.frames import to_images
from fairy.media.sheet import contact_sheet
from fairy.training.edits import EDITS
from fairy.training.photos import PhotoPool
from fairy.training.phrases import phrase
from fairy.training.scenes import SceneSampler, render

DETERMINISTIC = [edit for edit in EDITS if edit.deterministic]
# Far from every training seed, which are hashes of small numbers.
FIRST_SEED = 9_000_000
GUIDANCE = [(1.0, 1.0), (1.5, 1.0), (3.0, 1.5), (7.5, 1.5)]
SAMPLERS: dict[str, Any] = {
    "Euler": EulerDiscreteScheduler,
    "Euler ancestral": EulerAncestralDiscreteScheduler,
    "DPM++ 2M": DPMSolverMultistepScheduler,
    "DDIM": DDIMScheduler,
}
STEPS = (4, 6, 10, 20)


@dataclass(frozen=True)
class Cases:
    """S held-out sources (S,3,H,W), each with one instruction and the targets of all edits.

    Attributes:
        sources: (S,3,H,W).
        targets: (S,E,3,H,W), E deterministic edits.
        asked: (S,) index of the edit that the instruction asks for.
        instructions: S texts.
    """

    sources: Tensor
    targets: Tensor
    asked: Tensor
    instructions: list[str]


def make_cases(count: int, size: tuple[int, int], photos: Path | None) -> Cases:
    """Draw the held-out scenes; every edit is asked for equally often."""
    sampler = SceneSampler(PhotoPool(photos) if photos else None)
    sources, targets, instructions = [], [], []
    for index in range(count):
        generator = torch.Generator().manual_seed(FIRST_SEED + index)
        scene = sampler.sample(torch.randint(1, 5, (1,), generator=generator), size, generator)
        drawn = render(scene)
        results = [edit.apply(scene, drawn, generator) for edit in DETERMINISTIC]
        asked = index % len(DETERMINISTIC)
        words = results[asked][1][0]
        instructions.append(phrase(DETERMINISTIC[asked].name, "test", generator, **words))
        sources.append(drawn.image)
        targets.append(torch.cat([target for target, _ in results]))
    asked_edits = torch.arange(count) % len(DETERMINISTIC)
    return Cases(torch.cat(sources), torch.stack(targets), asked_edits, instructions)


def edit_all(pipe: FairyPipeline, cases: Cases, **settings: Any) -> Tensor:
    """Edit each source as its instruction says: (S,3,H,W)."""
    seeds = range(len(cases.sources))
    return edit_alone(pipe, cases.sources, cases.instructions, seeds, **settings)


def score(outputs: Tensor, cases: Cases) -> tuple[Tensor, Tensor]:
    """Return whether each edit is right (S,) bool, and its PSNR in dB (S,)."""
    error = (outputs[:, None] - cases.targets).square().mean((2, 3, 4))
    own = error.gather(1, cases.asked[:, None])[:, 0]
    return error.argmin(1) == cases.asked, -10 * own.clamp_min(1e-10).log10()


def measure(name: str, pipe: FairyPipeline, cases: Cases, **settings: Any) -> dict[str, Any]:
    """Return one row of the table."""
    start_s = time.perf_counter()
    right, psnr_db = score(edit_all(pipe, cases, **settings), cases)
    seconds = time.perf_counter() - start_s
    return {
        "settings": name,
        "right_percent": 100 * float(right.float().mean()),
        "psnr_db": float(psnr_db.mean()),
        "ms_per_image": 1000 * seconds / len(right),
    }


def sweep_guidance(pipe: FairyPipeline, cases: Cases) -> list[dict[str, Any]]:
    """One row for each pair of guidance scales."""
    return [
        measure(
            f"guidance {text}, {image}",
            pipe,
            cases,
            guidance_scale=text,
            image_guidance_scale=image,
        )
        for text, image in GUIDANCE
    ]


def sweep_sampler(pipe: FairyPipeline, cases: Cases) -> list[dict[str, Any]]:
    """One row for each sampler and number of steps, trailing spacing."""
    rows, config = [], dict(pipe.scheduler.config)
    for name, scheduler in SAMPLERS.items():
        pipe.scheduler = scheduler.from_config(config, timestep_spacing="trailing")
        for steps in STEPS:
            label = f"{name}, {steps} steps"
            rows.append(measure(label, pipe, cases, num_inference_steps=steps))
    return rows


def by_edit(pipe: FairyPipeline, cases: Cases, sheet: Path | None) -> list[dict[str, Any]]:
    """One row for each edit, and one for all; draws a sheet of one example of each edit."""
    outputs = edit_all(pipe, cases)
    right, psnr_db = score(outputs, cases)
    rows = defaultdict(list)
    for index, edit in enumerate(cases.asked.tolist()):
        rows[DETERMINISTIC[edit].name].append(index)
    if sheet:
        draw_sheet(sheet, outputs, cases)
    rows["all"] = list(range(len(right)))
    return [
        {
            "edit": name,
            "right_percent": 100 * float(right[members].float().mean()),
            "psnr_db": float(psnr_db[members].mean()),
            "images": len(members),
        }
        for name, members in rows.items()
    ]


def draw_sheet(path: Path, outputs: Tensor, cases: Cases) -> None:
    """Write the first case of each edit: source, target and output, one above the other."""
    shown = range(min(len(DETERMINISTIC), len(outputs)))
    targets = torch.stack([cases.targets[i, cases.asked[i]] for i in shown])
    rows = [cases.sources[: len(targets)], targets, outputs[: len(targets)]]
    arrays = [list(to_images(row * 2 - 1)) for row in rows]
    Image.fromarray(contact_sheet(arrays, ["source", "target", "output"])).save(path)


def main() -> None:
    """Parse, measure, show."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--size", type=int, default=64, help="height and width in px")
    parser.add_argument("--photos", type=Path, help="folder of photographs for backgrounds")
    parser.add_argument("--sweep", choices=["guidance", "sampler"])
    parser.add_argument("--sheet", type=Path, help="PNG of one example of each edit")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    pipe = FairyPipeline.from_pretrained(args.model, device=args.device, dtype="auto")
    cases = make_cases(args.scenes, (args.size, args.size), args.photos)
    if args.sweep == "guidance":
        rows = sweep_guidance(pipe, cases)
    elif args.sweep == "sampler":
        rows = sweep_sampler(pipe, cases)
    else:
        rows = by_edit(pipe, cases, args.sheet)
    title = f"{args.model} on {args.scenes} held-out scenes of {args.size}x{args.size}"
    show(title, rows, photos=bool(args.photos), sweep=args.sweep)


if __name__ == "__main__":
    main()
