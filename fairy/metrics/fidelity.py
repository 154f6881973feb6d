"""Distance of frames to their exact result, and sharpness: PSNR, SSIM, LPIPS, detail.

frames and reference (T,3,H,W) in [0,1], mask (T,H,W) bool of the points that count: all when None.
The reference is the exact target if there is one (rendered clips); else the source, with a mask
that excludes the edited region. Tests: tests/metrics/test_fidelity.py.
"""

from __future__ import annotations

import functools
import logging

import kornia
import torch
from torch import Tensor

from fairy.metrics.checks import check_mask, check_pair

logger = logging.getLogger(__name__)

# For identical frames: finite, so it can be averaged and stored; above any PSNR of 8-bit frames
PSNR_OF_EQUAL_DB = 100.0
# Wang et al. (2004): Gaussian window of 11 x 11, standard deviation 1.5 px
SSIM_WINDOW_PX = 11
# Detail is what a Gaussian of this standard deviation removes
DETAIL_SIGMA_PX = 1.5
# One level of 255 is rounding; an edit changes more
SAME_LEVELS = 2 / 255


def psnr_db(frames: Tensor, reference: Tensor, mask: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB, the mean over the frames.

    `mean over t of 10 log10(1 / mean over p of |x_t(p) - r_t(p)|^2)`. Range 0 to 100 (equal frames
    count 100 instead of infinity); higher is better; from about 40 on, differences are hardly
    visible. A shift by one pixel costs more than a visible smear.

    Args:
        frames: (T,3,H,W) in [0,1].
        reference: (T,3,H,W) in [0,1].
        mask: (T,H,W) bool, the points that count; frames without any are skipped.

    Raises:
        ValueError: the shapes do not match, or the mask is empty.
    """
    return float(frame_psnrs_db(frames, reference, mask).mean())


def frame_psnrs_db(frames: Tensor, reference: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the PSNR of each frame that has points, (T,) or fewer; as `psnr_db` otherwise."""
    check_pair(frames, reference)
    error = _frame_means((frames - reference).square().mean(1), mask)
    return (-10 * error.log10()).clamp(max=PSNR_OF_EQUAL_DB)


def ssim(frames: Tensor, reference: Tensor, mask: Tensor | None = None) -> float:
    """Structural similarity, the mean over the frames and channels.

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity" (2004),
    by kornia: `(2 mu_x mu_r + c1)(2 s_xr + c2) / ((mu_x^2 + mu_r^2 + c1)(s_x^2 + s_r^2 + c2))`
    under a Gaussian window of 11 px. Range -1 to 1, 1 for equal frames; higher is better. It
    tolerates changes of brightness, and plain regions give nearly 1 in any colour.

    Arguments and errors: as for `psnr_db`. With a mask, windows still reach 5 px beyond its edge.
    """
    check_pair(frames, reference)
    local = kornia.metrics.ssim(frames, reference, SSIM_WINDOW_PX)
    return float(_frame_means(local.mean(1), mask).mean())


def lpips(
    frames: Tensor,
    reference: Tensor,
    mask: Tensor | None = None,
    network: torch.nn.Module | None = None,
) -> float | None:
    """Learned perceptual distance, the mean over the frames; None (not measured) if not installed.

    Zhang et al., "The Unreasonable Effectiveness of Deep Features" (2018), by their package with
    AlexNet. Range 0 to about 1, 0 for equal frames; lower is better. It was trained on small
    distortions of photographs: it is less reliable for drawings and strong styles.

    Args:
        frames: (T,3,H,W) in [0,1].
        reference: (T,3,H,W) in [0,1].
        mask: (T,H,W) bool, the points that count.
        network: (frames, reference) in [-1,1] -> (1,1,H,W); `load_lpips()` when None.

    Raises:
        ValueError: the shapes do not match, or the mask is empty.
    """
    check_pair(frames, reference)
    network = network or load_lpips()
    if network is None:
        return None
    pairs = zip((frames * 2 - 1).split(1), (reference * 2 - 1).split(1), strict=True)
    with torch.no_grad():
        local = torch.cat([network.to(a.device)(a, b)[:, 0] for a, b in pairs])
    return float(_frame_means(local, mask).mean())


@functools.cache
def load_lpips() -> torch.nn.Module | None:
    """Return the package's network; None, with a log message, if it or its weights are missing."""
    try:
        import lpips as package

        network: torch.nn.Module = package.LPIPS(net="alex", spatial=True, verbose=False)
    except ImportError as error:
        logger.info("LPIPS is not measured: %s", error)
        return None
    except OSError as error:
        logger.warning("LPIPS is not measured: its weights cannot be downloaded (%s)", error)
        return None
    return network.eval()


def sharpness(frames: Tensor, reference: Tensor) -> float | None:
    """Energy of fine detail relative to the reference's.

    `sum |x - blur(x)|^2 / sum |r - blur(r)|^2` over luma, blur a Gaussian of 1.5 px. Range from 0;
    1 is as sharp as the reference, below 1 is blurred, above 1 sharper or noisier. Read it with
    `warp_error` and `interpolation_error`, which reward blur. Noise and block artefacts count as
    detail, and an edit may rightly add or remove detail (sketch, night): use the target as the
    reference if there is one. Source: own; the energy above a cut-off is an old measure of focus.

    Args:
        frames: (T,3,H,W) in [0,1].
        reference: (T,3,H,W) in [0,1], the target, else the source.

    Returns:
        The ratio; None (not measured) if the reference has no detail.

    Raises:
        ValueError: the shapes differ.
    """
    check_pair(frames, reference)
    energy = detail_energy(reference)
    return None if energy == 0 else detail_energy(frames) / energy


def detail_energy(frames: Tensor) -> float:
    """Return the mean square of what a Gaussian of 1.5 px removes from the luma."""
    luma = kornia.color.rgb_to_grayscale(frames)
    side = 2 * round(3 * DETAIL_SIGMA_PX) + 1
    blurred = kornia.filters.gaussian_blur2d(luma, (side, side), (DETAIL_SIGMA_PX,) * 2)
    return float((luma - blurred).square().mean())


def same_region(source: Tensor, target: Tensor) -> Tensor:
    """Return where the exact target equals the source, (T,H,W) bool: an edit should not change it.

    Args:
        source: (T,3,H,W) in [0,1].
        target: (T,3,H,W) in [0,1].
    """
    check_pair(source, target)
    return ((target - source).abs() <= SAME_LEVELS).all(1)


def _frame_means(local: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mean of local (T,H,W) over each frame's points in the mask: (T,), or fewer."""
    if mask is None:
        return local.mean((1, 2))
    check_mask(mask, tuple(local.shape))
    counted = mask.sum((1, 2))
    means = (local * mask).sum((1, 2)) / counted.clamp_min(1)
    return means[counted > 0]
