"""Environments that would write to the same place."""

from collections.abc import Iterator, Mapping
from itertools import combinations

from resources.settings.settings import Settings


def shared_places(environments: Mapping[str, Settings]) -> Iterator[tuple[str, str]]:
    """For each place that two environments share and must not share: what is wrong, and what to do."""
    for (one, first), (other, second) in combinations(environments.items(), 2):
        both = f"environments {one} and {other}"
        brokers = sorted(_brokers(first) & _brokers(second))
        if brokers and first.topic_prefix == second.topic_prefix:
            prefix = f"topic_prefix {first.topic_prefix!r}" if first.topic_prefix else "no topic_prefix"
            yield (
                f"{both} both use the brokers {', '.join(brokers)} with {prefix}: they publish to the same topics",
                f'set topic_prefix, for example topic_prefix = "{other}." below [env.{other}]',
            )
        if first.snapshots == second.snapshots:
            yield f"{both} keep their snapshots in one place", f"set snapshots below [env.{other}]"
        if first.home == second.home:
            yield (
                f"{both} have one home, so Dagster shows the windows of both as one",
                f"set home below [env.{other}]",
            )


def _brokers(settings: Settings) -> set[str]:
    servers = settings.kafka.get("bootstrap.servers", "").lower().split(",")
    found = {server.strip().rpartition("://")[2] for server in servers}
    return {server.replace("localhost:", "127.0.0.1:") for server in found if server}
