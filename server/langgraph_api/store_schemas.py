"""The shapes of the store's door."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields

__all__ = ["DeleteItem", "FoundItems", "GetItem", "ItemShape", "ListNamespaces", "NamespacesShape", "PutItem", "SearchItems"]


class Lenient(Schema):
    """A request whose unknown fields are passed over."""

    class Meta:
        unknown = EXCLUDE


def _labels(text: str, **options: Any) -> fields.List:
    return fields.List(fields.String(), metadata={"description": text}, **options)


def _number(**options: Any) -> fields.Integer:
    return fields.Integer(strict=True, load_default=None, allow_none=True, **options)


def _index(value: Any) -> None:
    if value is not False and not (isinstance(value, list) and all(isinstance(each, str) for each in value)):
        raise ValidationError("Not false and no list of paths.")


class PutItem(Lenient):
    """What is to be remembered, and where."""

    namespace = _labels("The labels of the namespace, none of them empty or with a full stop.", required=True)
    key = fields.String(required=True, metadata={"description": "The key within the namespace."})
    value = fields.Dict(keys=fields.String(), required=True, metadata={"description": "Any JSON object."})
    index = fields.Raw(
        load_default=None,
        allow_none=True,
        validate=_index,
        metadata={"description": "false, or the paths of what is found by meaning; without it those of the configuration."},
    )
    ttl = fields.Float(
        load_default=None, allow_none=True, metadata={"description": "Minutes to live; without it as the configuration says."}
    )


class GetItem(Lenient):
    """Which item."""

    namespace = fields.String(load_default="", metadata={"description": "The labels, joined by full stops."})
    key = fields.String(load_default="", metadata={"description": "The key within the namespace."})
    refresh_ttl = fields.Boolean(load_default=None, allow_none=True, metadata={"description": "Whether its time to live begins anew."})


class DeleteItem(Lenient):
    """Which item."""

    namespace = _labels("The labels of the namespace.", load_default=list, allow_none=True)
    key = fields.String(required=True, metadata={"description": "The key within the namespace."})


class SearchItems(Lenient):
    """Which items."""

    namespace_prefix = _labels("The first labels of the namespaces; without any, all.", load_default=list, allow_none=True)
    filter = fields.Dict(
        keys=fields.String(),
        load_default=None,
        allow_none=True,
        metadata={"description": "Field to value, or to `$eq`, `$ne`, `$gt`, `$gte`, `$lt`, `$lte` and a value."},
    )
    limit = _number(metadata={"description": "At most 1,000; 10 without it."})
    offset = _number(metadata={"description": "How many to skip."})
    query = fields.String(load_default=None, allow_none=True, metadata={"description": "What the items are to be about."})
    refresh_ttl = fields.Boolean(load_default=None, allow_none=True, metadata={"description": "Whether their time to live begins anew."})


class ListNamespaces(Lenient):
    """Which namespaces."""

    prefix = _labels("What they begin with; `*` is any label.", load_default=None, allow_none=True)
    suffix = _labels("What they end with; `*` is any label.", load_default=None, allow_none=True)
    max_depth = _number(metadata={"description": "How many labels are told of each."})
    limit = _number(metadata={"description": "At most 1,000; 100 without it."})
    offset = _number(metadata={"description": "How many to skip."})


class ItemShape(Schema):
    """An item; null where there is none."""

    namespace = fields.List(fields.String())
    key = fields.String()
    value = fields.Dict()
    created_at = fields.DateTime()
    updated_at = fields.DateTime()
    ttl = fields.Float(metadata={"description": "Minutes to live; only where the item does not live for ever."})
    expires_at = fields.DateTime(metadata={"description": "When it will be gone; only where the item does not live for ever."})


class FoundItem(ItemShape):
    """An item that was found."""

    score = fields.Float(allow_none=True, metadata={"description": "How near it is to the query, 1 at most; null without one."})


class FoundItems(Schema):
    """What was found."""

    items = fields.List(fields.Nested(FoundItem))


class NamespacesShape(Schema):
    """The namespaces that hold items."""

    namespaces = fields.List(fields.List(fields.String()))
