"""Run the `dermaface` command as `python -m dermaface`."""

import sys

from dermaface.cli import main

sys.exit(main())
