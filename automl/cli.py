"""The command line: what can be said, and the one place that turns errors into exit codes.

Exit codes: 0 done, 2 the user can put it right, 3 a bug of automl, 130 interrupted.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module

from automl.suggest import did_you_mean

DONE, USER, BUG, INTERRUPTED = 0, 2, 3, 130
STAGES = ("build", "train", "refine")
LICENCES = ("MIT", "Apache-2.0", "none")
STUDY = "a study file"
RAN = "a study that has run: its name, folder or file"


def positive(text: str) -> int:
    """Read a whole number above 0."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


Arguments = list[tuple[tuple[str, ...], dict[str, object]]]

SET: Arguments = [
    (
        ("--set",),
        {"action": "append", "default": [], "metavar": "PATH=VALUE", "help": "override a value"},
    )
]
FILE: Arguments = [(("study",), {"help": STUDY}), *SET]
PAST: Arguments = [(("study",), {"help": RAN})]
POINT: tuple[tuple[str, ...], dict[str, object]] = (
    ("--point",),
    {"required": True, "help": "its label in the report, such as 12 or 12/density=0.1"},
)

COMMANDS: dict[str, tuple[str, Arguments]] = {
    "run": (
        "run a study, or go on with it",
        [
            *FILE,
            (
                ("--fresh",),
                {"action": "store_true", "help": "put an earlier run aside"},
            ),
            (("--no-report",), {"action": "store_true", "help": "write no report at the end"}),
        ],
    ),
    "plan": (
        "show what a study would do; starts no trial",
        [
            *FILE,
            (("--check",), {"action": "store_true", "help": "only check the file"}),
            (("--proposals",), {"type": positive, "default": 3, "help": "how many points to show"}),
        ],
    ),
    "show": ("show a study's trials and its front", PAST),
    "report": (
        "write the report of a study",
        [
            *PAST,
            (("-o", "--output"), {"help": "file to write; .html, .md, .json, .csv or .parquet"}),
        ],
    ),
    "logs": (
        "show what a trial printed",
        [
            *PAST,
            (("trial",), {"type": int, "help": "number of the trial"}),
            (("-f", "--follow"), {"action": "store_true", "help": "go on while it runs"}),
            (
                ("--hooks",),
                {"action": "store_true", "help": "show hooks and seconds instead"},
            ),
        ],
    ),
    "repair": ("rebuild the database of a study from the files beside it", PAST),
    "serve": (
        "show the report of a study in a browser while it runs",
        [
            *PAST,
            (("--host",), {"default": "127.0.0.1", "help": "address to serve on"}),
            (("--port",), {"type": int, "default": 0, "help": "port; any free one by default"}),
        ],
    ),
    "compare": (
        "compare studies by one reference",
        [
            (("studies",), {"nargs": "+", "metavar": "study", "help": RAN}),
            (("-o", "--output"), {"help": "HTML file to write"}),
        ],
    ),
    "export": (
        "write a point's weights, settings and metrics into a folder",
        [
            *PAST,
            POINT,
            (("-o", "--output"), {"help": "folder to write"}),
            (("--program",), {"action": "store_true", "help": "write the model's graph too"}),
        ],
    ),
    "retrain": (
        "train a point again with other seeds",
        [*PAST, POINT, (("--seeds",), {"type": positive, "default": 3, "help": "how many seeds"})],
    ),
    "plugins": (
        "list the plugins that are installed",
        [(("-v", "--verbose"), {"action": "store_true", "help": "load them and show their hooks"})],
    ),
    "plugin": (
        "begin a plugin of your own, or check one",
        [
            (("act",), {"choices": ["new", "check"], "help": "what to do"}),
            (("name",), {"help": "the plugin's name in a study"}),
            (("study",), {"nargs": "?", "default": "study.yaml", "help": "check: a small study"}),
            (("--stage",), {"choices": STAGES, "default": "refine", "help": "new: where it acts"}),
            (("--license",), {"choices": LICENCES, "default": "MIT", "help": "new: its licence"}),
            (("-o", "--output"), {"help": "new: folder to make the package in"}),
        ],
    ),
    "schema": ("print the JSON Schema of study files, plugins' options included", []),
    "doctor": (
        "check Python, torch, devices, storage and plugins",
        [(("--cluster",), {"help": "check the nodes of a Ray cluster too: auto, or host:port"})],
    ),
    "completion": (
        "print a script that completes commands in your shell",
        [(("shell",), {"choices": ["bash", "zsh", "tcsh"], "help": "your shell"})],
    ),
}


def parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="automl", description="Search for the best trade-offs of a training job."
    )
    top.add_argument("--version", action="store_true", help="print the version")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    for name, (text, arguments) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        for flags, settings in arguments:
            command.add_argument(*flags, **settings)  # type: ignore[arg-type]
        command.add_argument("--json", action="store_true", help="print JSON")
        command.add_argument("-q", "--quiet", action="store_true", help="print results only")
    return top


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit."""
    sys.exit(code(list(sys.argv[1:] if argv is None else argv)))


def code(argv: list[str]) -> int:
    """Run a command and return its exit code."""
    top = parser()
    if argv and argv[0][:1] not in {"-", ""} and argv[0] not in COMMANDS:
        say(f"automl: there is no command {argv[0]!r}{meant_or_help(argv[0], COMMANDS)}")
        return USER
    try:
        options, unknown = top.parse_known_args(argv)
    except SystemExit as end:  # argparse has said what is wrong
        return int(end.code or 0)
    if unknown:
        flags = [f"--{name.replace('_', '-')}" for name in vars(options) if name != "command"]
        flag, to = unknown[0].partition("=")[0], [options.command] if options.command else []
        command = shlex.join(["automl", *to])
        say(f"{command}: unknown argument {flag!r}{meant_or_help(flag, flags, *to)}")
        return USER
    if options.version:
        from importlib.metadata import version

        print(version("automl"))  # noqa: T201
        return DONE
    if options.command is None:
        top.print_help()
        return USER
    return guarded(lambda: import_module(f"automl.commands.{options.command}").main(options), argv)


def meant_or_help(word: str, known: Iterable[str], *command: str) -> str:
    """Write the end of a message about an unknown word: the nearest, or where to read of all."""
    return did_you_mean(word, known) or f"; see {shlex.join(['automl', *command, '--help'])}"


def guarded(work: Callable[[], int | None], argv: Sequence[str]) -> int:
    """Do the work; errors become one line and an exit code."""
    from automl.errors import AutomlError

    try:
        return work() or DONE
    except AutomlError as error:
        say(f"automl: {error}" if "\n" not in str(error) else str(error))
        return USER
    except KeyboardInterrupt:
        say(f"interrupted; everything so far is kept. Go on with: automl {shlex.join(argv)}")
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception:  # whatever else comes is ours to mend
        import traceback

        traceback.print_exc()
        say("this is a bug of automl; please report it with the lines above")
        return BUG


def say(text: str) -> None:
    """Print to standard error, without secrets and with control characters written out."""
    from automl.env import mask
    from automl.report.text import clean

    print(clean(mask(text)), file=sys.stderr)  # noqa: T201
