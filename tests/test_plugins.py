"""Finding, loading and calling plugins, and blaming the one that is wrong."""

import sys

import pytest

import automl
from automl import plugins
from automl.errors import PluginError
from automl.plugins import Plugins, kind, kinds_of
from automl.proposals import proposals


def written(folder, body, name="mine.py"):
    text = "import automl\nfrom pydantic import BaseModel\n\n\nclass Mine:\n"
    (folder / name).write_text(text + "".join(f"    {line}\n" for line in body.splitlines()))
    return kinds_of({"mine": {"path": name}}, folder)


def test_the_five_built_in_plugins_are_found_by_their_metadata():
    known = {"data_mixing", "lr_refinement", "nas", "pruning", "reward_weights"}
    assert known <= set(plugins.find())


def test_an_unknown_plugin_is_refused_with_the_nearest_and_all_names(tmp_path):
    with pytest.raises(PluginError, match=r"no plugin named 'prunning'; did you mean 'pruning'\?"):
        kind("prunning", tmp_path)


HOOK = "@automl.hookimpl\ndef {}: {}"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (HOOK.format("trian(self, job)", "pass"), "wrong hook"),
        (HOOK.format("train(self, jobb)", "pass"), "wrong hook"),
        ("x = 1", "must hold one class with hooks, found 0"),
        ("api = 99\n" + HOOK.format("train(self, job)", "pass"), "speaks API 99.*update automl"),
        ("api = 0\n" + HOOK.format("train(self, job)", "pass"), "speaks API 0.*update the plugin"),
        (
            HOOK.format("train(self, job)", "pass") + "\ndef __init__(self): raise OSError('no')",
            "cannot be made: OSError: no",
        ),
    ],
)
def test_a_broken_plugin_is_blamed_by_name_and_file(tmp_path, body, words):
    with pytest.raises(PluginError, match=rf"(?s)plugin mine \(mine.py\).*{words}"):
        Plugins(written(tmp_path, body), {})


@pytest.mark.parametrize("text", ["import no_such_module", "def f(:", "1 / 0"])
def test_a_plugin_that_cannot_be_imported_is_blamed(tmp_path, text):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(PluginError, match=r"plugin mine \(mine.py\) cannot be imported"):
        kind("mine", tmp_path, "mine.py")


def test_a_plugin_file_may_import_what_lies_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    written(tmp_path, "@automl.hookimpl\ndef build(self, job): pass", "beside_mine.py")
    (tmp_path / "mine.py").write_text("import beside_mine\n\nclass Own(beside_mine.Mine): pass\n")
    assert kind("mine", tmp_path, "mine.py").make.__name__ == "Own"


def test_a_plugin_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(PluginError, match=r"no file .*mine.py"):
        kind("mine", tmp_path, "mine.py")


@pytest.mark.parametrize(
    ("returned", "words"),
    [("3", "must return a mapping from space"), ("{'a': 3}", "proposes 'a' as 3, not a parameter")],
)
def test_a_space_that_is_none_is_blamed(tmp_path, returned, words):
    kinds = written(tmp_path, HOOK.format("space(self)", f"return {returned}"))
    with pytest.raises(PluginError, match=words):
        proposals(Plugins(kinds, {}))


def test_proposals_and_their_conditions_stand_below_the_plugins_name(tmp_path):
    body = (
        "@automl.hookimpl\n"
        "def space(self):\n"
        "    return {'how': automl.Choice(('a', 'b')),\n"
        "            'much': automl.Float(0, 1, when={'how': ('a',)})}"
    )
    found = proposals(Plugins(written(tmp_path, body), {}))
    assert list(found) == ["mine.how", "mine.much"]
    assert found["mine.much"].when == {"mine.how": ("a",)}


def test_hooks_run_in_the_order_of_the_study(tmp_path):
    body = HOOK.format("measure(self, job)", "return {}")
    kinds = {
        name: written(tmp_path, body, f"{name}.py")["mine"] for name in ("one", "two", "three")
    }
    kinds = {name: plugins.Kind(name, made.origin, made.make) for name, made in kinds.items()}
    order = [one.kind.name for one, _ in Plugins(kinds, {}).call("measure", job=None)]
    assert order == ["one", "two", "three"]


def test_an_exception_keeps_its_type_and_says_which_plugin_and_hook(tmp_path):
    kinds = written(tmp_path, HOOK.format("build(self, job)", "raise KeyError('k')"))
    with pytest.raises(KeyError) as caught:
        list(Plugins(kinds, {}).call("build", job=None))
    assert caught.value.__notes__ == ["in plugin mine (mine.py), hook build"]


def test_options_are_checked_and_handed_over(tmp_path):
    body = (
        "class Options(BaseModel):\n"
        "    depth: int = 2\n"
        "def __init__(self, options): self.options = options\n"
        + HOOK.format("measure(self, job)", "return {'depth': self.options.depth}")
    )
    made = Plugins(written(tmp_path, body), {"mine": {"depth": 5}})
    assert [answer for _, answer in made.call("measure", job=None)] == [{"depth": 5}]


def test_the_hook_names_are_the_stages_in_order():
    assert plugins.hook_names()[:6] == ("space", "prepare", "build", "train", "refine", "measure")


def test_a_plugin_cannot_take_the_name_of_a_part_of_the_study(tmp_path):
    with pytest.raises(PluginError, match="cannot be called 'model'"):
        kinds_of({"model": {"path": "x.py"}}, tmp_path)


def test_every_public_name_is_importable():
    assert all(getattr(automl, name) is not None for name in automl.__all__)
