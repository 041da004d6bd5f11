"""TLS at an address as this machine's Python sees it: for an error that says more
than a client's own message."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

_SECONDS = 3.0
# Some protocols need a request of their own before TLS begins.
Before = Callable[[socket.socket], object]


def connected(host: str, port: int) -> socket.socket:
    """A connection; the caller closes it. Raises OSError."""
    return socket.create_connection((host, port), timeout=_SECONDS)


def handshake(
    host: str, port: int, context: ssl.SSLContext, before: Before = lambda _: None
) -> Exception | None:
    """None if the handshake succeeds; else its error: `ssl.SSLCertVerificationError` for a certificate."""
    try:
        with connected(host, port) as connection:
            before(connection)
            with context.wrap_socket(connection, server_hostname=host):
                return None
    except (OSError, ValueError) as error:
        return error


def speaks_tls(host: str, port: int) -> bool:
    """Whether a server there answers a TLS handshake, with any certificate."""
    made = any_certificate()
    return handshake(host, port, made) is None


def judging(authority: str | None, text: str | None = None, *, names: bool = True) -> ssl.SSLContext:
    """A context that checks certificates with the authorities in the file or folder `authority` or in `text`;
    if neither is given, with the system's authorities. `names`: the certificate must be for the host's name.
    Raises OSError for a file that does not exist or contains no certificate."""
    if authority:
        folder = Path(authority).is_dir()
        made = ssl.create_default_context(
            cafile=None if folder else authority, capath=authority if folder else None
        )
    else:
        made = ssl.create_default_context(cadata=text)
    # The clients also accept a certificate without the newest extensions.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    made.check_hostname = names
    return made


def any_certificate() -> ssl.SSLContext:
    """A context that accepts every certificate."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def certificate_fault(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """Why a certificate was not accepted, if that caused `error`; else None."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error


# OpenSSL, x509_vfy.h.
_NOT_YET_VALID, _EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64


def next_for(fault: ssl.SSLCertVerificationError, authority: str) -> str:
    """The next step for a certificate that is not valid; `authority` is the name of
    the setting for its authority."""
    if fault.verify_code in (_NOT_YET_VALID, _EXPIRED):
        return "have the server's certificate renewed; if it is valid, set this machine's clock"
    if fault.verify_code in (_OTHER_HOST, _OTHER_ADDRESS):
        return "use a name of the certificate in the address, or have a certificate made for this name"
    return f"set {authority} to the authority that signed the server's certificate"
