"""The guarded web server as a process: `dagster-webserver`'s options, or `dev` and the options of `dagster dev`."""

import sys
from pathlib import Path


def main() -> None:
    """Run what the arguments say."""
    # This tree's packages, from whatever folder the process is started.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from pipelines.webserver.serving import develop, serve
    from resources.errors import SluiceError

    try:
        if sys.argv[1:2] == ["dev"]:
            develop(sys.argv[2:])
        else:
            serve(sys.argv[1:])
    except SluiceError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
