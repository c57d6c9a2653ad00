"""What the chaos tests borrow from their neighbours: the tiny desktop, the platform in memory."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
for folder in ("integration/host", "integration/sessions"):
    sys.path.insert(0, str(TESTS / folder))
