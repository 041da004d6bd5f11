"""`sluice` itself, which writes marks: `python -m tests.chaos.command publish flight_departed 2013-07-01`."""

import os

from pipelines.cli import main
from tests.chaos.stages import Marker, install

if __name__ == "__main__":
    install(Marker(int(os.environ.pop("CHAOS_MARKS"))))
    main()
