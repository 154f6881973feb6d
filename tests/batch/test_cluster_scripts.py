"""What `fairy batch --print` prints runs as it is printed."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from fairy.cli.app import app
from fairy.media.write import write_video
from tests.jobs.worker import start
from tests.tiny import make_frames

OPTIONS = [
    "--size",
    "32",
    "--steps",
    "1",
    "--frame-batch-size",
    "2",
    "--shots",
    "off",
    "--no-provenance",
]


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    write_video(make_frames(4, 32, 48), tmp_path / "clip.mp4", fps=10)
    path = tmp_path / "my jobs.jsonl"
    job = {"input": str(tmp_path / "clip.mp4"), "instruction": "make it snow", "output": "a.mp4"}
    path.write_text(json.dumps(job))
    return path


def printed(kind: str, jobs: Path, *more: str) -> str:
    words = ["batch", jobs, "-o", jobs.with_name("out"), *OPTIONS[:-1], "--print", kind, *more]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


@pytest.mark.forks
def test_the_slurm_script_runs(jobs: Path):
    script, tools, called = (jobs.with_name(name) for name in ("fairy.sh", "bin", "called"))
    script.write_text(printed("slurm", jobs, "--workers", "4"))
    assert "#SBATCH --array=0-3\n" in script.read_text()
    # Slurm refuses --gpus-per-task without it
    assert "#SBATCH --ntasks=1\n#SBATCH --gpus-per-task=1\n" in script.read_text()
    tools.mkdir()
    # Notes its words and folder for a process that starts at once
    (tools / "fairy").write_text(f'#!/bin/bash\nprintf "%s\\0" "$@" > {shlex.quote(str(called))}\n')
    (tools / "fairy").chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "SLURM_ARRAY_TASK_ID": "2",
    }  # fmt: skip
    task = subprocess.run(["bash", script], env=environment, capture_output=True, text=True)
    assert task.returncode == 0, task.stderr
    assert task.stdout.startswith("task 2, restart 0, on ")
    run_to_its_end(called.read_text().split("\0")[:-1], jobs)


def run_to_its_end(words: list[str], jobs: Path) -> None:
    printed_here = jobs.with_name("printed.txt")
    process = start(words, printed_here)
    process.join()
    assert process.exitcode == 0, printed_here.read_text()
    assert jobs.with_name("out").joinpath("a.mp4").exists()


@pytest.mark.forks
def test_the_command_of_the_kubernetes_job_runs(jobs: Path):
    job = yaml.safe_load(printed("kubernetes", jobs, "--workers", "3"))
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (3, 3)
    pod = job["spec"]["template"]["spec"]
    program, *words = pod["containers"][0]["command"]
    assert program == "fairy"
    run_to_its_end(words, jobs)


def test_the_ray_job_runs_the_list_on_its_cluster(jobs: Path):
    job = yaml.safe_load(printed("rayjob", jobs, "--workers", "3", "--cpus-per-worker", "2"))
    program, *words = shlex.split(job["spec"]["entrypoint"])
    assert program == "fairy"
    assert words[-10:] == [
        "--cluster", "ray", "--address", "auto", "--workers", "3", "--gpus-per-worker", "1",
        "--cpus-per-worker", "2",
    ]  # fmt: skip
    (group,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert group["maxReplicas"] == 3
    container = group["template"]["spec"]["containers"][0]
    assert container["resources"]["requests"]["cpu"] == "2"


def test_the_command_keeps_all_other_options(jobs: Path):
    given = ["--seed", "9", "--retry-failed", "--no-provenance", "--cluster", "ray"]
    script = printed("slurm", jobs, *given)
    words = shlex.split(next(line for line in script.splitlines() if line.startswith("exec ")))
    assert words[1:4] == ["fairy", "batch", str(jobs)]
    assert words[words.index("--seed") + 1] == "9"
    assert {"--retry-failed", "--no-provenance"} <= set(words)
    assert words[-2:] == ["--cluster", "shared"]
    assert words.count("--cluster") == 1


@pytest.mark.parametrize(
    ("kind", "unit"), [("slurm", "task"), ("kubernetes", "pod"), ("rayjob", "pod")]
)
def test_parts_of_a_gpu_cannot_be_asked_for(jobs: Path, kind: str, unit: str):
    words = ["batch", str(jobs), "--print", kind, "--gpus-per-worker", "0.5"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert (
        result.stderr
        == f"fairy: --gpus-per-worker 0.5: a {unit} gets whole GPUs with --print {kind}\n"
    )


def test_a_worker_without_a_gpu_asks_for_none(jobs: Path):
    script = printed("slurm", jobs, "--gpus-per-worker", "0", "--cpus-per-worker", "1.5")
    assert "gpus" not in script.partition("exec ")[0]
    assert "#SBATCH --cpus-per-task=2\n" in script
    job = yaml.safe_load(printed("kubernetes", jobs, "--gpus-per-worker", "0"))
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "0"}
