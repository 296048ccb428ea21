"""`python -m unblind.bench_gpu`: the one command that a CUDA image without the rest can run."""

import sys

from unblind.bench_gpu import needs
from unblind.errors import UnblindError


def main() -> None:
    """Run the command; see `unblind.cli_bench_gpu`."""
    try:
        needs.check()
        from unblind.cli_bench_gpu import app

        app()
    except UnblindError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
