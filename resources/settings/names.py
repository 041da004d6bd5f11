"""The names of settings: `kafka.sasl.password` in a file is `SLUICE_KAFKA_SASL_PASSWORD` in the environment."""

from resources.errors import did_you_mean
from resources.settings.errors import SettingsError
from resources.settings.values import SCALARS

PREFIX = "SLUICE_"
GROUPS = ("kafka", "registry", "warehouse")
# The only property of librdkafka whose name has an underscore.
_UNDERSCORED = {"log_level"}
# Variables that are read elsewhere, or by the test suite.
FOREIGN = {"SLUICE_COMPILED", "SLUICE_REQUIRE_SERVERS", "SLUICE_TOML"}


def property_name(group: str, rest: str) -> str:
    """The name of a property in a variable's name: its underscores are dots, except in names that have an underscore."""
    if group == "warehouse" or rest in _UNDERSCORED:
        return rest
    return rest.replace("_", ".")


def unknown_setting(where: str, name: str) -> SettingsError:
    """The error for a name that is no setting: a variable, or a key of the settings file."""
    options = [f"{PREFIX}{n.upper()}" for n in SCALARS] if name.startswith(PREFIX) else list(SCALARS)
    groups = "SLUICE_KAFKA_…, SLUICE_REGISTRY_…, SLUICE_WAREHOUSE_…"
    return SettingsError(
        where,
        f"unknown setting {name}.{did_you_mean(name, options)}",
        allowed=f"{', '.join(options)}; and {groups}",
    )
