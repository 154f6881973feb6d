"""The command `fairy`: edit | batch | info | doctor | train.

Thin: options to `EditConfig`, library calls, words. torch is imported only by the commands that
need it, so that `fairy --help` answers at once.
Tests: tests/cli/test_app.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fairy import __version__
from fairy.cli.console import (
    OneLineGroup,
    frame_progress,
    logged_to,
    quiet_libraries,
    say,
    user_facing,
)
from fairy.errors import FairyError, SettingsError
from fairy.interrupt import Cancel
from fairy.settings import EditConfig

DEFAULTS = EditConfig()
# Of commands whose options stand in a module of their own, imported when they are called
HANDED_OVER = {"allow_extra_args": True, "ignore_unknown_options": True}

app = typer.Typer(
    name="fairy",
    cls=OneLineGroup,
    help="Edit videos by an instruction.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command line, as `fairy.__main__` does."""
    # Read by Intel's matrix library when torch loads it: the same seed gives the same video to
    # the bit, however buffers happen to be aligned.
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
    # The AV1 encoder's: errors alone, not a page of what it is
    os.environ.setdefault("SVT_LOG", "1")
    # Names of files may hold what the terminal cannot show
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()


def show_version(wanted: bool) -> None:
    """Print the version and stop, when asked to."""
    if wanted:
        say(Console(), f"fairy {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """Edit videos by an instruction."""


def parse_anchors(text: str | None) -> tuple[int, ...] | None:
    """Return frame numbers from "0,40,80".

    Raises:
        SettingsError: not whole numbers with commas between them.
    """
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise SettingsError(
            f"--anchors {text!r}: give frame numbers with commas between them, as in 0,40,80"
        ) from error


@app.command()
@user_facing
def edit(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(metavar="IN", help="A clip, a picture, a folder of them, or - (stdin)."),
    ],
    instruction: Annotated[str, typer.Argument(help='What to change, as in "make it snow".')],
    out: Annotated[
        Path, typer.Option("--out", "-o", help=".mp4 .mov .mkv .webm .gif .png, or a PNG folder.")
    ],
    model: Annotated[
        str, typer.Option(help='"mini", a folder, a .safetensors file or a hub id.')
    ] = DEFAULTS.model,
    steps: Annotated[
        int | None, typer.Option(help="Denoising steps. Default: the model's.")
    ] = None,
    guidance_scale: Annotated[
        float | None, typer.Option(help="Weight of the instruction. Default: the model's.")
    ] = None,
    image_guidance_scale: Annotated[
        float | None, typer.Option(help="Weight of the source. Default: the model's.")
    ] = None,
    num_anchors: Annotated[
        int, typer.Option(help="Anchor frames, spread evenly.")
    ] = DEFAULTS.num_anchors,
    anchors: Annotated[
        str | None, typer.Option(help="Anchor frames by number instead, as in 0,40,80.")
    ] = None,
    anchor_strength: Annotated[
        float, typer.Option(help="Factor on the anchors' weights; 1 is the paper, 0 no anchors.")
    ] = DEFAULTS.anchor_strength,
    shots: Annotated[
        str, typer.Option(help="auto, off, or a file of the frame numbers at which shots begin.")
    ] = DEFAULTS.shots,
    seed: Annotated[int, typer.Option(help="The same seed gives the same video.")] = DEFAULTS.seed,
    size: Annotated[
        int | None, typer.Option(help="Longer side in pixels at which the model works.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = DEFAULTS.device,
    dtype: Annotated[str, typer.Option(help="auto, float32, float16, bfloat16.")] = DEFAULTS.dtype,
    backend: Annotated[
        str, typer.Option(help="Anchor attention by: auto, triton, sdpa, reference.")
    ] = DEFAULTS.backend,
    frame_batch_size: Annotated[
        int | None, typer.Option(help="Frames denoised together. Default: from free memory.")
    ] = None,
    anchor_cache_device: Annotated[
        str | None, typer.Option(help="cpu keeps the anchors' keys in the host's memory.")
    ] = None,
    quality: Annotated[
        str, typer.Option(help="exact, balanced or fast: a bundle of the next three options.")
    ] = "exact",
    guidance_interval: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Guidance in this part of the steps only, in fractions: 0 0.6."),
    ] = None,
    reuse: Annotated[
        int | None, typer.Option(help="Compute the UNet's lower levels every REUSE steps only.")
    ] = None,
    fp8: Annotated[
        bool, typer.Option("--fp8", help="Linear layers in float8 (needs the extra [fp8]).")
    ] = False,
    compile_unet: Annotated[
        bool, typer.Option("--compile/--no-compile", help="Compile the UNet: for long clips.")
    ] = DEFAULTS.compile,
    decoder: Annotated[
        str | None, typer.Option(help="A tiny autoencoder to decode with: madebyollin/taesd.")
    ] = None,
    keep_size: Annotated[
        bool, typer.Option(help="Scale the result back to the source's size.")
    ] = DEFAULTS.keep_size,
    codec: Annotated[
        str | None, typer.Option(help="h264, hevc, vp9, av1, prores, ffv1. Default: by OUT's name.")
    ] = None,
    crf: Annotated[
        int | None, typer.Option(help="Quality of the codec: lower is better and larger.")
    ] = None,
    pix_fmt: Annotated[
        str | None, typer.Option(help="How pixels are stored, as in yuv444p. Default: yuv420p.")
    ] = None,
    video_stream: Annotated[
        int | None, typer.Option(help="Stream of IN to edit, as `fairy info` counts.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="A picture that cannot be decoded is an error.")
    ] = False,
    provenance: Annotated[
        bool, typer.Option(help="Say in OUT's metadata how it was made.")
    ] = DEFAULTS.provenance,
    compare: Annotated[
        Path | None, typer.Option(help="Also write source and result side by side.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Also write settings, times and memory as JSON.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Do not go on where an interrupted edit was.")
    ] = False,
    preview: Annotated[
        int | None,
        typer.Option(metavar="N", help="Edit N frames only and draw them on OUT's contact sheet."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what is done.")] = False,
) -> None:
    """Edit the clip IN as INSTRUCTION says and write it to OUT.

    After an interruption the same command goes on where it was.
    """
    from fairy.media.decoding.stdin import clip_from

    source = context.with_resource(clip_from(source))
    config = EditConfig(
        model=model,
        num_inference_steps=steps,
        guidance_scale=guidance_scale,
        image_guidance_scale=image_guidance_scale,
        num_anchors=num_anchors,
        anchor_indices=parse_anchors(anchors),
        anchor_strength=anchor_strength,
        shots=shots,
        seed=seed,
        size=size,
        keep_size=keep_size,
        device=device,
        dtype=dtype,
        backend=backend,
        frame_batch_size=frame_batch_size,
        anchor_cache_device=anchor_cache_device,
        quality=quality,
        guidance_interval=guidance_interval,
        reuse=reuse,
        fp8=fp8,
        compile=compile_unet,
        decoder=decoder,
        video_stream=video_stream,
        strict=strict,
        codec=codec,
        crf=crf,
        pix_fmt=pix_fmt,
        provenance=provenance,
    )
    console = Console(stderr=True)
    with logged_to(console, verbose=verbose), Cancel().on_signals() as cancel:
        quiet_libraries()
        from fairy.jobs.edit import edit_video
        from fairy.jobs.preview import preview_video

        if preview is not None:
            sheet = preview_video(
                source,
                instruction,
                out,
                config,
                num_frames=preview,
                compare=compare,
                overwrite=overwrite,
                restart=restart,
            )
            say(Console(), f"{sheet}: go on with the same command without --preview")
            return
        with frame_progress(console, f"{source.name}: {instruction}") as progress:
            done = edit_video(
                source,
                instruction,
                out,
                config,
                compare=compare,
                report=report,
                overwrite=overwrite,
                restart=restart,
                progress=progress,
                cancel=cancel,
            )
    if console.is_terminal:
        seconds, speed = done.seconds["total"], done.frames_per_second
        frames = f"{done.num_frames_out} frames, {seconds:.1f} s, {speed:.2f} frames/s"
        say(console, f"{done.out}: {frames}, {done.used.backend} on {done.used.device}")


@app.command()
@user_facing
def batch(
    jobs: Annotated[
        Path, typer.Argument(help=".csv or .jsonl: input, instruction, output, any option.")
    ],
    model: Annotated[str, typer.Option(help="Of lines that name none.")] = DEFAULTS.model,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = DEFAULTS.device,
    dtype: Annotated[str, typer.Option(help="auto, float32, float16, bfloat16.")] = DEFAULTS.dtype,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what is done.")] = False,
) -> None:
    """Run many edits; print one line of JSON for each. Run again, it does what is missing."""
    with logged_to(Console(stderr=True), verbose=verbose), Cancel().on_signals() as cancel:
        quiet_libraries()
        from fairy.jobs.batch import run_batch

        config = EditConfig(model=model, device=device, dtype=dtype)
        results = run_batch(
            jobs,
            config,
            on_result=lambda result: say(Console(), result.to_json()),
            cancel=cancel,
        )
    num_failed = sum(result.state == "failed" for result in results)
    if num_failed:
        raise FairyError(f"{num_failed} of {len(results)} jobs failed: see their lines above")


@app.command()
@user_facing
def info(
    context: typer.Context,
    clip: Annotated[
        Path, typer.Argument(help="A clip, a picture, a folder of them, or - (stdin).")
    ],
) -> None:
    """Say what a clip holds: frames, timestamps, size, rotation, colours, audio."""
    from fairy.jobs.info import describe_clip
    from fairy.media.decoding.stdin import clip_from

    console = Console()
    clip = context.with_resource(clip_from(clip))
    for name, value in describe_clip(clip):
        say(console, f"{name:<10}{value}")


def hand_over(command: Callable[..., None], context: typer.Context, name: str) -> None:
    """Let `command`, which declares its own options, read what was typed after `fairy NAME`."""
    own = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    own.command()(user_facing(command))
    code = own(args=context.args, prog_name=f"fairy {name}", standalone_mode=False)
    raise typer.Exit(code or 0)


@app.command(name="eval", add_help_option=False, context_settings=HANDED_OVER)
@user_facing
def evaluate(context: typer.Context) -> None:
    """Say how good an edit is: scores, intervals and a report (needs the extra [eval])."""
    quiet_libraries()
    try:
        from fairy.cli.evaluate import eval_command
    except ModuleNotFoundError as error:
        raise FairyError(
            f"an evaluation needs the package {error.name}: pip install 'fairy-video[eval]'"
        ) from error
    hand_over(eval_command, context, "eval")


@app.command(add_help_option=False, context_settings=HANDED_OVER)
@user_facing
def train(context: typer.Context) -> None:
    """Train a model like `mini` by a recipe (needs the extra [train])."""
    quiet_libraries()
    try:
        from fairy.cli.train import train_command
    except ModuleNotFoundError as error:
        raise FairyError(
            f"training needs the package {error.name}: pip install 'fairy-video[train]'"
        ) from error
    hand_over(train_command, context, "train")


@app.command(add_help_option=False, context_settings=HANDED_OVER)
@user_facing
def doctor(context: typer.Context) -> None:
    """Say what would run on this machine and what is missing; with --plan WxH, what fits."""
    quiet_libraries()
    from fairy.cli.doctor import doctor_command

    hand_over(doctor_command, context, "doctor")


@app.command(add_help_option=False, context_settings=HANDED_OVER)
@user_facing
def track(context: typer.Context) -> None:
    """Draw what a point attends to in the anchors, or measure how well each layer tracks."""
    quiet_libraries()
    from fairy.cli.track import track_command

    hand_over(track_command, context, "track")
