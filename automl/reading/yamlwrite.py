"""Plain data as YAML 1.2 text that `yamlfile` reads back as the same data."""

import re
from typing import Any

import yaml

from automl.errors import AutomlError
from automl.reading.scalars import FLOAT, INT, WORDS

WORD = re.compile("|".join(map(re.escape, WORDS)))


class Writer(yaml.SafeDumper):
    """Writes every value in full, and quotes the texts that would be read as something else."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - an attribute of PyYAML
        None: [
            ("tag:yaml.org,2002:null", re.compile(r"(?:~|[nN]ull|NULL|)\Z")),
            ("tag:yaml.org,2002:bool", re.compile(rf"(?:{WORD.pattern})\Z")),
            ("tag:yaml.org,2002:int", re.compile(rf"(?:{INT.pattern})\Z", re.ASCII)),
            ("tag:yaml.org,2002:float", re.compile(rf"(?:{FLOAT.pattern})\Z", re.ASCII)),
            ("tag:yaml.org,2002:merge", re.compile(r"<<\Z")),
        ]
    }

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML asks for each value
        """Write a value again where it stands again."""
        return True


def _text(writer: Writer, text: str) -> yaml.ScalarNode:
    """Escape line breaks and what cannot be seen: other styles fold or lose some of them."""
    style = None if text.isprintable() else '"'
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Writer.add_representer(str, _text)


def write(data: Any) -> str:
    """Write data of mappings, lists and scalars, in its own order.

    Raises:
        AutomlError: a value is of no kind that YAML has.
    """
    try:
        return yaml.dump(
            data,
            Dumper=Writer,
            sort_keys=False,
            default_flow_style=None,
            allow_unicode=True,
            width=10**6,
        )
    except yaml.YAMLError as error:
        raise AutomlError(f"cannot be written as YAML: {error.args[-1]!r}") from error
