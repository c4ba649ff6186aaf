"""https on the loopback address: a certificate authority of one's own, made on the spot."""

import ssl
from pathlib import Path

from labkit.errors import LabkitError
from labkit.localazure.files import PUBLIC, write_whole

# Text before the first certificate is a comment to every reader of the format (RFC 7468, section 2).
_MARK = b"# The certificate of a local Azure's own authority (labkit).\n"
_NAMES = ("127.0.0.1", "localhost")


class CertificateFileError(LabkitError):
    """The file for the authority's certificate holds something else."""


class Authority:
    """A certificate authority that vouches for 127.0.0.1 and localhost and exists as long as this process.

    Its certificate, which clients are told to trust, is written to ``ca_file``; its key never leaves this process, so
    nobody can sign anything else with it. ``CertificateFileError`` when ``ca_file`` holds anything but an earlier one.
    """

    def __init__(self, ca_file: Path) -> None:
        import trustme

        self.ca_file = ca_file.absolute()
        _check_free(self.ca_file)
        authority = trustme.CA(organization_name="labkit", organization_unit_name="local Azure")
        self._certificate = authority.issue_cert(*_NAMES)
        write_whole(self.ca_file, _MARK + authority.cert_pem.bytes(), PUBLIC)

    def environment(self) -> dict[str, str]:
        """The variables that make clients trust the authority: requests reads the first, OpenSSL and httpx the second.

        They trust nobody else then: these are for a terminal that talks to the local Azure only.
        """
        return {"REQUESTS_CA_BUNDLE": str(self.ca_file), "SSL_CERT_FILE": str(self.ca_file)}

    def server_context(self) -> ssl.SSLContext:
        """What a server needs to show its certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._certificate.configure_cert(context)
        context.set_alpn_protocols(["http/1.1"])
        return context


def _check_free(ca_file: Path) -> None:
    try:
        with open(ca_file, "rb") as file:
            begins = file.read(len(_MARK))
    except FileNotFoundError:
        return
    if begins != _MARK:
        raise CertificateFileError(
            f"{ca_file} is not a certificate of a local Azure and would be overwritten. Name another file with --ca."
        )
