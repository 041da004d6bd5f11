"""Finds the events of an `assets/` tree.
There is no registration: every module in the tree is in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from pipelines.authoring.catalogue import Catalogue, CatalogueError
from pipelines.authoring.event import Event
from pipelines.authoring.loading.garbage_collection import collection_paused, keep, let_go
from pipelines.authoring.loading.layout import Survey, survey
from pipelines.authoring.loading.module_import import tree_as_package
from pipelines.authoring.problems import DeclarationProblem
from pipelines.authoring.samples import samples_left_out
from pipelines.authoring.topics import LONGEST_TOPIC, TopicClaim, collision_key
from resources.settings import assets_folder


def load_catalogue(
    assets_root: Path | None = None,
    *,
    dialects: Mapping[str, str] | None = None,
    topic_prefix: str = "",
) -> Catalogue:
    """Import and check every event module below `assets_root` (default: the folder that the settings
    name; without the samples, if they are not in use).

    `dialects` maps a warehouse's name to sqlglot's name of its SQL; a warehouse that is not in it has
    DuckDB's. `topic_prefix`, from the settings, is the start of every topic of the catalogue; nothing else of
    an event depends on it. Reads only those files; connects to no warehouse, broker or registry.
    Raises `CatalogueError` with every mistake of every module, file by file; its `healthy` holds the other events.
    """
    root = (assets_root or assets_folder()).resolve()
    found = survey(root)
    left_out = frozenset() if assets_root else samples_left_out(root)
    found.modules = [path for path in found.modules if f"{path.parent.name}/{path.stem}" not in left_out]
    let_go(len(found.modules))
    with collection_paused():
        catalogue = _loaded(root, found, dialects or {}, topic_prefix, left_out, own=assets_root is None)
        keep(len(found.modules))
    return catalogue


def _loaded(
    root: Path,
    found: Survey,
    dialects: Mapping[str, str],
    topic_prefix: str,
    samples_left_out: frozenset[str],
    *,
    own: bool,
) -> Catalogue:
    # Imported here: these modules import sqlglot and pyarrow, and `import pipelines` must not wait for them.
    from pipelines.authoring.loading.resolution import Resolver

    problems = list(found.problems)
    warnings: list[DeclarationProblem] = []
    events: list[Event] = []
    refused: dict[str, tuple[DeclarationProblem, ...]] = {}
    with tree_as_package(root, stays=own):
        resolver = Resolver(root, dialects)
        for path in found.modules:
            resolution = resolver.resolve(path)
            problems += resolution.problems
            warnings += resolution.warnings
            if resolution.event is not None:
                events.append(resolution.event)
            elif resolution.problems:
                refused[f"{path.parent.name}/{path.stem}"] = tuple(resolution.problems)
    for name, problem in [*shared_topics(resolver.topics), *too_long(resolver.topics, topic_prefix)]:
        problems.append(problem)
        refused[name] = (*refused.get(name, ()), problem)
    healthy = {
        event.full_name: replace(event, topic=f"{topic_prefix}{event.topic}", topic_prefix=topic_prefix)
        for event in events
        if event.full_name not in refused
    }
    catalogue = Catalogue(
        MappingProxyType(healthy), root, tuple(warnings), MappingProxyType(refused), samples_left_out
    )
    if problems:
        unique = dict.fromkeys(problems)  # a failing helper is one mistake, however many modules import it
        raise CatalogueError(sorted(unique, key=lambda problem: (problem.file, problem.line or 0)), catalogue)
    return catalogue


def shared_topics(topics: Sequence[TopicClaim]) -> list[tuple[str, DeclarationProblem]]:
    """Topics claimed twice, or that Kafka treats as the same:
    one problem for each claiming module, by its event's name."""
    claims: dict[str, list[TopicClaim]] = {}
    for claim in topics:
        claims.setdefault(collision_key(claim.topic), []).append(claim)
    return [
        (claim.event, _shared(claim, rival))
        for rivals in claims.values()
        for claim in rivals
        for rival in [rival for rival in rivals if rival.event != claim.event][:1]
    ]


def too_long(topics: Sequence[TopicClaim], topic_prefix: str) -> list[tuple[str, DeclarationProblem]]:
    """Topics that are too long for Kafka only because of the prefix in the settings."""
    return [
        (
            claim.event,
            DeclarationProblem(
                claim.file,
                claim.line,
                f"topic={claim.topic!r} with topic_prefix={topic_prefix!r} of the settings has "
                f"{len(topic_prefix) + len(claim.topic)} characters",
                f"at most {LONGEST_TOPIC}, Kafka's limit",
                "shorten the topic or the prefix",
            ),
        )
        for claim in topics
        if len(claim.topic) <= LONGEST_TOPIC < len(topic_prefix) + len(claim.topic)
    ]


def _shared(claim: TopicClaim, rival: TopicClaim) -> DeclarationProblem:
    at = f"{rival.file}:{rival.line}"
    if claim.topic == rival.topic:
        problem = f"topic={claim.topic!r} is also the topic of {at}"
    else:
        problem = f"topic={claim.topic!r} and {rival.topic!r} of {at} differ only in '.' and '_', which Kafka refuses"
    return DeclarationProblem(
        claim.file, claim.line, problem, "a topic of its own for every event", "rename one of the two"
    )
