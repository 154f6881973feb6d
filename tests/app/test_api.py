"""What `gradio_client` gets, and what the server refuses; no browser."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import gradio_client as client_of
import pytest

from fairy.media.read import frame_times, probe
from tests.app.conftest import NUM_FRAMES, Served


@pytest.fixture(scope="module")
def client(served: Served, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("downloads")
    return client_of.Client(served.url, verbose=False, download_files=str(folder))


def test_edit_returns_the_file(client, clip: Path):
    result = client.predict(client_of.handle_file(clip), "make it night", api_name="/edit")
    assert frame_times(result) == frame_times(clip)


def test_edit_takes_settings_by_their_names(client, clip: Path):
    file = client_of.handle_file(clip)
    result = client.predict(file, "make it snow", {"max_frames": 3}, api_name="/edit")
    assert probe(result).num_frames == 3 < NUM_FRAMES


@pytest.mark.parametrize(
    ("instruction", "settings", "message"),
    [
        ("make it a zebra", {}, "zebra"),
        ("make it snow", {"num_anchors": 0}, "--num-anchors is 0: it must be at least 1"),
        ("make it snow", {"model": "/etc"}, "unknown settings model: use"),
    ],
)
def test_errors_are_the_command_lines(client, clip: Path, instruction, settings, message):
    with pytest.raises(Exception, match=message) as raised:
        client.predict(client_of.handle_file(clip), instruction, settings, api_name="/edit")
    assert "\n" not in str(raised.value)


def test_only_edit_is_offered(client):
    assert list(client.view_api(return_format="dict")["named_endpoints"]) == ["/edit"]


@pytest.mark.parametrize("path", ["/etc/passwd", __file__])
def test_other_files_are_not_served(served: Served, path: str):
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"{served.url}gradio_api/file={path}")
    assert raised.value.code in (403, 404)


def test_it_listens_on_this_machine_alone(served: Served):
    assert "127.0.0.1" in served.url


def test_no_analytics(served: Served):
    config = json.load(urllib.request.urlopen(f"{served.url}config"))
    assert config["analytics_enabled"] is False
