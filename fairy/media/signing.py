"""Sign finished files with C2PA: a record of how they were made, which any later change breaks.

The library is c2pa-python, of the extra [c2pa]. It asks nothing of the network: no time stamps, no
records kept elsewhere. Tests: tests/media/test_signing.py.
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
# IPTC's vocabulary of where pictures come from, which C2PA uses
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
TOOL = {"name": "Fairy", "version": fairy.__version__}
# The algorithms that C2PA has for elliptic curves
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_LIBRARY_SETTINGS = {
    "verify": {"remote_manifest_fetch": False},
    # By default it keeps files of up to 512 MB in memory
    "core": {"backing_store_memory_threshold_in_mb": 16},
    "builder": {"thumbnail": {"enabled": False}},
}


def check_signable(out: Path) -> None:
    """Refuse an output whose kind of file holds no C2PA record.

    Raises:
        MediaError: it says which kinds do.
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
        certificate: a PEM file: the signer's certificate, then those that vouch for it.
        key: a PEM file: the private key, without a passphrase.

    Raises:
        SettingsError: the library is missing, or the two cannot sign.
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
        """Sign the finished file `part`, which will be `out`, in place.

        Args:
            part: the file, of the kind that the name of `out` says.
            out: its final name, which becomes the record's title.
            edit: the action that made it, as C2PA describes one: "action", "digitalSourceType",
                "parameters".
            source: what was edited. Its own record, if it has one, becomes part of the new one.

        Raises:
            MediaError: the library cannot sign it.
        """
        kind = SIGNED_TYPES[out.suffix.lower()]
        try:
            builder = self._builder(out.name, kind, edit, source)
            # No name on the disk: nothing is left behind, however the process ends
            with tempfile.TemporaryFile(dir=part.parent) as signed:
                with part.open("rb") as plain:
                    builder.sign(self._signer, kind, plain, signed)
                signed.seek(0)
                with part.open("wb") as file:
                    shutil.copyfileobj(signed, file, 2**20)
        except self._c2pa.C2paError as error:
            raise MediaError(f"{out}: cannot be signed: {_reason(error)}") from error

    def _builder(self, title: str, kind: str, edit: Mapping[str, Any], source: Path) -> Any:
        """Return the library's builder of a record, with the source as what was edited."""
        named = {"title": source.name, "relationship": "parentOf"}
        source_kind = mimetypes.guess_type(source.name)[0] or "application/octet-stream"
        if source.is_file():
            builder = self._new_builder(title, kind, edit)
            try:
                with source.open("rb") as file:
                    builder.add_ingredient(named, source_kind, file)
                return builder
            except self._c2pa.C2paError as error:
                # After the work, so an odd file must not stop it
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
        # The library adds "opened" for what was edited before our own action
        builder.set_intent(self._c2pa.C2paBuilderIntent.EDIT)
        return builder

    def _try_out(self) -> None:
        """Sign one pixel, so that what the certificate lacks is said before any work."""
        picture, kind = io.BytesIO(), SIGNED_TYPES[".png"]
        Image.new("RGB", (1, 1)).save(picture, "png")
        picture.seek(0)
        named = [{"title": "", "format": kind, "relationship": "parentOf"}]
        builder = self._new_builder("", kind, {"action": "c2pa.edited"}, named)
        builder.sign(self._signer, kind, picture, io.BytesIO())


def _library() -> Any:
    """Return c2pa-python, or say how to install it."""
    try:
        import c2pa
    except ImportError as error:
        raise SettingsError(
            "--c2pa needs the package c2pa-python: pip install 'fairy-video[c2pa]'"
        ) from error
    return c2pa


def _credentials(certificate: Path, key: Path) -> tuple[bytes, bytes, str]:
    """Return the certificates and the key, in the forms the library takes, and the algorithm."""
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
    """Return C2PA's name of the algorithm that a key signs with."""
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
    """Return what the library says, in one line and without its kind of error."""
    text = " ".join(str(error).split())
    return text.partition(": ")[2] or text
