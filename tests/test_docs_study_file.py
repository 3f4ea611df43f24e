"""The reference of the study file says what the models say.

`python tests/test_docs_study_file.py` writes the tables and the refusal of the page anew.
"""

import json
import os
import re
from pathlib import Path

import pytest

from automl import spec, study
from automl.errors import StudyError
from automl.studyfile import read

PAGE = Path(__file__).parents[1] / "docs" / "study-file.md"
TABLE = re.compile(r"<!-- table (\w+) -->\n.*?<!-- end -->", re.DOTALL)
BROKEN = re.compile(r"```yaml broken\n(.*?)```(.*?)```text\n.*?```", re.DOTALL)
KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "nothing",
    "object": "mapping",
    "array": "list",
}


def model_of(name):
    return getattr(study, name, None) or getattr(spec, name)


def table(name):
    """Write the fields of a model as a Markdown table."""
    schema = model_of(name).model_json_schema()
    rows = [row(key, part, schema) for key, part in schema["properties"].items()]
    return "\n".join(["| key | kind | default | meaning |", "|---|---|---|---|", *rows])


def row(key, part, schema):
    required = key in schema.get("required", [])
    shown = f"**`{key}`**" if required else f"`{key}`"
    given = "" if required else f"`{written(part)}`" if written(part) else ""
    return f"| {shown} | {kind(part, schema)} | {given} | {part['description']} |"


def written(part):
    """Write a default as the study file would."""
    default = part.get("default")
    if default in (None, [], {}):
        return ""
    return default if isinstance(default, str) else json.dumps(default).replace('"', "")


def kind(part, schema):
    """Say in words what may be given."""
    if "$ref" in part:
        name = part["$ref"].rsplit("/", 1)[1]
        return "parameter" if name == "ParameterSpec" else "mapping"
    if "enum" in part or "const" in part:
        return ", ".join(f"`{one}`" for one in part.get("enum", [part.get("const")]))
    if "anyOf" in part:
        kinds = [kind(one, schema) for one in part["anyOf"] if one != {"type": "null"}]
        kinds = [one for one in kinds if one != "whole number" or "number" not in kinds]
        return " or ".join(dict.fromkeys(kinds))
    types = part.get("type", [])
    names = [KINDS[one] for one in ([types] if isinstance(types, str) else types)]
    if "examples" in part and len(names) > 1:
        return "time" if "number" in names else "size"
    return " or ".join(names) or "any"


def refusal(text, folder):
    """Return what the reader says of a text."""
    folder.mkdir(exist_ok=True)
    (folder / "study.yaml").write_text(text)
    here = Path.cwd()
    os.chdir(folder)
    try:
        read("study.yaml")
    except StudyError as error:
        return str(error)
    finally:
        os.chdir(here)
    raise AssertionError("the broken study is fine")


def renewed(page, folder):
    """Return the page with its tables and its refusal written anew."""
    page = TABLE.sub(lambda m: f"<!-- table {m[1]} -->\n{table(m[1])}\n<!-- end -->", page)

    def answer(match):
        return f"```yaml broken\n{match[1]}```{match[2]}```text\n{refusal(match[1], folder)}\n```"

    return BROKEN.sub(answer, page)


def test_the_tables_and_the_refusal_of_the_page_are_those_of_the_code(tmp_path):
    page = PAGE.read_text(encoding="utf-8")
    assert renewed(page, tmp_path) == page


def test_every_part_of_a_study_has_a_table():
    tables = set(TABLE.findall(PAGE.read_text(encoding="utf-8")))
    parts = set(study.Study.model_json_schema()["$defs"]) | {"Study"}
    assert parts - tables == {"Retry"}  # told in words


@pytest.mark.parametrize("number", [0, 1])
def test_the_whole_studies_of_the_page_can_be_read(tmp_path, number):
    page = PAGE.read_text(encoding="utf-8")
    path = tmp_path / "study.yaml"
    path.write_text(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[number])
    assert read(path).study.name in {"smallest", "digits-front"}


def test_the_parts_that_the_page_shows_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "x")
    (tmp_path / "mine.py").touch()
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    small = blocks[0].replace("space: {", "space: {model.width: {int: [1, 3]}, ")
    for name in ("depth", "checkpointed"):
        small = small.replace("space: {", f"space: {{model.{name}: {{int: [0, 3]}}, ")
    for name in ("act", "optimizer"):
        small = small.replace("space: {", f"space: {{model.{name}: {{choice: [relu, sgd]}}, ")
    for block in blocks[2:]:
        (tmp_path / "study.yaml").write_text(small + block)
        assert read(tmp_path / "study.yaml").study.name == "smallest"


def test_the_changes_that_the_page_shows_can_be_made(tmp_path):
    page = PAGE.read_text(encoding="utf-8")
    (tmp_path / "study.yaml").write_text(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    given = re.findall(
        r"--set (?:'(.*?)'|(\S+='.*?')|(\S+))", page.split("```sh")[1].split("```")[0]
    )
    for match in given:
        read(tmp_path / "study.yaml", ["".join(match).replace("'", "")])
    assert len(given) == 5


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), Path("/tmp/page")), encoding="utf-8")
