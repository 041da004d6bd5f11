"""TLS as this machine's Python sees it at an address: for an error that says what a client's own words do not."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

_SECONDS = 3.0
# Before TLS begins, some protocols ask for it.
Before = Callable[[socket.socket], object]


def connected(host: str, port: int) -> socket.socket:
    """A connection, to be closed. Raises OSError."""
    return socket.create_connection((host, port), timeout=_SECONDS)


def handshake(
    host: str, port: int, context: ssl.SSLContext, before: Before = lambda _: None
) -> Exception | None:
    """None where it succeeds, else what it ends with: `ssl.SSLCertVerificationError` for a certificate."""
    try:
        with connected(host, port) as connection:
            before(connection)
            with context.wrap_socket(connection, server_hostname=host):
                return None
    except (OSError, ValueError) as error:
        return error


def speaks_tls(host: str, port: int) -> bool:
    """Whether a server there answers a TLS handshake, with whatever certificate."""
    made = any_certificate()
    return handshake(host, port, made) is None


def judging(authority: str | None, text: str | None = None, *, names: bool = True) -> ssl.SSLContext:
    """A context that judges certificates by the authority in a file or folder or in `text`, else by the system's. `names`: the
    host's name must be the certificate's. Raises OSError for a file that is not there or holds none."""
    if authority:
        folder = Path(authority).is_dir()
        made = ssl.create_default_context(
            cafile=None if folder else authority, capath=authority if folder else None
        )
    else:
        made = ssl.create_default_context(cadata=text)
    # A certificate without the newest extensions is valid to the clients, too.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    made.check_hostname = names
    return made


def any_certificate() -> ssl.SSLContext:
    """A context that takes every certificate."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def certificate_fault(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """Why a certificate was not taken, where that is why `error` was raised."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error


# OpenSSL, x509_vfy.h.
_NOT_YET_VALID, _EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64


def next_for(fault: ssl.SSLCertVerificationError, authority: str) -> str:
    """What to do about a certificate that is not valid; `authority` names the setting of its authority."""
    if fault.verify_code in (_NOT_YET_VALID, _EXPIRED):
        return "have the server's certificate renewed; if it is valid, set this machine's clock"
    if fault.verify_code in (_OTHER_HOST, _OTHER_ADDRESS):
        return "use a name of the certificate in the address, or have a certificate made for this name"
    return f"set {authority} to the authority that signed the server's certificate"
