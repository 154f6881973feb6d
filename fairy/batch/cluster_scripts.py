"""Print a script or manifest that runs a list on Slurm, Kubernetes or Ray, for a user to submit.

Every task runs the same command; the records of the list say what is left
(`fairy.batch.shared`). So a task may be preempted, and started again, at any time.
Tests: tests/batch/test_cluster_scripts.py.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Sequence
from string import Template

from fairy.errors import SettingsError
from fairy.settings import BatchOptions

CPUS_PER_WORKER = 4
# Time to finish the frames in work and to stop
GRACE_S = 120

SLURM = Template("""\
#!/bin/bash
#SBATCH --job-name=fairy
#SBATCH --array=0-$last
#SBATCH --ntasks=1
$gpu_line#SBATCH --cpus-per-task=$cpus
#SBATCH --time=12:00:00
# A task that is preempted, or ends at its time limit, is asked to stop and continues later
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@$grace
#SBATCH --output=fairy-%A_%a.log
echo "task $${SLURM_ARRAY_TASK_ID}, restart $${SLURM_RESTART_COUNT:-0}, on $$(hostname)"
# exec: the signal must reach the command
exec $command
""")

KUBERNETES = Template("""\
apiVersion: batch/v1
kind: Job
metadata:
  name: fairy
spec:
  completionMode: Indexed
  completions: $count
  parallelism: $count
  backoffLimitPerIndex: 10
  podFailurePolicy:
    rules:
      # A lost or drained node is not a failure
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
      # 2: the list is wrong; 3: some jobs were set aside. Another try would not help
      - action: FailIndex
        onExitCodes:
          operator: In
          values: [2, 3]
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: $grace
      containers:
        - name: fairy
          # An image in which fairy-video is installed
          image: fairy-video:latest
          command: $words
          workingDir: /data
          resources:
            requests: {cpu: "$cpus"}
            limits: {nvidia.com/gpu: "$gpus"}
          volumeMounts:
            - {name: data, mountPath: /data}
      volumes:
        # Clips and outputs; every pod sees the same
        - name: data
          persistentVolumeClaim: {claimName: fairy-data}
""")

RAY_JOB = Template("""\
apiVersion: ray.io/v1
kind: RayJob
metadata:
  name: fairy
spec:
  entrypoint: $command
  # Another try starts a new cluster; the command continues there. Exit code 3, some jobs were set
  # aside, is a failure for KubeRay, too: the tries that follow find nothing to do
  backoffLimit: 3
  shutdownAfterJobFinishes: true
  rayClusterSpec:
    enableInTreeAutoscaling: true
    headGroupSpec:
      rayStartParams: {num-cpus: "0"}
      template:
        spec:
          containers:
            - name: ray-head
              # An image in which fairy-video[cluster] is installed
              image: fairy-video:latest
              workingDir: /data
              volumeMounts:
                - {name: data, mountPath: /data}
          volumes:
            - name: data
              persistentVolumeClaim: {claimName: fairy-data}
    workerGroupSpecs:
      - groupName: workers
        minReplicas: 0
        maxReplicas: $count
        replicas: 0
        rayStartParams: {}
        template:
          spec:
            terminationGracePeriodSeconds: $grace
            containers:
              - name: ray-worker
                image: fairy-video:latest
                workingDir: /data
                resources:
                  requests: {cpu: "$cpus"}
                  limits: {nvidia.com/gpu: "$gpus"}
                volumeMounts:
                  - {name: data, mountPath: /data}
            volumes:
              - name: data
                persistentVolumeClaim: {claimName: fairy-data}
""")

TEMPLATES = {"slurm": SLURM, "kubernetes": KUBERNETES, "rayjob": RAY_JOB}


def cluster_script(kind: str, words: Sequence[str], options: BatchOptions) -> str:
    """Return a script or manifest that runs a list with `options.workers` workers.

    Args:
        kind: "slurm", "kubernetes" or "rayjob".
        words: the command's arguments after `fairy batch`, without the options that say how the
            work is shared.
        options: how the work is shared.

    Raises:
        SettingsError: a worker is to have a part of a GPU.
    """
    gpus = 1 if options.gpus_per_worker is None else options.gpus_per_worker
    cpus = CPUS_PER_WORKER if options.cpus_per_worker is None else options.cpus_per_worker
    if gpus != int(gpus):
        unit = "task" if kind == "slurm" else "pod"
        raise SettingsError(
            f"--gpus-per-worker {gpus:g}: a {unit} gets whole GPUs with --print {kind}"
        )
    command = ["fairy", "batch", *words]
    if kind == "rayjob":
        command += ["--cluster", "ray", "--address", "auto", "--workers", f"{options.workers}"]
        command += ["--gpus-per-worker", f"{gpus:g}", "--cpus-per-worker", f"{cpus:g}"]
    else:
        command += ["--cluster", "shared"]
    # JSON's strings and lists are YAML's, too
    quoted: Callable[[str], str] = json.dumps if kind == "rayjob" else str
    return TEMPLATES[kind].substitute(
        command=quoted(shlex.join(command)),
        words=json.dumps(command),
        count=options.workers,
        last=options.workers - 1,
        gpus=f"{gpus:g}",
        # Slurm needs the number of tasks beside it, and whole CPUs
        gpu_line=f"#SBATCH --gpus-per-task={gpus:g}\n" if gpus else "",
        cpus=math.ceil(cpus) if kind == "slurm" else f"{cpus:g}",
        grace=GRACE_S,
    )
