"""Packaging of Fairy: distribution `fairy-video`, import `fairy`, command `fairy`.

`fairy_kernels` lives in `kernels/`, a source root like `src/`. No top-level package `kernels` may
ever be installed: PyPI has one, and diffusers and transformers probe for it.
Tests: tests/test_packaging.py.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def read_version() -> str:
    """Return `__version__` of `fairy/__init__.py` without importing it."""
    text = (ROOT / "fairy" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise RuntimeError("fairy/__init__.py has no __version__")
    return found.group(1)


setup(
    name="fairy-video",
    version=read_version(),
    description="Edit videos by an instruction: anchor-based cross-frame attention (Fairy)",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=["video editing", "diffusion", "instruction", "InstructPix2Pix", "Fairy"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Multimedia :: Video :: Non-Linear Editor",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    packages=[
        *find_packages(include=["fairy", "fairy.*"]),
        *find_packages("kernels", include=["fairy_kernels", "fairy_kernels.*"]),
    ],
    package_dir={"fairy_kernels": "kernels/fairy_kernels"},
    package_data={
        "fairy": ["py.typed", "models/mini/*", "models/mini/**/*"],
        "fairy.app": ["EXAMPLE.md", "example.mp4", "player.js", "page.css"],
        "fairy.evaluation": ["page/*"],
        "fairy.training": ["recipes/*.yaml"],
        "fairy_kernels": ["py.typed"],
    },
    install_requires=[
        "torch>=2.6",
        "diffusers>=0.35",
        "transformers>=4.50",
        "safetensors>=0.4.3",
        # 19 has rationals of its own in the place of fractions
        "av>=16,<19",
        "opencv-python-headless>=4.10.0.84",
        "pillow>=10.1",
        "numpy>=2.0",
        "filelock>=3.12",
        "psutil>=5.9",
        # `pipe_file(mode="create")`
        "fsspec>=2024.12",
        "typer>=0.16",
        "rich>=13",
    ],
    extras_require={
        # The web page
        "app": ["gradio>=6,<7"],
        "train": [
            "accelerate>=1.0",
            "kornia>=0.7",
            "matplotlib>=3.8",
            "peft>=0.17",
            "pyarrow>=16",
            "pyyaml",
            "tensorboardX>=2.6",
        ],
        "c2pa": ["c2pa-python>=0.38", "cryptography>=42"],
        "cluster": ["ray>=2.50"],
        # Poses for --control; edges, lines and depth need nothing more
        "control": ["controlnet-aux>=0.0.9"],
        "eval": ["jinja2", "kornia>=0.7", "matplotlib>=3.8", "scipy>=1.15"],
        "fp8": ["torchao>=0.18"],
        # Photos as phones write them
        "heic": ["pillow-heif>=0.18"],
        "lora": ["peft>=0.17"],
        # Super-resolution models of many kinds. It brings torchvision, which must match torch
        "upscale": ["spandrel>=0.4.1"],
        # It brings torchvision too
        "watermark": ["trustmark>=0.9"],
        "quantize": ["bitsandbytes>=0.46", "torchao>=0.18"],
        "dev": [
            "build",
            "hypothesis",
            "mypy>=1.15",
            # The web page's tests, with a Chromium from the npm registry
            "playwright>=1.50",
            "pytest>=8",
            "pytest-timeout",
            "pytest-xdist",
            "ruff>=0.9",
            # Records on S3, tested with a server on loopback
            "s3fs>=2024.12",
            "setuptools>=77",
            # Another's metrics, to compare ours with
            "torchmetrics>=1.4",
            # Resolves the lowest and the newest versions for `make test-versions`
            "uv>=0.8",
            # To test kernels without a GPU; 3.9 spills registers in two of the rows checked. With
            # CUDA or ROCm, torch brings the Triton it needs
            "triton>=3.2,<3.8; sys_platform == 'linux' and platform_machine == 'x86_64'",
        ],
    },
    entry_points={"console_scripts": ["fairy=fairy.__main__:main"]},
    zip_safe=False,
)
