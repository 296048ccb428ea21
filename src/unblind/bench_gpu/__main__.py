"""`python -m unblind.bench_gpu`: for machines with torch but without the rest of the package."""

import sys

from unblind.bench_gpu import command
from unblind.errors import UnblindError

if __name__ == "__main__":
    try:
        command.main()
    except UnblindError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
