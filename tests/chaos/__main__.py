"""`python -m tests.chaos`: the whole suite, or one point of it again."""

import sys

from tests.chaos.runner import main

if __name__ == "__main__":
    sys.exit(main())
