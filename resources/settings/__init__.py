"""The addresses of the outside world: read from the environment, then
`sluice.toml`, then the embedded servers.

A setting `kafka.sasl.password` is `SLUICE_KAFKA_SASL_PASSWORD` in the environment, or `"sasl.password" = ...`
below `[kafka]` in `sluice.toml`; the environment wins. A relative folder is relative to the file that names
it; in the environment, it is relative to the working directory. Every property of librdkafka and of the
schema registry client is passed on unchanged, so SASL, TLS and OAuth need no code here. An import reads
nothing. Secrets in the values are learned before anything else happens (`resources.security.secrets`), and a
printed value never contains them.
"""

from resources.settings.errors import SettingsError
from resources.settings.files import ROOT
from resources.settings.loading import load_settings, settings_of_environments
from resources.settings.names import variable
from resources.settings.private_places import PrivatePlaces, private_places
from resources.settings.project import Project, assets_folder, find_project
from resources.settings.settings import Settings
from resources.settings.sharing import shared_places

__all__ = [
    "ROOT",
    "PrivatePlaces",
    "Project",
    "Settings",
    "SettingsError",
    "assets_folder",
    "find_project",
    "load_settings",
    "private_places",
    "settings_of_environments",
    "shared_places",
    "variable",
]
