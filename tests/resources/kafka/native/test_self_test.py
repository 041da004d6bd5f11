"""Which way is used: the native one only if a trial shows that it works; otherwise the reason is reported."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import confluent_kafka
import numpy as np
import pytest
from confluent_kafka import cimpl

from resources.kafka import factory as clients
from resources.kafka.batches.deliveries import Deliveries
from resources.kafka.errors import KafkaRefused
from resources.kafka.factory import transactional_client
from resources.kafka.native import library as native_library
from resources.kafka.native import producer as native
from resources.kafka.native import self_test as native_check
from resources.kafka.native.library import Library, NativeUnavailable
from resources.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    """Makes the process forget the result of its trial."""
    caches = (native_library.library, native_check.native_library, clients._say_once)
    for remembered in caches:
        remembered.cache_clear()
    yield
    for remembered in caches:
        remembered.cache_clear()


def settings(tmp_path: Path, producing: str, **kafka: str) -> Settings:
    found = load_settings({"SLUICE_HOME": str(tmp_path), "SLUICE_PRODUCING": producing})
    more = {name.replace("_", "."): value for name, value in kafka.items()}
    return replace(found, kafka={"bootstrap.servers": "127.0.0.1:9", **more})


def way(found: Settings) -> str:
    client = transactional_client(found, "id", Deliveries())
    client.close()
    return client.way


def test_the_library_of_this_installation_passes() -> None:
    assert native_check.native_library().version() == confluent_kafka.libversion()[1]


@pytest.mark.parametrize(
    ("producing", "taken"), [("auto", "native"), ("native", "native"), ("public", "public")]
)
def test_the_setting_chooses(tmp_path: Path, producing: str, taken: str) -> None:
    assert way(settings(tmp_path, producing)) == taken


def test_another_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KafkaRefused, match=r"producing=fast.*auto, native, public"):
        way(settings(tmp_path, "fast"))


def foreign_layout(monkeypatch: pytest.MonkeyPatch) -> str:
    """Another version of librdkafka might have its fields at other positions;
    here two numbers are exchanged."""
    names = ["err", "rkt", "partition", "payload", "key_len", "key", "len", "offset", "opaque"]
    fields = native_library.MESSAGE.fields
    assert fields is not None
    places = [fields[name][1] for name in native_library.MESSAGE.names or ()]
    formats = ["i4", "u8", "i4", "u8", "u8", "u8", "u8", "i8", "u8"]
    other = np.dtype({"names": names, "formats": formats, "offsets": places, "itemsize": 72})
    real = native._record
    # Only for reading: if records were written with it,
    # the library would get lengths that do not belong to their pointers.
    monkeypatch.setattr(native, "_record", lambda address: real(address).view(other))
    return "otherwise than they were queued"


def missing_function(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(native_library._FUNCTIONS, "not_there", (None, []))
    return "cannot be reached"


def unreadable_module(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(cimpl, "__file__", "/nowhere/cimpl.so")
    return "cannot be reached"


def another_copy(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(confluent_kafka, "libversion", lambda: ("2.99.0", 0x026300FF))
    return "and confluent-kafka uses 0x26300ff"


def another_line(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(confluent_kafka, "libversion", lambda: ("3.0.0", 0x030000FF))
    monkeypatch.setattr(
        Library, "version", property(lambda _: lambda: 0x030000FF, lambda *_: None), raising=False
    )
    return "not of the line 2"


def silent_library(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(native.NativeClient, "flush", lambda *_: 9)
    return "otherwise than they were queued"


@pytest.mark.parametrize(
    "fault",
    [foreign_layout, missing_function, unreadable_module, another_copy, another_line, silent_library],
)
def test_what_is_not_as_expected_is_told_once_and_goes_the_public_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: object
) -> None:
    assert callable(fault)
    told = fault(monkeypatch)
    with pytest.raises(NativeUnavailable, match=told):
        native_check.native_library()
    with caplog.at_level(logging.WARNING, "sluice.kafka"):
        assert [way(settings(tmp_path, "auto")) for _ in range(3)] == ["public"] * 3
    lines = [record.message for record in caplog.records if "the public way" in record.message]
    assert len(lines) == 1 and told in lines[0]
    with pytest.raises(KafkaRefused, match=f"producing=native: is not possible here: .*{told}"):
        way(settings(tmp_path, "native"))


def test_what_confluent_kafka_has_a_hand_in_goes_the_public_way(tmp_path: Path) -> None:
    plugin = {"plugin_library_paths": ""}
    assert way(settings(tmp_path, "auto", **plugin)) == "public"
    with pytest.raises(KafkaRefused, match=r"kafka\.plugin\.library\.paths is known to the public way only"):
        way(settings(tmp_path, "native", **plugin))


@pytest.mark.parametrize("producing", ["native", "public"])
def test_a_property_the_client_refuses_is_named(tmp_path: Path, producing: str) -> None:
    with pytest.raises(KafkaRefused, match=r"settings \[kafka\]: Invalid value"):
        way(settings(tmp_path, producing, linger_ms="soon"))
    with pytest.raises(KafkaRefused, match=r"No such configuration property"):
        way(settings(tmp_path, producing, no_such="1"))
