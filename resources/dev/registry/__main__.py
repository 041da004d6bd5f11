"""`python -m resources.dev.registry --port 18081 --db registry.sqlite`."""

import argparse
import contextlib
from pathlib import Path

import uvicorn

from resources.dev.registry.app import registry_app
from resources.dev.registry.store import SchemaStore


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m resources.dev.registry", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--db", type=Path, required=True, help="SQLite file; made when missing")
    options = parser.parse_args()
    with contextlib.closing(SchemaStore(options.db)) as store:
        uvicorn.run(
            registry_app(store),
            host=options.host,
            port=options.port,
            lifespan="off",
            log_level="warning",
            access_log=False,
            # `down` must not wait for a client that keeps its connection open.
            timeout_graceful_shutdown=2,
        )


if __name__ == "__main__":
    main()
