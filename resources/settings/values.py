"""The settings that have a single value: default, meaning, and allowed values."""

import re

from resources.settings.errors import SettingsError

GROUP_ACCESS = ("none", "read", "write")
_SWITCHES = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

# name -> (default, meaning); the page docs/settings.md has the same, with examples.
SCALARS: dict[str, tuple[str | bool | int, str]] = {
    "home": ("", "folder of local state: Dagster's home, embedded servers, sample warehouse"),
    "assets": ("", "folder of the event modules"),
    "samples": (
        "auto",
        "whether the sample events of Sluice's own tree are loaded: true, false, or auto: only over the sample warehouse",
    ),
    "snapshots": ("", "folder or fsspec URL that keeps the snapshots"),
    "code_location": ("sluice", "part of every transactional.id; two installations on one Kafka must differ"),
    "topic_prefix": ("", "begins the name of every topic that Sluice uses, where several share a cluster"),
    "ledger_topic": ("sluice.ledger", "the compacted topic that records every publication"),
    "ledger_partitions": (16, "fixed when the ledger topic is created; never changed afterwards"),
    "create_topics": (False, "create missing topics instead of naming the command to run"),
    "topic_partitions": (3, "partitions of a topic created by Sluice"),
    "replication_factor": (0, "replicas of a topic created by Sluice; 0: the brokers' own default"),
    "register_contracts": (False, "register a new contract at publish, when it is compatible"),
    "batch_rows": (32768, "rows a step holds at a time"),
    "transaction_seconds": (2, "longest time between two commits while publishing"),
    "transaction_rows": (1_000_000, "most rows between two commits while publishing"),
    "max_rows_per_second": (0, "most rows that a run publishes per second; 0: no limit"),
    "max_bytes_per_second": (
        0,
        "most bytes, before compression, that a run publishes per second; 0: no limit",
    ),
    "producing": ("auto", "how records reach the client: auto, native or public"),
    "reconcile": (True, "read back what a run published and compare it with the snapshot"),
    "max_dead_letters": (
        10000,
        "dead letters of a window kept with row and value; of the others place and reason are",
    ),
    "memory_limit": ("128MB", "memory of the embedded query engine; beyond it spills to disk"),
    "group_access": (
        "none",
        "what the user's group may do with the files that Sluice makes: none, read or write",
    ),
    "embedded_servers": (
        True,
        "use the servers that `sluice up` started, where no Kafka is set; an environment uses them only if it says so",
    ),
    "policy": ("", "file of the rules that events must meet"),
    "ui_hosts": (
        "",
        "host names under which the web server is opened, besides localhost and its own address",
    ),
}
# The most that Kafka's protocol (int32, int16) and the rows of an Arrow batch (int64) can hold.
_MOST = {
    "replication_factor": 32_767,
    "ledger_partitions": 2**31 - 1,
    "topic_partitions": 2**31 - 1,
    "batch_rows": 2**31 - 1,
}
_MOST_OF_ANY = 2**63 - 1
_LONGEST_TOPIC = 249
# Kafka's own rule for the name of a topic; a transactional.id is text in one line.
_TEXTS = {
    "topic_prefix": (
        r"[A-Za-z0-9._-]{0,100}",
        "at most 100 letters, digits, '.', '_' and '-', such as 'stage.'",
    ),
    "samples": (r"auto|true|false", "auto, true or false"),
    "ledger_topic": (
        rf"(?!\.{{1,2}}$)[A-Za-z0-9._-]{{1,{_LONGEST_TOPIC}}}",
        f"at most {_LONGEST_TOPIC} letters, digits, '.', '_' and '-', as Kafka has it",
    ),
    "code_location": (r"[^\x00-\x1f\x7f\ud800-\udfff]{0,1000}", "at most 1,000 characters in one line"),
}


def typed_value(where: str, name: str, setting: str, value: str) -> str | bool | int:
    """`value` in the type of `setting`; `name` is how the user wrote it. Raises
    SettingsError with the allowed values."""
    default = SCALARS[setting][0]
    if isinstance(default, bool):
        if value.lower() not in _SWITCHES:
            raise SettingsError(where, f"{name}={value!r} is not a switch", allowed="true or false")
        return _SWITCHES[value.lower()]
    if isinstance(default, int):
        least, most = min(default, 1), _MOST.get(setting, _MOST_OF_ANY)
        # Compare the number of digits first: Python refuses to read a number of more than 4,300 digits.
        digits = value.lstrip("0") or "0"
        whole = re.fullmatch("[0-9]+", value) is not None
        if whole and (len(digits) > len(str(most)) or int(digits) > most):
            shown = value if len(value) <= 20 else f"{value[:20]}..."
            raise SettingsError(where, f"{name}={shown!r} is too large", allowed=f"at most {most:,}")
        if not whole or int(digits) < least:
            raise SettingsError(where, f"{name}={value!r} is not a whole number{' above 0' if least else ''}")
        return int(digits)
    pattern, allowed = _TEXTS.get(setting, (None, ""))
    if pattern and not re.fullmatch(pattern, value):
        raise SettingsError(where, f"{name}={value[:40]!r} cannot be used", allowed=allowed)
    return value


def require_topic(prefix: str, ledger_topic: str) -> None:
    """Raise SettingsError if the name of the ledger's topic, with the prefix, is too long for Kafka."""
    if len(prefix) + len(ledger_topic) > _LONGEST_TOPIC:
        raise SettingsError(
            "settings",
            f"ledger_topic={ledger_topic[:40]!r} with topic_prefix={prefix!r} has {len(prefix) + len(ledger_topic)} "
            "characters",
            allowed=f"at most {_LONGEST_TOPIC}, Kafka's limit",
        )
