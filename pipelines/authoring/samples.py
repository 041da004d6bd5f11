"""The sample events of Sluice's own tree: for a first try with the sample warehouse."""

from pathlib import Path

from resources.settings import ROOT, SettingsError, load_settings, variable

SAMPLES = frozenset(
    {
        "flights/aircraft_week_flown",
        "flights/carrier_day_closed",
        "flights/flight_arrived",
        "flights/flight_cancelled",
        "flights/flight_departed",
        "weather/category_changed",
        "weather/month_closed",
        "weather/weather_observed",
    }
)


def to_get_them() -> str:
    """How a user turns the samples on, in the selected environment."""
    return f"{variable('samples')}=true, or samples = true in sluice.toml"


def why_left_out() -> str:
    """The setting because of which the samples are not loaded."""
    settings = load_settings()
    if settings.samples == "false":
        return f"samples is false ({settings.origin('samples')})"
    return "warehouse.default is not the sample warehouse"


def samples_left_out(assets_root: Path) -> frozenset[str]:
    """The names of events below `assets_root` that are not loaded: the samples, if the settings leave them
    out."""
    if assets_root != (ROOT / "assets").resolve():
        return frozenset()  # an event in another folder with the name of a sample is not a sample
    try:
        return frozenset() if load_settings().samples_in_use else SAMPLES
    except SettingsError:  # the code that needs the settings reports it
        return frozenset()
