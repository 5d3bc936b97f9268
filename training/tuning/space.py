"""The runs a search may try: a run file, and what its ``search`` section lets vary."""

import copy
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import ConfigError
from models.catalogue import checked_settings
from training.run import RunSettings, place, run_document, run_settings
from training.tuning.domain import Domain

_EXAMPLE = "search: {optimizer.learning_rate: {log_uniform: [1e-4, 1e-2]}}"
_VARIED = ("model", "embedding", "optimizer", "training")
_DRAWS = 64  # of the other keys, to find one that a value fits


@dataclass(frozen=True)
class Space:
    """A run file with a search section.

    Attributes:
        source: The run file's name, for messages.
        document: The run file as it was written, without the section.
        settings: The run with the file's own values.
        domains: What may vary: domains by dotted key.
    """

    source: str
    document: Mapping[str, Any]
    settings: RunSettings
    domains: Mapping[str, Domain]

    @classmethod
    def load(cls, path: Path, overrides: Sequence[str] = ()) -> "Space":
        """Read a run file and check that every end and every choice of its space fits some run.

        Args:
            path: The yaml file.
            overrides: As of :func:`training.run.load_run`.

        Raises:
            ConfigError: The file is wrong, has no search section, or one whose keys or values no run can have.
        """
        document = run_document(path, overrides)
        domains = run_settings(document, source=str(path)).search
        if not domains:
            raise ConfigError(f"{path} has no search section, which says what may vary; add one, such as {_EXAMPLE}")
        fixed = {key: value for key, value in document.items() if key != "search"}
        space = cls(str(path), fixed, run_settings(fixed, source=str(path)), domains)
        for key in domains:
            space._check_key(key)
        for key, domain in domains.items():
            for value in domain.corners:
                space._check_value(key, value)
        return space

    def run(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The run file with some values of the space instead of its own."""
        document = copy.deepcopy(dict(self.document))
        for key, value in values.items():
            place(document, key, value)
        return document

    def settings_of(self, values: Mapping[str, Any]) -> RunSettings:
        """The settings of :meth:`run`.

        Raises:
            ConfigError: The values do not fit together.
        """
        return run_settings(self.run(values), source=self.source)

    def own_values(self) -> dict[str, Any] | None:
        """The run file's own values of what may vary; None where one of them is not in the space."""
        model = self.settings.model
        own = checked_settings(model.name, model.own).model_dump(mode="json")
        defaults = {**self.settings.itself, "model": {"name": model.name, **own}}
        found = {}
        for key, domain in self.domains.items():
            value = _value_at(self.document, key)
            value = _value_at(defaults, key) if value is None else value
            if not domain.holds(value):
                return None
            found[key] = value
        return found

    def _check_key(self, key: str) -> None:
        where = f"{self.source}, search.{key}"
        if key.split(".")[0] not in _VARIED:
            raise ConfigError(f"{where}: a search varies settings of {', '.join(_VARIED)}; remove the key")
        if key in ("training", "training.monitor"):
            raise ConfigError(f"{where}: trials are compared by training.monitor, which must not vary; remove the key")
        inside = next((other for other in self.domains if other.startswith(f"{key}.")), None)
        if inside is not None:
            raise ConfigError(f"{where}: it replaces the whole section, in which {inside} varies too; remove one")

    def _check_value(self, key: str, value: Any) -> None:
        """Look for a run that a value fits: the file's own, else one with other keys at their ends too."""
        draw = random.Random(0)
        others = {name: domain for name, domain in self.domains.items() if name != key}
        found: ConfigError | None = None
        for attempt in range(_DRAWS if others else 1):
            more = {name: draw.choice(domain.corners) for name, domain in others.items()} if attempt else {}
            try:
                self.settings_of({**more, key: value})
                return
            except ConfigError as problem:
                found = found or problem
        reason = str(found).removeprefix(f"{self.source}: ")
        raise ConfigError(f"{self.source}, search.{key}: {reason}")


def _value_at(document: Mapping[str, Any], key: str) -> Any:
    value: Any = document
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
