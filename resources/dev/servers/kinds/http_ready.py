"""When an HTTP server is ready: when a request that needs its storage succeeds."""

import http.client


def http_not_ready(host: str, port: int, path: str, *, put: bytes | None = None) -> str | None:
    """None if `GET path` (or `PUT`, with a JSON body) answers 200, else what it answered instead."""
    method = "GET" if put is None else "PUT"
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request(method, path, body=put, headers={"Content-Type": "application/json"})
        code = connection.getresponse().status
    except (OSError, http.client.HTTPException) as failure:
        return f"an answer to {method} {path} ({failure})"
    finally:
        connection.close()
    return None if code == 200 else f"{method} {path} to succeed (now {code})"
