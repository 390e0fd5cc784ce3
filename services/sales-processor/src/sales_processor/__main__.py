"""The program: `python -m sales_processor run|migrate|offsets`."""

import sys

from chassis.service import main
from sales_processor.app import DEFINITION

if __name__ == "__main__":
    sys.exit(main(DEFINITION))
