"""Files are signed in place; the library's own reader accepts them, and rejects a changed byte."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import c2pa
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from fairy.errors import MediaError, SettingsError
from fairy.media.read import probe, read_video
from fairy.media.signing import SIGNED_TYPES, FileSigner, check_signable
from fairy.media.write import write_video
from tests.certificates import make_credentials
from tests.tiny import make_frames

EDIT = {"action": "c2pa.edited", "parameters": {"model": "mini"}}
UNTRUSTED = "signingCredential.untrusted"


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_credentials(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def signer(credentials: tuple[Path, Path]) -> FileSigner:
    return FileSigner(*credentials)


def written(path: Path) -> Path:
    is_clip = path.suffix in (".mp4", ".mov", ".gif", ".mkv")
    write_video(make_frames(4 if is_clip else 1, 48, 64), path, fps=10)
    return path


def read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return json.loads(c2pa.Reader(SIGNED_TYPES[path.suffix], file).json())


def failures(path: Path) -> list[str]:
    return [one["code"] for one in read(path)["validation_results"]["activeManifest"]["failure"]]


@pytest.mark.parametrize("suffix", SIGNED_TYPES)
def test_signed_files_are_valid_and_hold_the_same_pictures(
    tmp_path: Path, signer: FileSigner, suffix: str
):
    path, source = written(tmp_path / f"out{suffix}"), written(tmp_path / "source.mp4")
    before, times = read_video(path), probe(path).fps
    signer.sign(path, path, EDIT, source)
    assert read(path)["validation_state"] == "Valid"
    assert failures(path) == [UNTRUSTED]
    assert (read_video(path) == before).all() and probe(path).fps == times
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted([path.name, source.name])


def test_one_changed_byte_is_noticed(tmp_path: Path, signer: FileSigner):
    path = written(tmp_path / "out.mp4")
    signer.sign(path, path, EDIT, path)
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)
    assert read(path)["validation_state"] == "Invalid"
    assert "assertion.bmffHash.mismatch" in failures(path)


MEASURE = """
import re, sys
from pathlib import Path
from fairy.media.signing import FileSigner

def peak_kib():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

path, certificate, key = map(Path, sys.argv[1:])
signer = FileSigner(certificate, key)
before = peak_kib()
signer.sign(path, path, {"action": "c2pa.edited"}, path)
print(peak_kib() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_large_file_is_not_held_in_memory(tmp_path: Path, credentials: tuple[Path, Path]):
    # Free space: the library hashes all else in pieces of 256 MB
    path, size = written(tmp_path / "out.mp4"), 2**27
    with path.open("ab") as file:
        file.write(size.to_bytes(4, "big") + b"free")
        file.truncate(file.tell() + size - 8)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, path, *credentials], check=True, capture_output=True
    )
    assert read(path)["validation_state"] == "Valid"
    assert int(done.stdout) * 1024 < size / 4


def test_the_record_of_a_signed_source_is_part_of_the_new_one(tmp_path: Path, signer: FileSigner):
    source, path = written(tmp_path / "source.mp4"), written(tmp_path / "out.mov")
    signer.sign(source, source, EDIT, source)
    first = read(source)["active_manifest"]
    signer.sign(path, path, EDIT, source)
    document = read(path)
    [ingredient] = document["manifests"][document["active_manifest"]]["ingredients"]
    assert (ingredient["title"], ingredient["active_manifest"]) == ("source.mp4", first)
    assert first in document["manifests"]


@pytest.mark.parametrize("name", ["clip.mkv", "broken.mp4", "pictures"])
def test_a_source_without_a_record_is_named(tmp_path: Path, signer: FileSigner, name: str):
    path, source = written(tmp_path / "out.mp4"), tmp_path / name
    if name == "broken.mp4":
        source.write_bytes(path.read_bytes()[:500])
    else:
        written(source)
    signer.sign(path, path, EDIT, source)
    document = read(path)
    [ingredient] = document["manifests"][document["active_manifest"]]["ingredients"]
    assert (ingredient["title"], ingredient["relationship"]) == (name, "parentOf")
    assert document["validation_state"] == "Valid"


@pytest.mark.parametrize("kind", ["P-384", "P-521", "Ed25519", "RSA"])
def test_keys_of_every_kind_sign(tmp_path: Path, kind: str):
    key = {
        "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
        "Ed25519": ed25519.Ed25519PrivateKey.generate,
        "RSA": lambda: rsa.generate_private_key(65537, 2048),
    }[kind]()
    path = written(tmp_path / "out.png")
    FileSigner(*make_credentials(tmp_path / "keys", key=key)).sign(path, path, EDIT, path)
    assert failures(path) == [UNTRUSTED]


@pytest.mark.parametrize("name", ["out.mkv", "out.webm", "out"])
def test_what_holds_no_record_is_refused_with_what_does(tmp_path: Path, name: str):
    with pytest.raises(MediaError, match=rf"{name}: --c2pa cannot sign .*: use \.mp4, \.mov or"):
        check_signable(tmp_path / name)


def test_credentials_that_cannot_sign_are_refused(tmp_path: Path, credentials: tuple[Path, Path]):
    certificate, key = credentials
    (tmp_path / "text.pem").write_text("dear diary")
    other = make_credentials(tmp_path / "other")
    old = make_credentials(tmp_path / "old", days=-2)
    locked = make_credentials(tmp_path / "locked", passphrase=b"secret")
    rare = make_credentials(tmp_path / "rare", key=ec.generate_private_key(ec.SECP256K1()))
    for pair, reason in {
        (tmp_path / "none.pem", key): "none.pem: cannot be read: No such file",
        (certificate, tmp_path / "none.pem"): "none.pem: cannot be read: No such file",
        (tmp_path / "text.pem", key): "text.pem: not a certificate: give a PEM file",
        (certificate, tmp_path / "text.pem"): "text.pem: not a private key: give a PEM file",
        (certificate, other[1]): "not the key of .*: give two that belong together",
        locked: "locked with a passphrase: give a key without one",
        old: "cannot sign for C2PA: the certificate was not valid at time of signing",
        rare: "C2PA has no such keys: use P-256",
    }.items():
        with pytest.raises(SettingsError, match=reason) as caught:
            FileSigner(*pair)
        assert "\n" not in str(caught.value)


def test_the_missing_extra_is_one_line(
    credentials: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(SettingsError, match=r"c2pa-python: pip install 'fairy-video\[c2pa\]'$"):
        FileSigner(*credentials)
