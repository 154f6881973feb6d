"""Edit many clips inside a Ray Data pipeline: paths in, paths and reports out.

python examples/ray_data.py "black and white" out a.mp4 b.mp4 --workers 2

For a plain list of edits, `fairy batch --cluster ray` is the safer way: it counts attempts, tells a
lost machine from a bad clip, and replaces frozen workers (docs/scale.md). This is for pipelines
that are on Ray Data already, with steps before or after the edit. Needs `pip install 'ray[data]'`.
Tests: tests/batch/test_on_ray.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import ray

from fairy import EditConfig
from fairy.batch.clip_worker import ClipWorker
from fairy.batch.joblist import make_job


class EditClips:
    """Edits the clip of each row; the model stays loaded between rows."""

    def __init__(self, config: EditConfig, threads: int | None) -> None:
        self._config, self._worker = config, ClipWorker(threads)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Add to "input", "instruction" and "output" what became of the edit; errors are in it."""
        result = self._worker.edit(make_job(0, row, self._config))
        return row | {
            "state": result.state,
            "num_frames": result.num_frames or 0,
            "seconds": result.seconds,
            "error": result.error or "",
        }


def main() -> None:
    """Edit the clips and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("instruction")
    parser.add_argument("out", type=Path, help="folder for the results")
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--gpus-per-worker", type=float, default=0)
    parser.add_argument("--size", type=int)
    parser.add_argument("--steps", type=int)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    config = EditConfig(size=args.size, num_inference_steps=args.steps)
    rows = [
        {
            "input": str(clip.resolve()),
            "instruction": args.instruction,
            "output": str(args.out.resolve() / clip.name),
        }
        for clip in args.clips
    ]
    # A worker has one clip at a time, so that it takes no other with it when it dies. Without a
    # bound on the tries, a clip that kills its workers would keep the pipeline running for ever;
    # with it, that clip ends the pipeline. Ray 2.64 is to remove this way to bound them
    edited = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        EditClips,
        fn_constructor_args=(config, None if args.gpus_per_worker else 1),
        compute=ray.data.ActorPoolStrategy(size=args.workers, max_tasks_in_flight_per_actor=1),
        num_cpus=1,
        num_gpus=args.gpus_per_worker,
        max_task_retries=2,
    )
    for row in edited.iter_rows():
        print(f"{row['output']}: {row['error'] or row['state']}, {row['num_frames']} frames")


if __name__ == "__main__":
    main()
