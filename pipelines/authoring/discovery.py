"""Finds the events of an `assets/` tree. Nothing is registered anywhere: a module that lies there is in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pipelines.authoring.catalogue import Catalogue
from pipelines.authoring.event import Event
from pipelines.authoring.layout import survey
from pipelines.authoring.module_import import PACKAGE, application_root, tree_as_package
from pipelines.authoring.problems import CatalogueError, DeclarationProblem
from pipelines.authoring.topics import collision_key


def load_catalogue(
    assets_root: Path | None = None, *, dialects: Mapping[str, str] | None = None
) -> Catalogue:
    """Import and check every event module below `assets_root` (default: the application's `assets/`).

    `dialects` maps a warehouse's name to sqlglot's name of its SQL; DuckDB's where it is not named.
    Reads only those files; touches no warehouse, broker or registry.
    Raises `CatalogueError` with every mistake of every module, file by file; its `healthy` holds the other events.
    """
    # Imported here: these need sqlglot and pyarrow, which `import pipelines` must not wait for.
    from pipelines.authoring.resolution import Resolver

    root = (assets_root or application_root() / PACKAGE).resolve()
    found = survey(root)
    problems = list(found.problems)
    warnings: list[DeclarationProblem] = []
    events: list[tuple[Event, int]] = []
    with tree_as_package(root):
        resolver = Resolver(root, dialects or {})
        for path in found.modules:
            resolution = resolver.resolve(path)
            problems += resolution.problems
            warnings += resolution.warnings
            if resolution.event is not None:
                events.append((resolution.event, resolution.topic_line))
        shared = _shared_topics(resolver.topics)
    problems += shared
    wrong = {problem.file for problem in problems}
    healthy = {
        event.full_name: event
        for event, _ in events
        if f"{PACKAGE}/{event.domain}/{event.name}.py" not in wrong
    }
    catalogue = Catalogue(MappingProxyType(healthy), root, tuple(warnings))
    if problems:
        unique = dict.fromkeys(problems)  # a broken helper is one mistake, however many modules import it
        raise CatalogueError(sorted(unique, key=lambda problem: (problem.file, problem.line or 0)), catalogue)
    return catalogue


def _shared_topics(topics: list[tuple[str, str, int | None]]) -> list[DeclarationProblem]:
    """Topics claimed twice, or that Kafka takes for the same; told to both modules. `topics`: name, file, line."""
    claims: dict[str, list[tuple[str, str, int | None]]] = {}
    for claim in topics:
        claims.setdefault(collision_key(claim[0]), []).append(claim)
    problems = []
    for rivals in claims.values():
        for topic, file, line in rivals:
            others = [rival for rival in rivals if rival[1] != file]
            if not others:
                continue
            other_topic, other_file, other_line = others[0]
            at = other_file if other_line is None else f"{other_file}:{other_line}"
            same = f"topic={topic!r} is also the topic of {at}"
            collides = (
                f"topic={topic!r} and {other_topic!r} of {at} differ only in '.' and '_', which Kafka refuses"
            )
            problems.append(
                DeclarationProblem(
                    file,
                    line,
                    same if topic == other_topic else collides,
                    "one topic for one event",
                    "rename one of the two",
                )
            )
    return problems
