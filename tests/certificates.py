"""Certificates made in a test: a root, and a leaf that may sign for C2PA."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

USES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
    "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


def make_credentials(
    folder: Path, *, key: Any = None, days: int = 30, passphrase: bytes | None = None
) -> tuple[Path, Path]:
    """Write `cert.pem`, which is valid for `days` from now, and `key.pem` to a folder."""
    folder.mkdir(exist_ok=True)
    root = ec.generate_private_key(ec.SECP256R1())
    leaf = key or ec.generate_private_key(ec.SECP256R1())
    chain = [_certificate("leaf", leaf, root, days), _certificate("root", root, root, days)]
    (folder / "cert.pem").write_bytes(b"".join(chain))
    lock = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    secret = leaf.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)
    (folder / "key.pem").write_bytes(secret)
    return folder / "cert.pem", folder / "key.pem"


def _certificate(subject: str, key: Any, root: Any, days: int) -> bytes:
    now, is_root = datetime.now(timezone.utc), key is root
    allowed = "key_cert_sign" if is_root else "digital_signature"
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name("root"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**{use: use == allowed for use in USES}), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False
        )
    )
    if not is_root:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(root, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _name(text: str) -> x509.Name:
    attributes = {NameOID.COMMON_NAME: text, NameOID.ORGANIZATION_NAME: "Fairy tests"}
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes.items()])
