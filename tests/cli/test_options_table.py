"""The page of options is what the settings say."""

from __future__ import annotations

import re
from pathlib import Path

from fairy.cli.options_table import options_document
from fairy.options import options_of
from fairy.settings import EditConfig, EditRun

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_current():
    written = (DOCS / "options.md").read_text(encoding="utf-8")
    assert written == options_document(), "run python -m fairy.cli.options_table docs/options.md"


def test_every_option_has_one_row():
    rows = [line for line in options_document().splitlines() if line.startswith("| `--")]
    assert len(rows) == len(options_of(EditConfig)) + len(options_of(EditRun))
    assert len(set(rows)) == len(rows)


def test_links_lead_to_pages():
    for name in re.findall(r"\]\(([^)]+)\)", options_document()):
        assert (DOCS / name).is_file(), name
