"""How good a trained editor is on held-out scenes, and which settings serve it best.

    python benchmarks/quality/eval_mini.py                     the model's own defaults
    python benchmarks/quality/eval_mini.py --sweep guidance    six pairs of guidance scales
    python benchmarks/quality/eval_mini.py --sweep sampler     samplers and numbers of steps
    python benchmarks/quality/eval_mini.py --sweep steps  steps of the model's own sampler
    python benchmarks/quality/eval_mini.py --photos ../shared/photos --sheet sheet.png
    python benchmarks/quality/eval_mini.py --clips ../shared/clips --size 160   frames of real clips
    python benchmarks/quality/eval_mini.py --clips ../shared/clips --autoencoder

Scenes of unseen seeds, instructions in phrasings kept from training, deterministic edits; or the
looks on frames of clips. An edit is *right* if the output is nearest (mean squared error) to its
own target among the targets of all deterministic edits of that source: every look and, of
scenes, one example of each local edit. PSNR is to the own target. A local edit is *named only* if
it changed what was named and left the rest. Images (B,3,H,W) in [0,1].
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
)
from PIL import Image
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.held_out import Cases, frame_cases, kept_to_the_named, scene_cases, score
from benchmarks.lib.record import show
from fairy import FairyPipeline
from fairy.editors.ip2p.latents import decode_latents, encode_images
from fairy.evaluation.methods import edit_alone
from fairy.media.contact_sheet import contact_sheet
from fairy.media.frames import to_images

GUIDANCE = [(1.0, 1.0), (1.1, 1.0), (1.25, 1.0), (1.5, 1.0), (3.0, 1.5), (7.5, 1.5)]
SAMPLERS: dict[str, Any] = {
    "Euler": EulerDiscreteScheduler,
    "Euler ancestral": EulerAncestralDiscreteScheduler,
    "DPM++ 2M": DPMSolverMultistepScheduler,
    "DDIM": DDIMScheduler,
}
STEPS = (4, 5, 10, 20)


def edit_all(pipe: FairyPipeline, cases: Cases, **settings: Any) -> Tensor:
    """Edit each source as its instruction says: (S,3,H,W)."""
    seeds = range(len(cases.sources))
    return edit_alone(pipe, cases.sources, cases.instructions, seeds, **settings)


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


def sweep_steps(pipe: FairyPipeline, cases: Cases) -> list[dict[str, Any]]:
    """One row for each number of steps of the pipeline's sampler."""
    return [measure(f"{n} steps", pipe, cases, num_inference_steps=n) for n in STEPS]


def sweep_sampler(pipe: FairyPipeline, cases: Cases) -> list[dict[str, Any]]:
    """One row for each sampler and number of steps, trailing spacing."""
    rows, config = [], dict(pipe.scheduler.config)
    for name, scheduler in SAMPLERS.items():
        pipe.scheduler = scheduler.from_config(config, timestep_spacing="trailing")
        of_steps = sweep_steps(pipe, cases)
        rows += [{**row, "settings": f"{name}, {row['settings']}"} for row in of_steps]
    return rows


SWEEPS = {"guidance": sweep_guidance, "sampler": sweep_sampler, "steps": sweep_steps}


def by_edit(pipe: FairyPipeline, cases: Cases, sheet: Path | None) -> list[dict[str, Any]]:
    """One row for each edit, and one for all; draws a sheet of one example of each edit."""
    outputs = edit_all(pipe, cases)
    right, psnr_db = score(outputs, cases)
    kept = kept_to_the_named(outputs, cases)
    names = [cases.edits[index].name for index in cases.asked.tolist()]
    rows = {name: torch.tensor([other == name for other in names]) for name in dict.fromkeys(names)}
    if bool(cases.is_local.any()):
        rows["local edits"] = cases.is_local
    rows["all"] = torch.ones(len(names), dtype=torch.bool)
    if sheet:
        draw_sheet(sheet, outputs, cases)
    return [
        {
            "edit": name,
            "right_percent": 100 * float(right[members].float().mean()),
            "psnr_db": float(psnr_db[members].mean()),
            "named_only_percent": _percent(kept[members & cases.is_local]),
            "images": int(members.sum()),
        }
        for name, members in rows.items()
    ]


def _percent(holds: Tensor) -> float | str:
    return 100 * float(holds.float().mean()) if len(holds) else ""


def reconstruction(pipe: FairyPipeline, cases: Cases) -> list[dict[str, Any]]:
    """How near sources and targets come back from the autoencoder alone."""
    rows = []
    for name, images in (("sources", cases.sources), ("targets", cases.own_targets)):
        back = torch.cat([_through(pipe.vae, batch) for batch in images.split(16)])
        error = (back - images).square().mean((1, 2, 3))
        psnr_db = -10 * error.clamp_min(1e-10).log10()
        rows.append({"images": name, "psnr_db": float(psnr_db.mean()), "count": len(images)})
    return rows


@torch.no_grad()
def _through(vae: Any, images: Tensor) -> Tensor:
    """Encode and decode images (B,3,H,W) in [0,1]."""
    latents = encode_images(vae, (images * 2 - 1).to(vae.device, vae.dtype))
    decoded = decode_latents(vae, latents * vae.config.scaling_factor)
    return (decoded.cpu() + 1) / 2


def draw_sheet(path: Path, outputs: Tensor, cases: Cases) -> None:
    """Write the first case of each edit: source, target and output, one above the other."""
    shown = slice(0, len(cases.edits))
    rows = [cases.sources[shown], cases.own_targets[shown], outputs[shown]]
    arrays = [list(to_images(row * 2 - 1)) for row in rows]
    Image.fromarray(contact_sheet(arrays, ["source", "target", "output"])).save(path)


def main() -> None:
    """Parse, measure, show."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--size", type=int, nargs="+", default=[96], help="height [width] in px")
    parser.add_argument("--photos", type=Path, help="folder of photographs for backgrounds")
    parser.add_argument("--clips", type=Path, help="folder of clips: looks on their frames")
    parser.add_argument("--sweep", choices=list(SWEEPS))
    parser.add_argument("--autoencoder", action="store_true", help="the autoencoder alone")
    parser.add_argument("--sheet", type=Path, help="PNG of one example of each edit")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    pipe = FairyPipeline.from_pretrained(args.model, device=args.device, dtype="auto")
    size = (args.size[0], args.size[-1])
    if args.clips:
        cases = frame_cases(args.clips, args.images, size)
    else:
        cases = scene_cases(args.images, size, args.photos)
    if args.autoencoder:
        rows = reconstruction(pipe, cases)
    elif args.sweep:
        rows = SWEEPS[args.sweep](pipe, cases)
    else:
        rows = by_edit(pipe, cases, args.sheet)
    kind = "frames of clips" if args.clips else "held-out scenes"
    title = f"{args.model} on {args.images} {kind} of {size[0]}x{size[1]}"
    show(title, rows, photos=bool(args.photos), sweep=args.sweep)


if __name__ == "__main__":
    main()
