"""Which plugins are installed: the entry points of the group `interlink.plugins`, ours and third parties' alike."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from interlink_common.backend import Backend
from interlink_common.errors import ConfigurationError

GROUP = "interlink.plugins"


def installed() -> dict[str, EntryPoint]:
    """The entry points by name, in order of names."""
    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def backend_type(name: str | None) -> type[Backend]:
    """The plugin of that name; None means the only one. Loads its code. Raises ConfigurationError."""
    found = installed()
    names = ", ".join(found)
    if not found:
        raise ConfigurationError("No plugin is installed; install one, for example interlink-plugin-docker.")
    if name is None:
        if len(found) > 1:
            raise ConfigurationError(f"Several plugins are installed ({names}); say which one.")
        name = next(iter(found))
    if name not in found:
        raise ConfigurationError(f"There is no plugin {name}; installed: {names}.")
    try:
        loaded = found[name].load()
    except Exception as error:  # a third party's import may raise anything
        raise ConfigurationError(f"The plugin {name} can not be loaded: {type(error).__name__}: {error}; install it again.") from error
    if not (isinstance(loaded, type) and issubclass(loaded, Backend)):
        raise ConfigurationError(f"The plugin {name} is not a subclass of interlink_common.backend.Backend; its package is broken.")
    return loaded
