"""`python -m core.drivers.acp_bridge`, or this file itself: then the package is found beside it."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from core.drivers.acp_bridge.bridge import main

if __name__ == "__main__":
    sys.exit(main())
