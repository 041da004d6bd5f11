"""When an HTTP server is ready: when a request that needs its storage succeeds."""

import http.client


def http_not_ready(host: str, port: int, path: str) -> str | None:
    """None when `GET path` answers 200, else what was answered instead."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        code = connection.getresponse().status
    except (OSError, http.client.HTTPException) as failure:
        return f"an answer to GET {path} ({failure})"
    finally:
        connection.close()
    return None if code == 200 else f"GET {path} to succeed (now {code})"
