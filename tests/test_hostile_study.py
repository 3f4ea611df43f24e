"""Files that no study is: each gets one clear line, at once and in little memory."""

import os
import resource
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study_texts import FULL, SMALL, problems_of

from automl.errors import StudyError
from automl.reading.yamlfile import BYTES
from automl.studyfile import read

LAUGHS = "a: &a [lol, lol, lol]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a0: &a0 {k: v}\n" + "".join(
    f"a{i + 1}: &a{i + 1} {{<<: [{', '.join([f'*a{i}'] * 8)}]}}\n" for i in range(7)
)
TALL = "a: &a " + "[" * 30 + "]" * 30 + "\nb: " + "[" * 20 + "*a" + "]" * 20 + "\n"

HOSTILE = {
    "an explosion of aliases": (LAUGHS, "more than 50_000 keys and values"),
    "an explosion of merge keys": (MERGES, "merge keys ('<<') are not read"),
    "aliases that build a tower": (TALL, "nested more than 32 levels deep"),
    "a list that holds itself": ("name: &a [*a]\n", "alias *a contains itself"),
    "many aliases": ("a: &a 1\nb: [" + "*a," * 5000 + "]\n", "more than 200 aliases"),
    "ten thousand levels of lists": ("[" * 10_000, "nested more than 32 levels deep"),
    "half a million levels of lists": ("[" * 500_000, "nested more than 32 levels deep"),
    "ten thousand levels of mappings": ("{a: " * 10_000, "nested more than 32 levels deep"),
    "ten thousand levels of dashes": ("- " * 10_000, "nested more than 32 levels deep"),
    "ten thousand questions": ("? " * 10_000, "nested more than 32 levels deep"),
    "many keys": ("".join(f"k{i}: 1\n" for i in range(60_000)), "more than 50_000 keys"),
    "many tag directives": ("%TAG !a! x\n" * 40_000 + "--- a\n", "begins with '%'"),
    "a Python object": ("name: !!python/object/apply:os.system [id]\n", "tags are not read"),
    "a tag on a number": (SMALL.replace("trials: 3", "trials: !!int 3"), "tags are not read"),
    "a bound that is no number": (SMALL.replace("1e-4", ".nan"), "a finite number, got nan"),
    "an endless bound": (SMALL.replace("1e-4", "-.inf"), "a finite number, got -inf"),
    "a number of 5,000 digits": (SMALL.replace(": 3", f": {'9' * 5000}"), "of 5000 digits"),
    "tabs": (SMALL.replace("budget: {", "budget:\n\t{"), "a tab in the indentation"),
    "tabs for spaces": ("name: x\nbudget:\n\ttrials: 3\n", "a tab in the indentation"),
    "a control character": (SMALL + "\x1b[2J", "character 0x001b is not allowed"),
    "a key of a megabyte": ("x" * (BYTES - 10) + ": 1\n", "not YAML: mapping values"),
    "a second document": (SMALL + "---\n" + SMALL, "a second document begins here"),
    "nothing": ("", "the file is empty"),
    "only a comment": ("# " + "x" * 1_000_000, "the file is empty"),
    "many unknown keys": (SMALL + "".join(f"ke{i}: 1\n" for i in range(20_000)), "there are more"),
    "many rules": (
        SMALL + "forbid: [" + "model.rl > 1," * 10_000 + "]\n",
        "there are more",
    ),
    "many rules for many points": (
        SMALL
        + "forbid: [" + "model.lr > 9," * 4000 + "]\n"
        + "search: {enqueue: [" + "{model.lr: 0.01}," * 4000 + "{model.lr: 99}]}\n",
        "99 is not in [0.0001, 0.1]",
    ),
    "a rule that nests": (SMALL + f"forbid: ['{'-' * 900}model.lr']\n", "nests at most 50"),
    "a rule that is long": (SMALL + f"forbid: ['{'1+' * 9000}1']\n", "at most 1000 characters"),
    "a rule with an escape": (SMALL + "forbid: ['\"\\d\" == (']\n", "not an expression"),
}  # fmt: skip


def heads(folder, text):
    return [problem.splitlines()[0] for problem in problems_of(folder, text)]


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """Return the seconds that a valid study of almost the largest size takes."""
    text = SMALL + "trainer:\n" + "".join(f"  key{i}: {i}\n" for i in range(24_000))
    start = time.process_time()
    assert heads(tmp_path_factory.mktemp("honest"), text) == []
    return time.process_time() - start


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_gets_one_clear_line_as_fast_as_an_honest_one(tmp_path, honest, name):
    text, message = HOSTILE[name]
    start = time.process_time()
    lines = heads(tmp_path, text)
    seconds = time.process_time() - start
    found = [head for head in lines if message in head]
    assert len(found) == 1 or "merge" in message
    assert all(len(head) < 250 and head.isprintable() for head in found)
    assert seconds < 5 * honest


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"name: \xff\n", "not UTF-8 text (byte 0xff at position 6)"),
        ("name: é\n".encode("latin-1"), "not UTF-8 text (byte 0xe9 at position 6)"),
        (SMALL.encode("utf-16"), "not UTF-8 text (byte 0xff at position 0)"),
        (SMALL.encode("utf-16-be"), "character 0x0000 is not allowed in YAML"),
        (bytes(range(256)), "not UTF-8 text (byte 0x80 at position 128)"),
        (b"\x00" * 1000, "character 0x0000 is not allowed in YAML"),
        (b"\x89PNG\r\n\x1a\n", "not UTF-8 text (byte 0x89 at position 0)"),
    ],
)
def test_what_is_not_text_gets_one_clear_line(tmp_path, raw, message):
    path = tmp_path / "study.yaml"
    path.write_bytes(raw)
    with pytest.raises(StudyError) as caught:
        read(path)
    assert len(caught.value.problems) == 1
    assert message in str(caught.value)


def refusal(path):
    with pytest.raises(StudyError) as caught:
        read(path)
    assert len(caught.value.problems) == 1
    return str(caught.value)


def test_what_is_not_a_file_gets_one_clear_line(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path) == f"{tmp_path}: a folder, not a study file"
    assert refusal(tmp_path / "none.yaml") == f"{tmp_path}/none.yaml: no such file"
    assert refusal(tmp_path / "none" / "x.yaml").endswith("no such file")
    assert refusal(tmp_path / "pipe").endswith("not a regular file")
    assert "cannot be read" in refusal(tmp_path / "loop")
    assert "cannot be read" in refusal(tmp_path / ("x" * 5000))
    assert "null" in refusal("nul\x00byte")
    assert refusal("/dev/zero") == "/dev/zero: not a regular file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_gets_one_clear_line(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(SMALL)
    path.chmod(0)
    assert "permission denied" in refusal(path)


def test_a_hundred_megabytes_are_refused_without_reading_them(tmp_path):
    path = tmp_path / "study.yaml"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refusal(path).endswith("larger than 1_048_576 bytes; no study file is")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 20_000  # kB


@pytest.mark.timeout(60)
def test_no_hostile_text_takes_more_than_little_memory(tmp_path):
    files = []
    for number, (text, _) in enumerate(HOSTILE.values()):
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(text)
    code = (
        "import resource, sys, automl.studyfile as s\n"
        "use = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = use()\n"
        "for path in sys.argv[1:]:\n"
        "    try: s.read(path)\n"
        "    except s.StudyError: pass\n"
        "print(use() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, files)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 150_000  # kB, for the largest of them


def refused(path, overrides=()):
    """Return the problems of a file; whatever else is raised fails the test."""
    try:
        read(path, overrides)
    except StudyError as error:
        return error.problems
    return ()


LINES = FULL.splitlines(keepends=True)
JUNK = st.text("ab:{}[],&*!|>'\"%@`#?-~<=.1e_$\n \t\\\x00\x85\u2028é", max_size=12)


@st.composite
def damaged(draw):
    """Return a study with some of its lines cut, doubled, moved, or with something put in."""
    lines = draw(st.lists(st.sampled_from(LINES), max_size=12)) if draw(st.booleans()) else LINES
    text = "".join(lines)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 6)))
        text = text[:start] + draw(JUNK) + text[end:]
    return text


PATHS = st.sampled_from(["budget.trials", "space.model.lr", "forbid.0", "name", "search.enqueue"])


@settings(deadline=None, max_examples=60)
@given(damaged(), st.lists(st.tuples(PATHS | JUNK, JUNK).map("=".join), max_size=2))
def test_a_damaged_study_is_read_or_refused_and_nothing_else(tmp_path_factory, text, overrides):
    path = tmp_path_factory.getbasetemp() / "damaged.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    assert all("\n" not in problem.message for problem in refused(path, overrides))


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=60))
def test_any_bytes_are_refused_and_nothing_else(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "bytes.yaml"
    path.write_bytes(raw)
    with pytest.raises(StudyError):
        read(path)


KEYS = sorted(set(FULL.replace(":", " ").replace("{", " ").replace(",", " ").split()))
TREES = st.recursive(
    st.sampled_from(["1", "-1", ".nan", "''", "true", "~", "1e9", "auto", "sgd", "[]", "{}"]),
    lambda tree: (
        st.lists(tree, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.sampled_from(KEYS), tree, max_size=3).map(
            lambda items: "{" + ", ".join(f"{key!r}: {item}" for key, item in items.items()) + "}"
        )
    ),
    max_leaves=8,
)
TOPS = [line.split(":")[0] for line in LINES if not line.startswith(" ")]


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.sampled_from(TOPS), TREES, min_size=1, max_size=3))
def test_any_values_for_known_keys_are_read_or_refused_and_nothing_else(tmp_path_factory, parts):
    kept = [line for line in SMALL.splitlines() if line.split(":")[0] not in parts]
    text = "\n".join([*kept, *(f"{key}: {value}" for key, value in parts.items())])
    path = tmp_path_factory.getbasetemp() / "values.yaml"
    path.write_text(text, encoding="utf-8")
    assert all(problem.line for problem in refused(path))
