"""Sign finished files with C2PA: a record of how they were made that any later change invalidates.

Uses c2pa-python, from the extra [c2pa], without network access: no timestamps and no remote
records. Tests: tests/media/test_signing.py.
"""

from __future__ import annotations

import io
import logging
import mimetypes
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

import fairy
from fairy.errors import MediaError, SettingsError

logger = logging.getLogger(__name__)

SIGNED_TYPES = {
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".gif": "image/gif",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
}
# IPTC's vocabulary for the origin of pictures, which C2PA uses
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
TOOL = {"name": "Fairy", "version": fairy.__version__}
# Elliptic curve -> C2PA's algorithm
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_LIBRARY_SETTINGS = {
    "verify": {"remote_manifest_fetch": False},
    # By default, the library keeps files of up to 512 MB in memory
    "core": {"backing_store_memory_threshold_in_mb": 16},
    "builder": {"thumbnail": {"enabled": False}},
}


def check_signable(out: Path) -> None:
    """Refuse an output type that cannot hold a C2PA record.

    Raises:
        MediaError: the type is not supported; the message lists those that are.
    """
    if out.suffix.lower() in SIGNED_TYPES and not out.is_dir():
        return
    what = f"a {out.suffix} file" if out.suffix and not out.is_dir() else "a folder"
    raise MediaError(
        f"{out}: --c2pa cannot sign {what}: use .mp4, .mov or .gif, or .png, .jpg or .webp for "
        "one picture"
    )


class FileSigner:
    """Signs files with a certificate and its private key.

    Args:
        certificate: a PEM file with the signer's certificate, followed by its issuers'.
        key: a PEM file with the private key, without a passphrase.

    Raises:
        SettingsError: the library is missing, or the certificate and key cannot sign.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._c2pa = _library()
        chain, secret, algorithm = _credentials(certificate, key)
        info = self._c2pa.C2paSignerInfo(algorithm, chain, secret, None)
        self._context = self._c2pa.Context(self._c2pa.Settings.from_dict(_LIBRARY_SETTINGS))
        try:
            self._signer = self._c2pa.Signer.from_info(info)
            self._try_out()
        except self._c2pa.C2paError as error:
            raise SettingsError(f"{certificate}: cannot sign for C2PA: {_reason(error)}") from error

    def sign(self, part: Path, out: Path, edit: Mapping[str, Any], source: Path) -> None:
        """Sign the finished file `part` in place, before it is renamed to `out`.

        Args:
            part: the file; its type matches the suffix of `out`.
            out: its final name, which becomes the record's title.
            edit: the action that made it, in C2PA's form: "action", "digitalSourceType",
                "parameters".
            source: the clip that was edited. If it has a C2PA record, the new one includes it.

        Raises:
            MediaError: the library cannot sign the file.
        """
        kind = SIGNED_TYPES[out.suffix.lower()]
        try:
            builder = self._builder(out.name, kind, edit, source)
            # An unnamed temporary file: nothing is left behind, even if the process is killed
            with tempfile.TemporaryFile(dir=part.parent) as signed:
                with part.open("rb") as plain:
                    builder.sign(self._signer, kind, plain, signed)
                signed.seek(0)
                with part.open("wb") as file:
                    shutil.copyfileobj(signed, file, 2**20)
        except self._c2pa.C2paError as error:
            raise MediaError(f"{out}: cannot be signed: {_reason(error)}") from error

    def _builder(self, title: str, kind: str, edit: Mapping[str, Any], source: Path) -> Any:
        """Return the library's builder for a record that names `source` as the edited file."""
        named = {"title": source.name, "relationship": "parentOf"}
        source_kind = mimetypes.guess_type(source.name)[0] or "application/octet-stream"
        if source.is_file():
            builder = self._new_builder(title, kind, edit)
            try:
                with source.open("rb") as file:
                    builder.add_ingredient(named, source_kind, file)
                return builder
            except self._c2pa.C2paError as error:
                # The edit is already done, so an unreadable source must not make it fail
                logger.warning(
                    "%s: cannot be read for C2PA (%s); recorded by its name", source, _reason(error)
                )
        return self._new_builder(title, kind, edit, [named | {"format": source_kind}])

    def _new_builder(
        self,
        title: str,
        kind: str,
        edit: Mapping[str, Any],
        ingredients: list[dict[str, str]] | None = None,
    ) -> Any:
        record = {
            "claim_generator_info": [TOOL],
            "title": title,
            "format": kind,
            "ingredients": ingredients or [],
            "assertions": [
                {
                    "label": "c2pa.actions.v2",
                    "data": {"actions": [{**edit, "softwareAgent": TOOL}]},
                }
            ],
        }
        builder = self._c2pa.Builder(record, self._context)
        # The library adds an "opened" action for the source before our own action
        builder.set_intent(self._c2pa.C2paBuilderIntent.EDIT)
        return builder

    def _try_out(self) -> None:
        """Sign one pixel, so that an unsuitable certificate fails before any work is done."""
        picture, kind = io.BytesIO(), SIGNED_TYPES[".png"]
        Image.new("RGB", (1, 1)).save(picture, "png")
        picture.seek(0)
        named = [{"title": "", "format": kind, "relationship": "parentOf"}]
        builder = self._new_builder("", kind, {"action": "c2pa.edited"}, named)
        builder.sign(self._signer, kind, picture, io.BytesIO())


def _library() -> Any:
    """Return c2pa-python, or raise an error that explains how to install it."""
    try:
        import c2pa
    except ImportError as error:
        raise SettingsError(
            "--c2pa needs the package c2pa-python: pip install 'fairy-video[c2pa]'"
        ) from error
    return c2pa


def _credentials(certificate: Path, key: Path) -> tuple[bytes, bytes, str]:
    """Return the certificates and key in the library's formats, and the algorithm."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.x509 import load_pem_x509_certificates

    chain, secret = _read(certificate), _read(key)
    try:
        public = load_pem_x509_certificates(chain)[0].public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"{certificate}: not a certificate: give a PEM file") from error
    try:
        private = serialization.load_pem_private_key(secret, None)
    except TypeError as error:
        raise SettingsError(
            f"{key}: locked with a passphrase: give a key without one, as `openssl pkey -in "
            f"{key.name} -out plain.pem` writes it"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"{key}: not a private key: give a PEM file") from error
    if private.public_key() != public:
        raise SettingsError(f"{key}: not the key of {certificate}: give two that belong together")
    pkcs8 = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return chain, pkcs8, _algorithm(public, certificate)


def _algorithm(public: Any, certificate: Path) -> str:
    """Return C2PA's name for the algorithm that a key signs with."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(public, ed25519.Ed25519PublicKey):
        return "ed25519"
    if isinstance(public, rsa.RSAPublicKey):
        return "ps256"
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in _CURVES:
        return _CURVES[public.curve.name]
    raise SettingsError(
        f"{certificate}: C2PA has no such keys: use P-256, P-384, P-521, Ed25519 or RSA"
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error


def _reason(error: Exception) -> str:
    """Return the library's error message in one line, without the error type."""
    text = " ".join(str(error).split())
    return text.partition(": ")[2] or text
