"""`automl schema`: the JSON Schema of study files, for editors."""

from argparse import Namespace
from pathlib import Path

from automl import plugins
from automl.errors import AutomlError
from automl.schema import schema
from automl.terminal import emit


def main(options: Namespace) -> None:
    """Print the schema; a plugin that does not load is left out and named."""
    del options
    options_of = {}
    broken = []
    for name in plugins.find():
        try:
            options_of[name] = plugins.kind(name, Path.cwd()).options
        except AutomlError as error:
            broken.append(str(error))
    made = schema(options_of)
    if broken:
        made["$comment"] = "; ".join(broken)
    emit(made)
