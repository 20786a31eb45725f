"""The command `harness`, and `python -m harness`."""

import sys


def main() -> None:
    """Run the command line. Its import takes a while, in which Ctrl-C is to leave no traceback, either."""
    try:
        from harness.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)  # harness.exit_codes.INTERRUPTED
    run()


if __name__ == "__main__":
    main()
