"""A damaged, missing or unreadable file of the store is named,
and no other error than the store's own is raised."""

import errno
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from resources.errors import SluiceError, TransientError
from resources.snapshots import Snapshot, SnapshotError, SnapshotStore

EVENT, WINDOW = "flights/departed", "2013-01-01"
TABLE = pa.table(
    {
        "id": pa.array([f"k{n % 97}" for n in range(400)], pa.string()),
        "number": pa.array(range(400), pa.int64()),
        "text": pa.array([None if n % 5 == 0 else f"{n:030d}" for n in range(400)], pa.string()),
        "list": pa.array([[n] * (n % 3) for n in range(400)], pa.list_(pa.int64())),
    }
)


@pytest.fixture(params=["folder", "memory"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path / "snapshots") if request.param == "folder" else f"memory://{tmp_path.name}"


def stored(base: str, window: str = WINDOW) -> tuple[SnapshotStore, Snapshot]:
    store = SnapshotStore(base)
    with store.writer(EVENT, window, "sourced", TABLE.schema) as out:
        for batch in TABLE.to_batches():
            out.write(batch)
        return store, out.finish({"rows_in": 400})


def put(base: str, path: str, data: bytes) -> None:
    fs, root = fsspec.url_to_fs(base)
    fs.pipe_file(f"{root}/{path}", data)


def get(base: str, path: str) -> bytes:
    fs, root = fsspec.url_to_fs(base)
    return bytes(fs.cat_file(f"{root}/{path}"))


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def read_all(store: SnapshotStore, snapshot: Snapshot) -> None:
    store.schema(snapshot)
    found = store.find(EVENT, WINDOW, "sourced", snapshot.sha256)
    assert found is not None
    for columns in (None, ["id"]):
        list(store.read(found, batch_rows=50, columns=columns))


def bits_of(data: bytes) -> list[int]:
    """Every bit of the footer, and some of each page."""
    footer = int.from_bytes(data[-8:-4], "little") + 8
    first = (len(data) - footer) * 8
    chosen = random.Random(20130101)
    return [*range(first, len(data) * 8, 3), *sorted(chosen.sample(range(first), 600))]


@pytest.mark.parametrize("base", ["folder"], indirect=True)
def test_a_flipped_bit_of_a_snapshot_is_an_error_of_the_store_that_names_the_file(base: str) -> None:
    store, snapshot = stored(base)
    whole = get(base, snapshot.path)
    refused = 0
    for bit in bits_of(whole):
        put(base, snapshot.path, flipped(whole, bit))
        try:
            read_all(store, snapshot)
        except SnapshotError as error:
            refused += 1
            assert snapshot.path in error.where and error.next_step
        with pytest.raises(SnapshotError, match="hash to"):
            store.verify(snapshot)
    assert refused


def test_a_snapshot_that_was_cut_is_named(base: str) -> None:
    store, snapshot = stored(base)
    whole = get(base, snapshot.path)
    for length in (0, 3, 100, len(whole) // 2, len(whole) - 1):
        put(base, snapshot.path, whole[:length])
        for asked in (read_all, SnapshotStore.verify):
            with pytest.raises(SnapshotError, match=snapshot.sha256):
                asked(store, snapshot)


def asked_of(store: SnapshotStore, snapshot: Snapshot) -> list[Callable[[], object]]:
    return [
        lambda: list(store.read(snapshot, batch_rows=10)),
        lambda: store.schema(snapshot),
        lambda: store.verify(snapshot),
        lambda: store.find(EVENT, WINDOW, "sourced", snapshot.sha256),
    ]


def test_a_folder_in_the_place_of_a_file_is_a_lasting_error_that_names_it(tmp_path: Path) -> None:
    store, snapshot = stored(str(tmp_path))
    for path in (snapshot.path, f"{EVENT}/{WINDOW}/sourced.json"):
        (tmp_path / path).unlink()
        (tmp_path / path).mkdir()
    asked = [
        *asked_of(store, snapshot),
        lambda: store.current(EVENT, WINDOW, "sourced"),
        lambda: stored(str(tmp_path)),
    ]
    for ask in asked:
        with pytest.raises(SnapshotError, match=r"sourced.*directory") as caught:
            ask()
        assert caught.value.next_step


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_file_that_may_not_be_read_is_a_lasting_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store, snapshot = stored(str(tmp_path))

    def refused(*_: object, **__: object) -> object:
        raise OSError(number, "not permitted")

    monkeypatch.setattr(Path, "open", refused)
    monkeypatch.setattr(Path, "stat", refused)
    monkeypatch.setattr(pa, "OSFile", refused)
    for ask in [*asked_of(store, snapshot), lambda: store.current(EVENT, WINDOW, "sourced")]:
        with pytest.raises(SnapshotError, match=r"sourced.*cannot be read: not permitted"):
            ask()


def test_what_an_object_stores_client_raises_is_a_passing_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, snapshot = stored(f"memory://{tmp_path.name}")

    class ClientError(Exception):
        pass

    def away(*_: object, **__: object) -> object:
        raise ClientError("503 Slow Down")

    for name in ("open", "cat_file", "exists", "size"):
        monkeypatch.setattr(type(store._fs.fs), name, away)
    for ask in [*asked_of(store, snapshot), lambda: store.current(EVENT, WINDOW, "sourced")]:
        with pytest.raises(TransientError, match="503 Slow Down"):
            ask()


def test_a_flipped_bit_of_a_pointer_or_a_proof_never_ends_in_another_error(base: str) -> None:
    store, snapshot = stored(base)
    store.set_validation(EVENT, WINDOW, snapshot.sha256, {"passed": True, "rows_in": 400})
    folder = f"{EVENT}/{WINDOW}"
    for name, ask in (
        ("sourced.json", lambda: store.current(EVENT, WINDOW, "sourced")),
        (f"validated-{snapshot.sha256}.json", lambda: store.validation(EVENT, WINDOW, snapshot.sha256)),
    ):
        whole = get(base, f"{folder}/{name}")
        for bit in range(0, len(whole) * 8):
            put(base, f"{folder}/{name}", flipped(whole, bit))
            try:
                found = ask()
            except SnapshotError as error:
                assert name in error.where and error.next_step
                continue
            if isinstance(found, Snapshot):
                assert (found.sha256, found.parts) == (snapshot.sha256, 1)


@pytest.mark.parametrize(
    "text", ["[]", "null", "7", '"x"', "{", "\ud800", "[" * 100_000, "9" * 5000, b"\xff\xfe"]
)
def test_a_pointer_that_is_no_object_is_named(base: str, text: str | bytes) -> None:
    store, _ = stored(base)
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    put(base, f"{EVENT}/{WINDOW}/sourced.json", data)
    with pytest.raises(SnapshotError, match=r"sourced\.json: is not readable"):
        store.current(EVENT, WINDOW, "sourced")


@pytest.mark.parametrize(
    "change", [{"rows": "7"}, {"rows": -1}, {"parts": 0}, {"facts": []}, {"sha256": "0" * 64}]
)
def test_a_pointer_whose_parts_contradict_each_other_is_damaged(base: str, change: dict[str, object]) -> None:
    store, snapshot = stored(base)
    put(base, f"{EVENT}/{WINDOW}/sourced.json", json.dumps({**snapshot.__dict__, **change}).encode())
    with pytest.raises(SnapshotError, match="is damaged"):
        store.current(EVENT, WINDOW, "sourced")


def test_the_pointers_of_other_windows_are_listed_beside_a_damaged_one(base: str) -> None:
    store, _ = stored(base)
    stored(base, "2013-01-02")
    put(base, f"{EVENT}/{WINDOW}/sourced.json", b"{")
    unread: list[SluiceError] = []
    assert len(list(store.all_current(EVENT, "sourced", unread=unread.append))) == 1
    assert [error.where.endswith(f"{WINDOW}/sourced.json") for error in unread] == [True]
