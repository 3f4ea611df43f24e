"""Small plugins to stand beside the one under test: one is heard, one breaks training."""

from pathlib import Path

from automl.study import Study

TOY = """import automl


class Toy:
    @automl.hookimpl
    def measure(self, job):
        return {"toy": 1.0}
"""
BREAKING = """import automl


class Breaking:
    @automl.hookimpl
    def build(self, job):
        from automl.testing.breaking import Break

        job.callbacks.append(Break("KIND", job.folder / "reached"))
"""


def beside(study: Study, text: str, folder: Path, *, first: bool = False) -> Study:
    """Return a study with another plugin, the file `text`, before or after its own.

    Args:
        study: whose plugins are kept.
        text: a file with one plugin.
        folder: where the file is written; it is made.
        first: whether the other plugin comes before those of the study.
    """
    folder.mkdir(parents=True)
    (folder / "toy.py").write_text(text, encoding="utf-8")
    toy = {"toy": {"path": str(folder / "toy.py")}}
    both = toy | study.plugins if first else study.plugins | toy
    return study.model_copy(update={"plugins": both})
