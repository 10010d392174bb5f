"""What PostgreSQL keeps of a password: SCRAM-SHA-256 verifiers (RFC 5803)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re


def is_verifier_of(verifier: str, password: str) -> bool:
    """Was this SCRAM-SHA-256 verifier made from the password?"""
    found = re.fullmatch(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):.+", verifier)
    if not found:
        return False
    return hmac.compare_digest(verifier_of(password, base64.b64decode(found[2]), int(found[1])), verifier)


def verifier_of(password: str, salt: bytes = b"", rounds: int = 4096) -> str:
    """SCRAM-SHA-256 verifier (RFC 5803, as pg_authid keeps it). Without a salt one is made of the password: the same
    every time, and no more to be guessed than that."""
    salt = salt or hashlib.sha256(b"salt" + password.encode()).digest()[:16]
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    texts = [base64.b64encode(part).decode() for part in (salt, stored, hmac.digest(salted, b"Server Key", "sha256"))]
    return f"SCRAM-SHA-256${rounds}:{texts[0]}${texts[1]}:{texts[2]}"
