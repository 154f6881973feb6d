"""Make the example workflows that ComfyUI's page shows, from the graphs in API form.

    COMFYUI_DIR=... COMFYUI_PYTHON=... python -m tests.integrations.make_workflows

ComfyUI's own front end loads each file of `graphs/` and writes it to `example_workflows/`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import playwright.sync_api as playwright

from tests.app.browser import CHROMIUM, FLAGS
from tests.integrations.comfyui_server import NODES, ComfyServer, comfy_server

GRAPHS, WORKFLOWS = NODES / "graphs", NODES / "example_workflows"
READY = "'FairyEditVideo' in (window.app?.graph && window.LiteGraph?.registered_node_types || {})"


@contextmanager
def front_end(server: ComfyServer) -> Iterator[playwright.Page]:
    """Open ComfyUI's page and wait until it knows our nodes."""
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1600, "height": 900})
        page.goto(server.url)
        page.wait_for_function(READY, timeout=120_000)
        yield page
        browser.close()


def workflow(page: playwright.Page, graph: dict[str, Any]) -> dict[str, Any]:
    """Return a graph in API form as the front end saves it."""
    # As text: Playwright would make null of what is undefined
    script = """async (graph) => {
        await app.loadApiJson(graph);
        return JSON.stringify(app.graph.serialize());
    }"""
    return dict(json.loads(page.evaluate(script, graph)))


def complaints(page: playwright.Page, saved: dict[str, Any]) -> list[str]:
    """Load a saved workflow; return the nodes that the front end does not know, and its alerts."""
    script = """async (saved) => {
        await app.loadGraphData(saved);
        return app.graph.nodes.filter((node) => !node.constructor.nodeData)
            .map((node) => node.type);
    }"""
    unknown = list(page.evaluate(script, saved))
    page.wait_for_timeout(1000)
    return unknown + page.locator(".p-toast-message").all_inner_texts()


def main() -> None:
    """Write a workflow for each graph."""
    with (
        tempfile.TemporaryDirectory() as base,
        comfy_server(Path(base)) as server,
        front_end(server) as page,
    ):
        for path in sorted(GRAPHS.glob("*.json")):
            made = workflow(page, json.loads(path.read_text()))
            (WORKFLOWS / path.name).write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
