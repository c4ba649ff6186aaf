"""What opens a local Azure, and the environment that carries a client's part of it."""

import os
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True)
class Secrets:
    """``admin`` opens all of ``/labkit`` and ``lab`` the student's part of it; ``identity_header`` is what a managed
    identity's client has to send, and ``token_signing`` signs its tokens. None of them shows in the repr.
    """

    admin: str = field(repr=False)
    lab: str = field(repr=False)
    identity_header: str = field(repr=False)
    token_signing: str = field(repr=False)

    @classmethod
    def fresh(cls) -> Self:
        """New ones, which nobody can guess."""
        return cls(admin=fresh_key(), lab=fresh_key(), identity_header=fresh_key(), token_signing=fresh_key())


def fresh_key() -> str:
    """A new key of 192 random bits, as text."""
    return os.urandom(24).hex()


def client_environment(url: str, secrets: Secrets) -> dict[str, str]:
    """The variables that let a client's process use the local Azure at ``url``; the admin secret is not among them."""
    return {
        "LABKIT_AZURE_URL": url,
        "LABKIT_LAB_KEY": secrets.lab,
        "IDENTITY_ENDPOINT": f"{url}/msi/token",
        "IDENTITY_HEADER": secrets.identity_header,
        # So that DefaultAzureCredential asks nobody else.
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
    }
