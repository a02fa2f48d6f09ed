"""JSON Schemas of Python types, in the strict form that providers enforce."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

import msgspec

__all__ = ["TypeFormat", "TypeSchema", "is_closed", "is_model", "schema_of", "strict_schema"]

_JSONObject = dict[str, Any]

_DEFINITIONS = "#/$defs/"
_WRAPPED = "value"
_LIST = "items"


class TypeSchema(msgspec.Struct, frozen=True):
    """The JSON Schema of a type.

    Attributes:
        name: Name of the schema.
        schema: The schema, whose root is an object.
        description: Purpose, from the docstring of the type; None if it has none of its own.
        wrapped: Member of the root object that holds the value, for a type whose schema is no object; None if the
            object is the value.
        plain: The schema of the type as it is, in which members with a default are not required.
    """

    name: str
    schema: Mapping[str, Any]
    description: str | None = None
    wrapped: str | None = None
    plain: Mapping[str, Any] = {}

    def without_absent(self, value: Any) -> Any:
        """Return a value of the strict schema without the nulls that stand for a default."""
        return _without_absent(value, self.plain, self.plain.get("$defs", {}))

    def element_without_absent(self, value: Any, path: Sequence[str]) -> Any:
        """Return an element of the list at a path without the nulls that stand for a default."""
        definitions, schema = self.plain.get("$defs", {}), self.plain
        for name in path:
            schema = _resolved(_resolved(schema, definitions).get("properties", {}).get(name, {}), definitions)
        return _without_absent(value, _resolved(schema, definitions).get("items"), definitions)


def _resolved(schema: Any, definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema, or the one that it refers to."""
    if isinstance(schema, Mapping) and isinstance(reference := schema.get("$ref"), str):
        schema = definitions.get(reference.removeprefix(_DEFINITIONS))
    return schema if isinstance(schema, Mapping) else {}


TypeFormat = Any
"""A type as users write it: a msgspec Struct, a dataclass, a TypedDict, a pydantic model, or ``list[…]`` of one."""


def is_model(kind: object) -> bool:
    """Return whether a type is a pydantic model, by the methods that it has."""
    return hasattr(kind, "model_json_schema") and hasattr(kind, "model_validate")


def schema_of(kind: TypeFormat) -> TypeSchema:
    """Return the JSON Schema of a type in strict form.

    Raises:
        TypeError: The type has no JSON Schema.
    """
    plain = _unrolled(_plain_schema(kind))
    wrapped = None
    if plain.get("type") != "object":
        wrapped = _LIST if _is_list(kind) else _WRAPPED
        definitions = plain.pop("$defs", {})
        plain = {"type": "object", "properties": {wrapped: plain}, "required": [wrapped], "$defs": definitions}
    used = _used_definitions(plain)
    plain = {name: value for name, value in plain.items() if name != "$defs"} | ({"$defs": used} if used else {})
    return TypeSchema(_name_of(kind), strict_schema(plain), _description_of(kind), wrapped, plain)


def _used_definitions(schema: _JSONObject) -> _JSONObject:
    """Return the definitions that the schema refers to, directly or through others."""
    definitions, used = schema.get("$defs", {}), {}
    waiting = [{name: value for name, value in schema.items() if name != "$defs"}]
    while waiting:
        for name in _references_in(waiting.pop()):
            if name in definitions and name not in used:
                used[name] = definitions[name]
                waiting.append(definitions[name])
    return used


def _references_in(schema: object) -> set[str]:
    if isinstance(schema, Mapping):
        here = schema.get("$ref")
        own = {here.removeprefix(_DEFINITIONS)} if isinstance(here, str) else set()
        return own.union(*map(_references_in, schema.values()))
    return set().union(*map(_references_in, schema)) if isinstance(schema, list) else set()


def _without_absent(value: Any, schema: Any, definitions: Mapping[str, Any]) -> Any:
    if not isinstance(schema, Mapping):
        return value
    if isinstance(reference := schema.get("$ref"), str):
        schema = definitions.get(reference.removeprefix(_DEFINITIONS), {})
    if isinstance(value, list):
        return [_without_absent(each, schema.get("items"), definitions) for each in value]
    if not isinstance(value, dict):
        return value
    for option in schema.get("anyOf", ()):
        value = _without_absent(value, option, definitions)
    members, required = schema.get("properties", {}), schema.get("required", ())
    return {
        name: _without_absent(each, members.get(name), definitions)
        for name, each in value.items()
        if not (each is None and name in members and name not in required and not _accepts_null(members[name]))
    }


def _accepts_null(schema: Any) -> bool:
    if not isinstance(schema, Mapping):
        return True
    kind = schema.get("type")
    return (
        kind == "null"
        or (isinstance(kind, list) and "null" in kind)
        or any(map(_accepts_null, schema.get("anyOf", ())))
    )


def _plain_schema(kind: TypeFormat) -> _JSONObject:
    if is_model(kind):
        found: _JSONObject = kind.model_json_schema()
        return found
    if _is_list(kind) and is_model(get_args(kind)[0]):
        items = dict(_unrolled(_plain_schema(get_args(kind)[0])))
        return {"type": "array", "$defs": items.pop("$defs", {}), "items": items}
    try:
        return msgspec.json.schema(kind, ref_template="#/$defs/{name}")
    except TypeError as error:
        raise TypeError(f"{_name_of(kind)} has no JSON Schema: {error}") from error


def _unrolled(schema: _JSONObject) -> _JSONObject:
    """Return a schema whose root is no reference: several providers refuse one."""
    definitions = schema.get("$defs", {})
    seen: set[str] = set()
    root = dict(schema)
    while isinstance(reference := root.get("$ref"), str) and reference not in seen:
        seen.add(reference)
        target = definitions.get(reference.removeprefix(_DEFINITIONS))
        if target is None:
            break
        root = {**{name: value for name, value in root.items() if name != "$ref"}, **target}
    return root


def strict_schema(schema: Any) -> Any:
    """Return a schema in which every object has all of its members and no others.

    A member that is not required accepts null as well.
    """
    if isinstance(schema, list):
        return [strict_schema(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    strict = {name: _strict_keyword(name, value) for name, value in schema.items() if name != "default"}
    members = strict.get("properties")
    if strict.get("type") == "object" and isinstance(members, dict):
        required = set(schema.get("required", ()))
        strict["properties"] = {
            name: member if name in required else _nullable(member) for name, member in members.items()
        }
        strict |= {"required": list(members), "additionalProperties": False}
    return strict


def is_closed(schema: Any) -> bool:
    """Return True if every object of a schema lists its members, and accepts no others."""
    if isinstance(schema, list):
        return all(map(is_closed, schema))
    if not isinstance(schema, Mapping):
        return True
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        return False
    inner = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    return all(map(is_closed, (*inner, *(schema.get(name, []) for name in _INNER))))


_INNER = ("items", "anyOf", "allOf", "oneOf", "prefixItems")


def _strict_keyword(name: str, value: Any) -> Any:
    if name in {"properties", "$defs"} and isinstance(value, Mapping):
        return {key: strict_schema(each) for key, each in value.items()}
    return strict_schema(value) if name in _INNER else value


def _nullable(schema: Any) -> Any:
    if isinstance(schema, Mapping) and schema.get("type") == "null":
        return schema
    known = schema.get("anyOf") if isinstance(schema, Mapping) and set(schema) == {"anyOf"} else None
    either = list(known) if isinstance(known, list) else [schema]
    return {"anyOf": either if {"type": "null"} in either else [*either, {"type": "null"}]}


def _is_list(kind: TypeFormat) -> bool:
    origin: object = get_origin(kind)
    return origin is list


def _name_of(kind: TypeFormat) -> str:
    if _is_list(kind):
        inner = getattr(kind, "__args__", (None,))[0]
        return f"{_name_of(inner)}_list"
    name = getattr(kind, "__name__", None) or str(kind)
    return "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in name)[:64]


def _description_of(kind: TypeFormat) -> str | None:
    text = kind.__dict__.get("__doc__") if inspect.isclass(kind) else None
    if not text or text.startswith(f"{getattr(kind, '__name__', '')}("):  # that of a dataclass lists its fields
        return None
    return inspect.cleandoc(text)
