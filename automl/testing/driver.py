"""The driver that the kill drill kills: runs a study and says aloud what it does.

    python -m automl.testing.driver STUDY.yaml SAID.jsonl

A line of `SAID.jsonl` is said only when the record has what it says.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from automl.launch import run
from automl.studyfile import read


class Announcer:
    """Writes a line for each trial that is done, and one when the first attempt begins."""

    def __init__(self, path: Path) -> None:
        self.handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.known: set[int] | None = None
        self.begun = False

    def say(self, **entry: Any) -> None:
        """Append a line."""
        os.write(self.handle, (json.dumps(entry) + "\n").encode())

    def watch(self, search: Any) -> None:
        """Look at a search after each of its changes."""
        done = {n for n, trial in search.trials.all.items() if trial.state == "done"}
        if not self.begun and any(spec.kind == "trial" for spec in search.running.values()):
            self.begun = True
            self.say(begun=time.time())
        for number in sorted(done - (self.known or set())):
            self.say(done=number, metrics=dict(search.trials.all[number].metrics))
        self.known = done


def main(study: str, said: str) -> None:
    """Run a study to its end."""
    announcer = Announcer(Path(said))
    run(read(study), announcer.watch)
    announcer.say(finished=time.time())


if __name__ == "__main__":
    main(*sys.argv[1:])
