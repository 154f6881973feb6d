r"""How good is the bundled editor on held-out pictures, and which settings are best?

    python benchmarks/quality/eval_mini.py local speed                       no other files needed
    python benchmarks/quality/eval_mini.py looks autoencoder --clips ../shared/clips \
        --photos ../shared/photos --sizes 256 384
    python benchmarks/quality/eval_mini.py guidance sampler steps    sweeps, on ordinary scenes

Parts:
    looks        looks of the whole picture: frames of clips, else ordinary scenes
    local        recolour, reshape, remove and grey background, on clear scenes
    autoencoder  photographs and frames, encoded and decoded
    speed        seconds for a frame of a clip with anchors, and the model's size on disk
    guidance, sampler, steps    sweeps of these settings
Edits that leave a choice open: benchmarks/quality/ablation.py. Seeds and phrasings are held out
from training. An edit is *right* if the output is nearer (mean squared error) to its own target
than to the result of any other deterministic edit. `reached` is the share of the intended change,
`of_bound` the same relative to inpainting, which knows the region but not what is behind it.
*Named only* means that the named object changed and the rest changed by at most 3 %.
Tests: tests/benchmarks/quality/test_eval_mini.py.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.held_out import (
    LOOKS,
    Cases,
    Row,
    frame_cases,
    judged,
    local_cases,
    real_frames,
    scene_cases,
    whole_photos,
)
from benchmarks.lib.record import show
from benchmarks.lib.seconds import Seconds
from benchmarks.lib.sheets import write_sheet
from fairy import FairyPipeline
from fairy.editors.ip2p.latents import decode_latents, encode_images
from fairy.evaluation.clips import render_clip
from fairy.evaluation.methods import edit_alone, with_anchors
from fairy.metrics.fidelity import frame_psnrs_db
from fairy.models.sources import find_model

GUIDANCE = [(1.0, 1.0), (1.1, 1.0), (1.25, 1.0), (1.5, 1.0), (3.0, 1.5), (7.5, 1.5)]
SAMPLERS: dict[str, Any] = {
    "Euler": EulerDiscreteScheduler,
    "DPM++ 2M": DPMSolverMultistepScheduler,
    "DDIM": DDIMScheduler,
}
STEPS = (1, 2, 4, 10)
NUM_ANCHORS = 3
# Any look: they are all equally fast
TIMED_EDIT = "night"


def main(words: Sequence[str] | None = None) -> None:
    """Measure the given parts, one after the other."""
    args = parser().parse_args(words)
    pipe = load(args)
    for name in args.parts:
        rows = PARTS[name](pipe, args)
        out = args.out / f"{name}.json" if args.out else None
        sources = {"clips": bool(args.clips), "photos": bool(args.photos)}
        title = f"{args.model}: {name}"
        show(title, rows, out=out, part=name, model=args.model, **sources)


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("parts", nargs="+", choices=list(PARTS))
    made.add_argument("--model", default="mini")
    made.add_argument("--device", default="auto")
    made.add_argument("--sizes", type=int, nargs="+", default=[256], help="square, in px")
    made.add_argument("--images", type=int, default=128, help="of each part and size")
    made.add_argument("--frames", type=int, default=16, help="of the clip that is timed")
    made.add_argument("--steps", type=int, default=2, help="of the clip that is timed")
    made.add_argument("--dtypes", nargs="+", default=["float32"], help="in which it is timed")
    made.add_argument("--clips", type=Path, help="folder of clips: frames to edit")
    made.add_argument("--photos", type=Path, help="folder of photographs")
    made.add_argument("--out", type=Path, help="folder for a JSON document of each part")
    made.add_argument("--sheets", type=Path, help="folder for a PNG of each part's first pictures")
    return made


def load(args: argparse.Namespace, dtype: str = "auto") -> FairyPipeline:
    """Load the model of the options."""
    return FairyPipeline.from_pretrained(args.model, device=args.device, dtype=dtype)


def looks(pipe: FairyPipeline, args: argparse.Namespace) -> list[Row]:
    """Return a row for each size and look, and one per size for all looks."""
    rows = []
    for size in args.sizes:
        rows += _by_edit(pipe, args, size, _look_cases(args, (size, size)))
    return rows


def local(pipe: FairyPipeline, args: argparse.Namespace) -> list[Row]:
    """Return a row for each size and local edit, and one per size for all of them."""
    rows = []
    for size in args.sizes:
        cases = local_cases(args.images, (size, size), args.photos)
        rows += _by_edit(pipe, args, size, cases)
    return rows


def _look_cases(args: argparse.Namespace, size: tuple[int, int]) -> Iterator[Cases]:
    if args.clips:
        return frame_cases(args.clips, args.images, size)
    return scene_cases(args.images, size, args.photos, LOOKS)


def _by_edit(
    pipe: FairyPipeline, args: argparse.Namespace, size: int, batches: Iterator[Cases]
) -> list[Row]:
    found: list[Row] = []
    for number, cases in enumerate(batches):
        outputs = edit_cases(pipe, cases, len(found))
        found += judged(outputs, cases)
        if number == 0 and args.sheets:
            kind = "local" if "reached" in found[0] else "looks"
            rows = {"source": cases.sources, "target": cases.own_targets, "output": outputs}
            write_sheet(args.sheets / f"{kind}_{size}.png", rows)
    names = dict.fromkeys(row["edit"] for row in found)
    groups = {name: [row for row in found if row["edit"] == name] for name in names}
    groups["all"] = found
    return [{"size": size, **summary(name, rows)} for name, rows in groups.items()]


def edit_cases(pipe: FairyPipeline, cases: Cases, first_seed: int, **settings: Any) -> Tensor:
    """Edit each source by its instruction: (S,3,H,W) in [0,1]."""
    seeds = range(first_seed, first_seed + len(cases.sources))
    return edit_alone(pipe, cases.sources, cases.instructions, seeds, **settings).clamp(0, 1)


def summary(name: str, rows: Sequence[Row]) -> Row:
    """Return the means of rows of `judged`."""
    found: Row = {
        "edit": name,
        "right_percent": 100 * fmean(row["right"] for row in rows),
        "psnr_db": fmean(row["psnr_db"] for row in rows),
        "images": len(rows),
    }
    if any("reached" in row for row in rows):
        some = [row for row in rows if "reached" in row]
        # NaN if the scene is already as requested, so there is nothing to change
        reached = [row["reached"] for row in some if not math.isnan(row["reached"])]
        found["reached"] = fmean(reached) if reached else None
        found["rest_moved_percent"] = 100 * fmean(row["rest_moved"] for row in some)
        found["named_only_percent"] = 100 * fmean(row["named_only"] for row in some)
        removed = [row for row in some if row["edit"] == "remove"]
        is_removal = len(removed) == len(rows)
        bound = fmean(row["bound"] for row in removed) if is_removal else None
        found["bound"] = bound
        found["of_bound_percent"] = 100 * found["reached"] / bound if bound and reached else None
    return found


def autoencoder(pipe: FairyPipeline, args: argparse.Namespace) -> list[Row]:
    """Return the autoencoder's error on photographs and frames."""
    rows = []
    for size in args.sizes:
        shape = (size, size)
        kinds: dict[str, Iterator[Tensor]] = {}
        if args.photos:
            kinds["photographs"] = whole_photos(args.photos, args.images, shape)
        if args.clips:
            kinds["frames of clips"] = iter(real_frames(args.clips, args.images, shape).split(1))
        if not kinds:
            scenes = scene_cases(args.images, shape)
            kinds["rendered scenes"] = (one for cases in scenes for one in cases.sources.split(1))
        for name, images in kinds.items():
            psnrs = [float(frame_psnrs_db(_through(pipe.vae, one), one)) for one in images]
            rows.append({"size": size, "of": name, "psnr_db": fmean(psnrs), "images": len(psnrs)})
    return rows


@torch.no_grad()
def _through(vae: Any, images: Tensor) -> Tensor:
    """Encode and decode images (B,3,H,W) in [0,1]."""
    latents = encode_images(vae, (images * 2 - 1).to(vae.device, vae.dtype))
    decoded = decode_latents(vae, latents * vae.config.scaling_factor)
    return ((decoded.float().cpu() + 1) / 2).clamp(0, 1)


def speed(pipe: FairyPipeline, args: argparse.Namespace) -> list[Row]:
    """Return the seconds per frame by size and dtype, including anchors, after a warm-up."""
    rows = []
    for dtype in args.dtypes:
        timed = with_anchors(
            load(args, dtype), NUM_ANCHORS, num_inference_steps=args.steps, guidance_scale=1.0
        )
        for size in args.sizes:
            clip = render_clip(0, TIMED_EDIT, args.frames, (size, size))
            timed.edit(clip.frames, clip.instruction, 0)
            began = Seconds.now()
            timed.edit(clip.frames, clip.instruction, 0)
            took = Seconds.now() - began
            rows.append(
                {
                    "size": size,
                    "dtype": dtype,
                    "steps": args.steps,
                    "anchors": NUM_ANCHORS,
                    "frames": args.frames,
                    "s_per_frame": took.wall / args.frames,
                    "cpu_s_per_frame": took.cpu / args.frames,
                    "mb_on_disk": size_on_disk(args.model) / 1e6,
                }
            )
    return rows


def size_on_disk(model: str) -> int:
    """Return the bytes of a model's files; 0 if it is on the hub."""
    found = Path(find_model(model))
    files = [found] if found.is_file() else found.rglob("*")
    return sum(path.stat().st_size for path in files if path.is_file())


def sweep(
    pipe: FairyPipeline, args: argparse.Namespace, settings: Sequence[tuple[str, dict[str, Any]]]
) -> list[Row]:
    """Return a row per setting, on the same ordinary scenes."""
    size = (args.sizes[0], args.sizes[0])
    rows = []
    for name, given in settings:
        found: list[Row] = []
        began = Seconds.now()
        for cases in scene_cases(args.images, size, args.photos):
            found += judged(edit_cases(pipe, cases, len(found), **given), cases)
        took = (Seconds.now() - began).on(pipe.device)
        kept = ("right_percent", "psnr_db")
        means = {key: summary("all", found)[key] for key in kept}
        rows.append({"settings": name, **means, "ms_per_image": 1000 * took / len(found)})
    return rows


def guidance(pipe: FairyPipeline, args: argparse.Namespace) -> list[Row]:
    """Return a row for each pair of guidance scales."""
    names = ("guidance_scale", "image_guidance_scale")
    pairs = [(f"guidance {a}, {b}", dict(zip(names, (a, b), strict=True))) for a, b in GUIDANCE]
    return sweep(pipe, args, pairs)


def steps(pipe: FairyPipeline, args: argparse.Namespace) -> list[Row]:
    """Return a row for each number of steps of the model's own sampler."""
    return sweep(pipe, args, [(f"{n} steps", {"num_inference_steps": n}) for n in STEPS])


def sampler(pipe: FairyPipeline, args: argparse.Namespace) -> list[Row]:
    """Return a row for each sampler and number of steps, with trailing spacing."""
    own = pipe.scheduler
    rows = steps(pipe, args)
    for name, scheduler in SAMPLERS.items():
        pipe.scheduler = scheduler.from_config(own.config, timestep_spacing="trailing")
        rows += [{**row, "settings": f"{name}, {row['settings']}"} for row in steps(pipe, args)]
    pipe.scheduler = own
    return rows


PARTS: dict[str, Callable[[FairyPipeline, argparse.Namespace], list[Row]]] = {
    "looks": looks,
    "local": local,
    "autoencoder": autoencoder,
    "speed": speed,
    "guidance": guidance,
    "sampler": sampler,
    "steps": steps,
}


if __name__ == "__main__":
    main()
