"""The rankers by name.

A ranker is a file of :mod:`models.rankers` with one subclass of :class:`models.network.Network`; the file's name is the
ranker's.
"""

import importlib
import inspect
from functools import cache
from typing import Any

from pydantic import ConfigDict

from common.errors import ConfigError, did_you_mean
from common.settings import Settings, validate
from models import rankers
from models.network import Network


class NetworkSettings(Settings):
    """A ranker's name; whatever else it holds are the ranker's own settings."""

    model_config = ConfigDict(extra="allow")

    name: str

    @property
    def own(self) -> dict[str, Any]:
        """The ranker's own settings, unchecked."""
        return self.model_dump(exclude={"name"})


def names() -> list[str]:
    """The names of all rankers, sorted."""
    return rankers.__all__


@cache
def network_class(name: str) -> type[Network]:
    """The network of a ranker.

    Raises:
        ConfigError: There is no such ranker.
    """
    if name not in names():
        raise ConfigError(f"model {name!r} is unknown; {did_you_mean(name, names())}")
    module = importlib.import_module(f"{rankers.__name__}.{name}")
    (network,) = (
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Network) and member.__module__ == module.__name__
    )
    return network


def checked_settings(name: str, settings: dict[str, Any], *, source: str = "model") -> Settings:
    """A ranker's own settings, checked.

    Args:
        name: The ranker's.
        settings: As a run file has them.
        source: Where they stand, for the message.

    Raises:
        ConfigError: The ranker is unknown, or a setting is wrong.
    """
    return validate(network_class(name).settings_class, settings, source=source, error=ConfigError)
