"""Fetches what the local system needs: `python -m local_stack` downloads Kafka's jars.

`python -m local_stack lock` resolves Kafka's dependencies anew and writes `kafka-jars.lock`.
"""

import sys

from local_stack.errors import StackError
from local_stack.jars import class_path, write_lock


def main() -> int:
    """Download the jars that are missing, or write the lock."""
    if sys.argv[1:] == ["lock"]:
        write_lock()
        return 0
    try:
        class_path(lambda line: print(line, flush=True))  # noqa: T201  (run by make)
    except StackError as error:
        sys.stderr.write(f"setup: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
