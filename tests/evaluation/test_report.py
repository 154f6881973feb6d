"""fairy/evaluation/report.py, its page, and figures.py: as text, and in a real browser."""

from __future__ import annotations

import html.parser
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fairy.analysis.tracking import THRESHOLDS_PX, LayerAccuracy, TrackingAccuracy
from fairy.errors import OutputExistsError, SettingsError
from fairy.evaluation.figures import clip_curve, overview_figures, sweep_figures
from fairy.evaluation.pictures import view_clip
from fairy.evaluation.report import check_report, render, report_paths, write_report
from fairy.evaluation.results import Results
from fairy.evaluation.scores import measure
from tests.evaluation.conftest import make_pair, make_results

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def page(results, pan) -> str:
    pair = make_pair(1 - pan, pan)
    scores = measure(pair)
    view = view_clip("clip <1>", 'say "hi"', [("alone", pair, scores), ("anchors", pair, scores)])
    return render(results, [view])


class Balanced(html.parser.HTMLParser):
    """Checks that elements close in the order they were opened."""

    VOID = ("meta", "input", "img", "br", "link")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed(page):
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []


def test_the_page_needs_no_network(page):
    addresses = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'>\s]+)""", page)
    addresses += re.findall(r"url\(([^)]*)\)", page)
    assert addresses
    # Plots refer to their own parts
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "@import" not in page


def test_names_and_instructions_are_escaped(page):
    assert "clip &lt;1&gt;" in page
    assert "clip <1>" not in page


def test_scores_tests_and_what_is_missing_stand_on_the_page(page):
    assert "steadier" in page
    assert "needs a CLIP model" in page
    assert "sign-flip test" in page


def test_a_single_clip_has_no_tests(pan):
    pair = make_pair(1 - pan, pan)
    scores = measure(pair)
    results = make_results({"mine": [0.001]}, reference=None, notes=["source is scaled"])
    page = render(results, [view_clip("clip", "", [("mine", pair, scores)])])
    assert "sign-flip" not in page
    assert "source is scaled" in page


def test_swept_settings_are_drawn(results):
    swept = make_results({str(k): [0.001 * k, 0.002 * k] for k in (1, 3, 5)}).cases
    drawn = sweep_figures(Results(**{**results.__dict__, "sweeps": {"num_anchors": swept}}))
    captions = " ".join(figure.caption for figure in drawn)
    assert "Warp error by number of anchors; thin: each of 2 clips" in captions
    assert "PSNR to the target by number of anchors" in captions


def test_a_clip_without_visible_points_has_no_curve(pan):
    pair = make_pair(1 - pan, pan)
    hidden = replace(pair, visible=torch.zeros_like(pair.visible))
    assert clip_curve(view_clip("clip", "", [("mine", hidden, measure(hidden))])) is None


def test_errors_against_time_are_drawn(results):
    captions = [figure.caption for figure in overview_figures(results)]
    assert any(caption.startswith("Warp error against time") for caption in captions)


def test_tracking_is_drawn_where_it_was_measured(results):
    shares = dict.fromkeys(THRESHOLDS_PX, 0.25)
    tracked = TrackingAccuracy([LayerAccuracy("down", 0, (4, 6), shares, shares)], shares, 1234)
    with_tracking = replace(results, tracking={"mini": tracked})
    assert "1234 points" in render(with_tracking, [])
    assert "same point?" not in render(results, [])


def test_the_three_files_are_next_to_each_other(results, tmp_path):
    out = tmp_path / "report.html"
    write_report(out, results, [])
    assert sorted(tmp_path.iterdir()) == sorted(report_paths(out))


def test_reports_are_refused_before_the_work(tmp_path):
    with pytest.raises(SettingsError, match=r"\.html"):
        check_report(tmp_path / "report.pdf", overwrite=False)
    check_report(tmp_path / "none" / "report.html", overwrite=False)
    assert not (tmp_path / "none").exists()
    (tmp_path / "report.csv").touch()
    with pytest.raises(OutputExistsError, match=r"report\.csv: already there"):
        check_report(tmp_path / "report.html", overwrite=False)
    check_report(tmp_path / "report.html", overwrite=True)


def browse(page: Path, folder: Path, *options: str) -> str:
    """Open a page in headless Chromium; return what it prints."""
    command = [BROWSER, *QUIET, f"--user-data-dir={folder / 'profile'}", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_shows_the_clip_and_obeys_the_controls(page, tmp_path):
    # A reader who jumps to the worst frame of the last version; the result is written as the title
    act = """<script>
    addEventListener("error", (event) => { document.title = "error: " + event.message; });
    const seen = document.querySelector(".clip"), film = seen.querySelector("video");
    film.addEventListener("loadeddata", () => {
      film.addEventListener("seeked", () => {
        document.title = ["size", film.videoWidth > 0, "shown", seen.dataset.shown, "asked",
          seen.querySelector(".seek").dataset.frame, "frames", Math.round(film.duration * 25)]
          .join(" ");
      });
      seen.querySelector(".seek").click();
    });
    </script>"""
    path = tmp_path / "page.html"
    path.write_text(page.replace("</body>", act + "</body>"), encoding="utf-8")
    # Virtual time may run out before the film is decoded: then the page is given more of it
    for budget_ms in (10_000, 40_000, 160_000):
        shown = browse(path, tmp_path, f"--virtual-time-budget={budget_ms}", "--dump-dom")
        title = re.search(r"<title>(.*?)</title>", shown)
        assert title is not None
        if title.group(1) != "made by hand":
            break
    found = re.fullmatch(r"size true shown (\d+) asked (\d+) frames 8", title.group(1))
    assert found is not None, title.group(1)
    assert found.group(1) == found.group(2)
