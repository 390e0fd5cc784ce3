"""The program: `python -m inventory run|migrate|offsets`."""

import sys

from chassis.service import main
from inventory.app import DEFINITION

if __name__ == "__main__":
    sys.exit(main(DEFINITION))
