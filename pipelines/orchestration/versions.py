"""The versions of an asset and of its inputs, by which Dagster sees what is out of date."""

from collections.abc import Mapping

import dagster as dg

from pipelines.authoring.event import Event
from pipelines.dagster_private import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    INPUT_DATA_VERSION_TAG_PREFIX,
    INPUT_EVENT_POINTER_TAG_PREFIX,
)
from pipelines.orchestration.keys import table_key

NOWHERE = "NULL"
"""Dagster's text for a pointer to an input that has no materialization."""


def tables_read(event: Event) -> Mapping[dg.AssetKey, str]:
    """The tables of the event's query, with their version.
    Nobody observes the tables, so it is Dagster's initial version."""
    return {table_key(event.warehouse, table): "INITIAL" for table in event.source.tables}


def pointer_tag(upstream: dg.AssetKey) -> str:
    """The tag that names the materialization of `upstream` that was read."""
    return f"{INPUT_EVENT_POINTER_TAG_PREFIX}/{upstream.to_user_string()}"


def version_tags(code_version: str, sha256: str, inputs: Mapping[dg.AssetKey, str]) -> dict[str, str]:
    """Tags of a materialization. Its data version is the hash of its snapshot. An explicit materialization
    carries only the input versions that it is given. The pointers into the log stay empty; the caller may set
    them."""
    tags = {
        DATA_VERSION_TAG: sha256,
        DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
        CODE_VERSION_TAG: code_version,
    }
    for key, version in inputs.items():
        tags[f"{INPUT_DATA_VERSION_TAG_PREFIX}/{key.to_user_string()}"] = version
        tags[pointer_tag(key)] = NOWHERE
    return tags
