"""What an event module imports: `from pipelines import daily, event`.

Importing this package stays cheap (neither Dagster, pandas, DuckDB, Kafka nor sqlglot is loaded), so that the
command line answers at once and an event module can be imported in a unit test by itself.
"""

import sys
from pathlib import Path

# The three packages have common names. Whoever imports this one (a script in bin/, a test, Dagster) gets the
# `resources` and `assets` beside it, not a stranger's from site-packages.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipelines.authoring.agreements.names import Tag
from pipelines.authoring.agreements.promise import Promise, promise
from pipelines.authoring.agreements.topic_settings import TopicSettings, topic
from pipelines.authoring.catalogue import Catalogue, CatalogueError
from pipelines.authoring.declaration import EventDeclaration, event
from pipelines.authoring.event import Event
from pipelines.authoring.limits import limits
from pipelines.authoring.loading.discovery import load_catalogue
from pipelines.authoring.problems import DeclarationError, DeclarationProblem
from pipelines.authoring.sql.source_sql import SourceQuery
from pipelines.authoring.window_declaration import daily, hourly, monthly, weekly
from pipelines.authoring.windows import Window, WindowError, Windows

__all__ = [
    "Catalogue",
    "CatalogueError",
    "DeclarationError",
    "DeclarationProblem",
    "Event",
    "EventDeclaration",
    "Promise",
    "SourceQuery",
    "Tag",
    "TopicSettings",
    "Window",
    "WindowError",
    "Windows",
    "daily",
    "event",
    "hourly",
    "limits",
    "load_catalogue",
    "monthly",
    "promise",
    "topic",
    "weekly",
]
