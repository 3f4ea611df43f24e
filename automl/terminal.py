"""What commands print to: a rich console for people, JSON for programs."""

import json
import sys
from typing import Any

from rich.console import Console


def console() -> Console:
    """Return a console on standard output, as wide as the terminal."""
    return Console(highlight=False)


def emit(data: Any) -> None:
    """Print JSON; text that is JSON already is printed as it is."""
    sys.stdout.write((data if isinstance(data, str) else json.dumps(data, indent=2)) + "\n")
