"""The parameters that a study's plugins propose to search."""

from collections.abc import Mapping
from dataclasses import replace

from automl.plugins import Plugins
from automl.space import Parameter


def proposals(plugins: Plugins) -> dict[str, Parameter]:
    """Collect what the plugins propose to search, under `<plugin>.<option>`.

    Raises:
        PluginError: a plugin's `space` raises, or returns something else than parameters.
    """
    found: dict[str, Parameter] = {}
    for one, proposed in plugins.ask("space"):
        if not isinstance(proposed, Mapping):
            raise one.kind.blame(f"must return a mapping from space, got {proposed!r}")
        for name, parameter in proposed.items():
            if not isinstance(parameter, Parameter):
                raise one.kind.blame(f"proposes {name!r} as {parameter!r}, not a parameter")
            found[f"{one.kind.name}.{name}"] = under(one.kind.name, parameter)
    return found


def under(plugin: str, parameter: Parameter) -> Parameter:
    """Put the names in a parameter's condition below the plugin's own name."""
    when = {f"{plugin}.{name}": allowed for name, allowed in parameter.when.items()}
    return replace(parameter, when=when)
