"""Strict settings: the one way a yaml file or a json document becomes a typed, frozen object."""

import json
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from common.errors import PlexrankError, did_you_mean

try:
    from yaml import CSafeLoader as _SafeLoader  # the same in C
except ImportError:
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

SettingsT = TypeVar("SettingsT", bound=BaseModel)


class Settings(BaseModel):
    """Base of every settings class: frozen, strictly typed, unknown keys refused, numbers finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class _Loader(_SafeLoader):
    """Safe yaml, less two traps: ``1e-3`` is a number, and a key given twice is refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            mistake = (
                "is not text; put it in quotes" if not isinstance(key, str) else "is given twice" if key in seen else ""
            )
            if mistake:
                raise yaml.constructor.ConstructorError(None, None, f"key {str(key)!r} {mistake}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


# PyYAML follows yaml 1.1, where a number with an exponent needs a point and a sign.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


# What pydantic calls a union's members that are no models.
_MEMBER = re.compile(r"literal\[.*\]|float|int|str|bool")


def parse_yaml(text: str) -> Any:
    """Parse yaml text: numbers with an exponent are numbers, a key given twice is refused.

    Raises:
        yaml.YAMLError: It is not valid yaml.
        ValueError: A value looks like a date or a number but is none.
    """
    return yaml.load(text, Loader=_Loader)


def read_mapping(path: Path, error: type[PlexrankError]) -> dict[str, Any]:
    """Read a yaml (or json) file whose top level is a mapping.

    Args:
        path: File to read.
        error: Class of the error to raise.

    Returns:
        The mapping.

    Raises:
        PlexrankError: Of class ``error``, when the file is missing, unreadable or not a mapping.
    """
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error(f"{path} does not exist; check the path") from None
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror}; give a readable file") from None
    except UnicodeDecodeError:
        raise error(f"{path} cannot be read: it is not utf-8 text; save it as utf-8") from None
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        reason = getattr(problem, "problem", None) or "not valid yaml"
        raise error(f"{path}{line}: {reason}; mend the yaml") from None
    except ValueError as problem:
        raise error(f"{path}: {problem}; mend the value, or put it in quotes if it is text") from None
    if not isinstance(document, dict):
        raise error(f"{path} must hold a mapping of keys to values, not {_type_name(document)}")
    return document


def validate(
    cls: type[SettingsT], document: Mapping[str, Any], *, source: str, error: type[PlexrankError]
) -> SettingsT:
    """Build settings from a plain mapping, as parsed from yaml or json.

    Args:
        cls: Settings class to build.
        document: The mapping.
        source: Where it came from, for the message.
        error: Class of the error to raise.

    Returns:
        The validated object.

    Raises:
        PlexrankError: Of class ``error``, one sentence about the first thing that is wrong.
    """
    try:
        # Through json, so that strict mode still takes a list for a tuple and an int for a float.
        return cls.model_validate_json(json.dumps(document, default=str))
    except ValidationError as problem:
        raise error(f"{source}: {_explain(cls, problem)}") from None
    except ValueError as problem:
        raise error(f"{source}: {problem}") from None


def dotted(location: tuple[int | str, ...]) -> str:
    """Write a path into a document the way people do: ``features[2].name``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _explain(cls: type[BaseModel], problem: ValidationError) -> str:
    """Say the first validation error as one sentence.

    An unknown key goes first: a misspelt one that must be there is reported as missing too.
    """
    errors = problem.errors(include_url=False)
    first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    kind, location = first["type"], first["loc"]
    path = _path_without_tags(cls, location)
    where = dotted(path)
    if kind == "extra_forbidden":
        *parents, key = path
        inside = f" in {dotted(tuple(parents))}" if parents else ""
        known = _fields_at(cls, location[:-1])
        return f"unknown key {str(key)!r}{inside}; {did_you_mean(str(key), known)}"
    if kind == "missing":
        return f"{where} is missing; add it"
    if kind == "value_error":
        reason = str(first["ctx"]["error"])
        return f"{where}: {reason}" if where else reason
    if kind == "union_tag_invalid":
        context = first["ctx"]
        tag, expected = context["tag"], context["expected_tags"]
        key = str(context["discriminator"]).strip("'")
        return f"{where}: {key} {tag!r} is unknown; known: {expected}"
    if kind == "union_tag_not_found":
        return f"{where}: {first['ctx']['discriminator']!s} is missing; add it"
    # Of a union every member complains on its own.
    alike = [error["msg"] for error in errors if _path_without_tags(cls, error["loc"]) == path]
    message = " or ".join(dict.fromkeys(text[0].lower() + text[1:] for text in alike))
    return f"{where}: {message}, got {json.dumps(first['input'], default=str)[:80]}"


def _path_without_tags(cls: type[BaseModel], location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Drop the parts of a pydantic location that name a member of a union, not a key."""
    kept: list[int | str] = []
    current: list[type[BaseModel]] = [cls]
    for part in location:
        if isinstance(part, str) and not any(part in c.model_fields for c in current):
            members = [c for c in current if _tag_of(c) == part]
            if members:
                current = members
                continue
            if not current and kept and _MEMBER.fullmatch(part):
                continue
        kept.append(part)
        if isinstance(part, str):
            current = _models_in([c.model_fields[part] for c in current if part in c.model_fields])
    return tuple(kept)


def _fields_at(cls: type[BaseModel], location: tuple[int | str, ...]) -> set[str]:
    """Names of the fields that the settings at a location have."""
    current: list[type[BaseModel]] = [cls]
    for part in location:
        if isinstance(part, int):
            continue
        tagged = [c for c in current if _tag_of(c) == part]
        fields = [c.model_fields[part] for c in current if part in c.model_fields]
        if tagged or fields:  # else the part is a key of a mapping
            current = tagged or _models_in(fields)
    return {name for c in current for name in c.model_fields}


def _tag_of(cls: type[BaseModel]) -> str | None:
    """The literal that names a member of a tagged union (its ``kind`` or ``method``)."""
    field = cls.model_fields.get("kind") or cls.model_fields.get("method")
    values = get_args(field.annotation) if field else ()
    return str(values[0]) if len(values) == 1 else None


def _models_in(annotations: list[Any]) -> list[type[BaseModel]]:
    """Settings classes that occur anywhere inside some annotations."""
    found: list[type[BaseModel]] = []
    pending = [getattr(a, "annotation", a) for a in annotations]
    while pending:
        annotation = pending.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found.append(annotation)
        else:
            pending.extend(get_args(annotation))
    return found


def _type_name(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
