"""Find plugins by their metadata, load those that a study names, and call them in its order."""

import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy
from pydantic import BaseModel, ConfigDict

from automl import hooks
from automl.errors import PluginError
from automl.suggest import did_you_mean_or_known

GROUP = "automl.plugins"
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
RESERVED = ("model", "data", "trainer")  # heads of dotted paths
Told = Callable[[str, str], None]  # hears which hook begins, and where its plugin is from


class NoOptions(BaseModel):
    """The options of a plugin that has none."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Found:
    """A plugin before loading: what its metadata says."""

    name: str
    distribution: str
    version: str
    entry: EntryPoint


@dataclass(frozen=True, slots=True)
class Kind:
    """A plugin's class, with the words that blame it."""

    name: str
    origin: str
    make: Any

    @property
    def options(self) -> type[BaseModel]:
        """The model of its options."""
        options: type[BaseModel] = getattr(self.make, "Options", NoOptions)
        return options

    def blame(self, what: str) -> PluginError:
        """Return an error that names this plugin."""
        return PluginError(f"plugin {self.name} ({self.origin}) {what}")


def find() -> dict[str, Found]:
    """Return the installed plugins by name without importing any."""
    found = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        distribution = entry.dist
        name = distribution.name if distribution else "unknown"
        found[entry.name] = Found(
            entry.name, name, distribution.version if distribution else "", entry
        )
    return found


def kind(name: str, here: Path, path: str | None = None) -> Kind:
    """Import the class of one plugin: an installed one, or the file that `path` names.

    Raises:
        PluginError: it is not installed, cannot be imported, or speaks another version of the API.
    """
    if path is not None:
        loaded = Kind(name, path, None)
        return checked(Kind(name, path, _class_of_file(loaded, (here / path).resolve())))
    installed = find()
    if name not in installed:
        names = ", ".join(installed) or "none"
        raise PluginError(
            f"no plugin named {name!r}{did_you_mean_or_known(name, installed)}; installed: {names}"
        )
    found = installed[name]
    loaded = Kind(name, f"{found.distribution} {found.version}", None)
    with blamed(loaded, "cannot be imported"):
        made = found.entry.load()
    return checked(Kind(name, loaded.origin, made))


@contextmanager
def blamed(loaded: Kind, what: str) -> Iterator[None]:
    """Blame a plugin for whatever it raises in the driver; it may even call sys.exit.

    What it prints is not the driver's answer, which may be JSON: it goes to stderr.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise loaded.blame(f"{what}: {type(error).__name__}: {error}") from error


def checked(loaded: Kind) -> Kind:
    """Refuse a plugin without a class, of another version of the API, or with a wrong hook."""
    if not isinstance(loaded.make, type):
        raise loaded.blame(f"must be a class, got {type(loaded.make).__name__}")
    api = getattr(loaded.make, "api", hooks.API)
    if api != hooks.API:
        older = isinstance(api, int) and api < hooks.API
        what = "update the plugin" if older else "update automl"
        raise loaded.blame(f"speaks API {api!r}, this automl speaks {hooks.API}; {what}")
    if wrong := wrong_hook(loaded.make):
        raise loaded.blame(f"has a wrong hook: {wrong}")
    return loaded


def wrong_hook(make: type) -> str:
    """Say what is wrong with a hook of a class: its name, or an argument; nothing if none is."""
    for name, method in inspect.getmembers(make, lambda one: hasattr(one, "automl_impl")):
        if name not in hook_names():
            return f"there is none called {name!r}{did_you_mean_or_known(name, hook_names())}"
        given = tuple(inspect.signature(getattr(hooks, name)).parameters)
        asked = inspect.signature(method).parameters.values()
        must = [one.name for one in asked if one.default is one.empty and one.kind in POSITIONAL]
        if lost := [one for one in must[1:] if one not in given]:
            passed = f"only {', '.join(given)} is passed" if given else "nothing is passed"
            return f"{name} asks for {lost[0]!r}, but {passed}; take it out, or give it a default"
    return ""


def _class_of_file(loaded: Kind, path: Path) -> Any:
    if not path.is_file():
        raise loaded.blame(f"is not there: no file {path}")
    module_name = f"automl_local_{path.stem}"
    stamp = (str(path), path.stat().st_mtime_ns)
    known = sys.modules.get(module_name)
    if known is not None and getattr(known, "automl_stamp", None) == stamp:
        return _only_class(loaded, known)
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise loaded.blame("is not a Python file")
    if str(path.parent) not in sys.path:  # it may import what lies beside it, as in a trial
        sys.path.append(str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    with blamed(loaded, "cannot be imported"):
        spec.loader.exec_module(module)
    vars(module)["automl_stamp"] = stamp
    return _only_class(loaded, module)


def _only_class(loaded: Kind, module: ModuleType) -> Any:
    classes = [made for made in vars(module).values() if _is_plugin(made, module.__name__)]
    if len(classes) != 1:
        raise loaded.blame(f"must hold one class with hooks, found {len(classes)}")
    return classes[0]


def _is_plugin(made: Any, module: str) -> bool:
    if not isinstance(made, type) or made.__module__ != module:
        return False
    return any(hasattr(getattr(made, name, None), "automl_impl") for name in dir(made))


def options_of(loaded: Kind, given: Mapping[str, Any]) -> BaseModel:
    """Check a plugin's options; raises pydantic's ValidationError, for the caller to place."""
    return loaded.options.model_validate(dict(given))


@dataclass(frozen=True, slots=True)
class Loaded:
    """A plugin that is ready: its kind, its options and the object whose hooks are called."""

    kind: Kind
    options: BaseModel
    plugin: Any


class Plugins:
    """The plugins of one study, in its order.

    Raises:
        PluginError: a hook with an unknown name or with arguments that the host does not pass.
    """

    def __init__(self, kinds: Mapping[str, Kind], options: Mapping[str, Mapping[str, Any]]) -> None:
        self.told: Told = lambda _, __: None
        self.manager = pluggy.PluginManager("automl")
        self.manager.add_hookspecs(hooks)
        self.loaded = tuple(_made(loaded, options.get(name, {})) for name, loaded in kinds.items())
        for one in reversed(self.loaded):  # pluggy calls the last registered first
            self._register(one)

    def __iter__(self) -> Iterator[Loaded]:
        return iter(self.loaded)

    def _register(self, one: Loaded) -> None:
        with blamed(one.kind, "has a wrong hook"):
            self.manager.register(one.plugin, one.kind.name)
            self.manager.check_pending()

    def implement(self, hook: str) -> tuple[Loaded, ...]:
        """Return the plugins that implement a hook, in the order of the study."""
        return tuple(one for one, _ in self.implementations(hook))

    def call(self, hook: str, **arguments: Any) -> Iterator[tuple[Loaded, Any]]:
        """Call a hook plugin by plugin; an exception keeps its type and gains a note of blame."""
        for one, implementation in self.implementations(hook):
            given = [arguments[name] for name in implementation.argnames]
            self.told(f"{one.kind.name}.{hook}", one.kind.origin)
            try:
                yield one, implementation.function(*given)
            except BaseException as error:  # a hook may even call sys.exit
                note(error, one, hook)
                raise

    def ask(self, hook: str, **arguments: Any) -> Iterator[tuple[Loaded, Any]]:
        """Call a hook in the driver, where a plugin is blamed for whatever it raises."""
        for one, implementation in self.implementations(hook):
            with blamed(one.kind, f"failed in {hook}"):
                answer = implementation.function(*(arguments[n] for n in implementation.argnames))
            yield one, answer

    def implementations(self, hook: str) -> Iterator[tuple[Loaded, Any]]:
        """Yield the plugins that implement a hook, with pluggy's record of how."""
        by_name = {one.kind.name: one for one in self.loaded}
        for implementation in reversed(getattr(self.manager.hook, hook).get_hookimpls()):
            yield by_name[implementation.plugin_name], implementation


def note(error: BaseException, one: Loaded, hook: str) -> None:
    """Add to an exception which plugin and which hook it came from, once."""
    if not getattr(error, "__notes__", None):
        error.add_note(f"in plugin {one.kind.name} ({one.kind.origin}), hook {hook}")


def number(value: Any, name: str, one: Loaded) -> float:
    """Return what a plugin has measured; blame it for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        wrong = TypeError(f"metric {name!r} must be a number, got a {type(value).__name__}")
        note(wrong, one, "measure")
        raise wrong from error


def _made(loaded: Kind, given: Mapping[str, Any]) -> Loaded:
    options = options_of(loaded, given)
    with blamed(loaded, "cannot be made"):
        plugin = loaded.make(options) if hasattr(loaded.make, "Options") else loaded.make()
    return Loaded(loaded, options, plugin)


def kinds_of(study_plugins: Mapping[str, Mapping[str, Any]], here: Path) -> dict[str, Kind]:
    """Import the classes of all plugins that a study names, in its order."""
    kinds = {}
    for name, given in study_plugins.items():
        if name in RESERVED:
            raise PluginError(f"a plugin cannot be called {name!r}: it is the head of a path")
        kinds[name] = kind(name, here, given.get("path"))
    return kinds


def hook_names() -> tuple[str, ...]:
    """Return the names of all hooks, in the order of a trial's stages."""
    return tuple(name for name, value in vars(hooks).items() if hasattr(value, "automl_spec"))
