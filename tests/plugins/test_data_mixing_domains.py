"""Domains: read from files, split without leakage, described by hashes."""

import ast
import json
import re

import pytest
from pyarrow import Table, parquet

from automl_data_mixing import builtin, corpus
from automl_data_mixing.domains import read
from automl_data_mixing.options import Domain, Options

ARITHMETIC = Domain(name="sums", field="target", kind="builtin", path="arithmetic", limit=30_000)


def domain(**changes):
    return Domain(**({"name": "d", "field": "source", "kind": "text", "path": "*.txt"} | changes))


def write_rows(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))


def test_each_text_file_is_a_document_in_the_order_of_names(tmp_path):
    (tmp_path / "b.txt").write_text("second")
    (tmp_path / "a.txt").write_text("first")
    assert read(domain(), tmp_path) == {"d": ["first", "second"]}


def test_a_template_joins_the_columns_of_a_row(tmp_path):
    write_rows(tmp_path / "q.jsonl", [{"question": "1+1?", "answer": 2}])
    spec = domain(kind="jsonl", path="q.jsonl", text="{question}\n{answer}")
    assert read(spec, tmp_path) == {"d": ["1+1?\n2"]}


def test_a_template_reaches_into_a_row(tmp_path):
    write_rows(tmp_path / "x.jsonl", [{"turns": [{"says": "hello"}, {"says": "you"}]}])
    chat = domain(kind="jsonl", path="x.jsonl", text="{turns[0][says]} {turns[1][says]}")
    assert read(chat, tmp_path) == {"d": ["hello you"]}
    longer = domain(kind="jsonl", path="x.jsonl", text="{turns[2][says]}")
    with pytest.raises(ValueError, match=re.escape("x.jsonl:1: no column 'turns[2][says]'")):
        read(longer, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("body", "names no column; write '{body}'"),
        ("{} {}", "must name its columns"),
        ("{0}", "must name its columns"),
        ("{", "is no template"),
        ("{text!z}", "has a conversion"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        domain(text=text)


def test_parquet_rows_are_read_by_the_same_template(tmp_path):
    parquet.write_table(Table.from_pydict({"body": ["one", "two"]}), tmp_path / "x.parquet")
    spec = domain(kind="parquet", path="x.parquet", text="<{body}>")
    assert read(spec, tmp_path) == {"d": ["<one>", "<two>"]}


def test_a_label_column_makes_a_domain_of_each_value(tmp_path):
    write_rows(tmp_path / "x.jsonl", [{"text": "a", "lang": "en"}, {"text": "b", "lang": "de"}])
    spec = domain(kind="jsonl", path="x.jsonl", by="lang")
    assert read(spec, tmp_path) == {"d/en": ["a"], "d/de": ["b"]}


def test_clusters_separate_texts_about_different_things(tmp_path):
    texts = [f"sea ship wave {i}" for i in range(20)] + [f"stock bond yield {i}" for i in range(20)]
    write_rows(tmp_path / "x.jsonl", [{"text": text} for text in texts])
    parts = read(domain(kind="jsonl", path="x.jsonl", clusters=2), tmp_path)
    assert sorted(len(texts) for texts in parts.values()) == [20, 20]
    assert {len({t.split()[0] for t in texts}) for texts in parts.values()} == {1}


def test_a_limit_counts_bytes_and_does_not_break_a_character(tmp_path):
    (tmp_path / "a.txt").write_text("é" * 2_000)
    assert read(domain(limit=1_001), tmp_path) == {"d": ["é" * 500]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a"}\n{"text": ', "x.jsonl:2: not JSON"),
        ('{"text": "a"}\n[1]', "x.jsonl:2: expected an object"),
        ('{"text": "a"}\n{"txet": "b"}', "x.jsonl:2: no column 'text' for domain d; .* txet"),
        ('{"text": "a"}\n{"text": null, "n": 1}', "x.jsonl:2: no column 'text' .* has n;"),
        ('{"text": "a"}\n{"text": "\\ud800"}', "x.jsonl:2: .* surrogates not allowed"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_number(tmp_path, content, message):
    (tmp_path / "x.jsonl").write_text(content)
    with pytest.raises(ValueError, match=message):
        read(domain(kind="jsonl", path="x.jsonl"), tmp_path)


def test_bytes_that_are_no_text_are_named_by_file_and_line(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"fine\n\xff\xfe")
    with pytest.raises(ValueError, match=r"a\.txt:2: not UTF-8"):
        read(domain(), tmp_path)


def test_a_file_that_is_not_parquet_is_named(tmp_path):
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(ValueError, match=r"x\.parquet: not a parquet file"):
        read(domain(kind="parquet", path="x.parquet"), tmp_path)


def test_a_pattern_without_files_says_where_it_looked(tmp_path):
    with pytest.raises(ValueError, match=re.escape(str(tmp_path / "*.txt"))):
        read(domain(), tmp_path)


def test_code_has_neither_comments_nor_docstrings():
    text = builtin.documents("code", 1_000)[0]
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, builtin.Documented)]
    assert all(ast.get_docstring(node) is None for node in nodes)
    assert not re.search(r"^\s*# ", text, re.MULTILINE)


def test_generated_problems_are_right_and_always_the_same():
    texts = builtin.documents("arithmetic", 20_000)
    assert texts == builtin.documents("arithmetic", 20_000)
    for text in texts:
        sums = re.findall(r"^([\d() +*-]+)", text.split("\n")[1])
        answer = int(re.search(r"The answer is (\d+)", text)[1])
        assert eval(sums[0]) == answer


def test_topics_and_docstrings_share_no_text():
    assert not set(builtin.documents("topics", 10**6)) & set(builtin.documents("docstrings", 10**5))


def test_a_document_is_held_out_whole_and_stays_so_when_others_come():
    documents = [f"document {i}" for i in range(200)]
    training, held = corpus.divided(documents, 0.2)
    assert sorted(training + held) == sorted(documents)
    assert 20 < len(held) < 60
    more = corpus.divided([*documents, "another"], 0.2)
    assert set(held) <= set(more[1])


def test_of_few_documents_the_tails_are_held_out():
    assert corpus.divided(["0123456789"], 0.1) == (["012345678"], ["9"])


def test_a_document_is_used_once_over_all_domains():
    kept, lost = corpus.deduplicated({"a": ["x y", "z", "x  y"], "b": ["z", "w"]})
    assert kept == {"a": ["x y", "z"], "b": ["w"]}
    assert lost == {"a": 1, "b": 1}


def test_a_held_out_text_that_repeats_training_text_is_found():
    words = [f"word{i}" for i in range(60)]
    seen = corpus.grams(" ".join(words))
    assert corpus.overlaps(" ".join(words[10:50]), seen)
    assert not corpus.overlaps(" ".join(reversed(words)), seen)


def test_rows_overlap_by_one_token_so_that_each_is_predicted_once():
    rows = corpus.packed(["abcdefghij"], corpus.encoder("bytes"), 3)
    assert [bytes(row) for row in rows] == [b"abcd", b"defg", b"ghij"]


def test_a_corpus_is_the_same_when_it_is_opened_again(tmp_path):
    other = Domain(name="code", field="source", kind="builtin", limit=60_000)
    made = corpus.build(Options(domains=(ARITHMETIC, other)), tmp_path)
    corpus.save(made, tmp_path)
    opened = corpus.load(tmp_path)
    assert opened.names == ("code", "sums")
    assert opened.entries == made.entries
    assert opened.fingerprint == made.fingerprint
    assert all((a == b).all() for a, b in zip(made.training, opened.training, strict=True))


def test_the_manifest_changes_with_a_single_letter(tmp_path):
    text = " ".join(f"word{i}" for i in range(600))
    (tmp_path / "a.txt").write_text(text)
    options = Options(domains=(ARITHMETIC, domain()), feedback_rows=2)
    before = corpus.build(options, tmp_path).fingerprint
    (tmp_path / "a.txt").write_text(text.replace("word7 ", "ward7 "))
    assert corpus.build(options, tmp_path).fingerprint != before


def test_a_domain_that_is_too_short_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("short")
    with pytest.raises(ValueError, match="domain d: 0 rows of 64 tokens"):
        corpus.build(Options(domains=(ARITHMETIC, domain())), tmp_path)


def test_metrics_get_as_many_held_out_rows_as_policies_see(tmp_path):
    (tmp_path / "a.txt").write_text(" ".join(map(str, range(3_000))))
    options = Options(domains=(ARITHMETIC, domain()), feedback_rows=11)
    with pytest.raises(ValueError, match=r"domain d: .* 21 of 22 held out"):
        corpus.build(options, tmp_path)
    fewer = options.model_copy(update={"feedback_rows": 10})
    assert corpus.build(fewer, tmp_path).entries[0].held_rows == 21


@pytest.mark.parametrize(
    ("domains", "message"),
    [
        ((ARITHMETIC,), "none has field 'source'"),
        ((ARITHMETIC, ARITHMETIC), "sums is named twice"),
    ],
)
def test_options_that_cannot_work_are_refused(domains, message):
    with pytest.raises(ValueError, match=message):
        Options(domains=domains)
