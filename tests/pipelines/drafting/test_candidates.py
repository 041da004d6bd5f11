"""The key and the event time of a draft: declared first, then by whole words, and never by letters inside
words."""

from typing import Any

import pyarrow as pa
import pytest

from pipelines.drafting.candidates import Choice, choose_event_time, choose_key
from pipelines.drafting.words import looks_personal, names_own_id, words
from resources.errors import SluiceError
from resources.warehouse import Column, ForeignKey, SourceTable

INSTANT, LOCAL, DAY, TEXT, LONG = (
    pa.timestamp("us", "UTC"),
    pa.timestamp("us"),
    pa.date32(),
    pa.string(),
    pa.int64(),
)
TIME = Column("at", INSTANT, False)


def column(name: str, kind: pa.DataType = TEXT, *, null: bool = False, comment: str | None = None) -> Column:
    return Column(name, kind, null, comment=comment)


def table(*columns: Column | str, name: str = "orders", **declared: Any) -> SourceTable:
    made = tuple(column(one) if isinstance(one, str) else one for one in columns)
    return SourceTable((name,), made if TIME in made else (*made, TIME), **declared)


def key_of(source: SourceTable, wanted: str | None = None) -> Choice:
    return choose_key(source, wanted, TIME)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("order_id", "order id"), ("orderId", "order id"), ("OrderID", "order id"), ("ORDER_ID", "order id"),
        ("order-id", "order id"), ("Order Id", "order id"), ("order.id", "order id"), ("HTTPServerId", "http server id"),
        ("paid", "paid"), ("barcode", "barcode"), ("line2", "line 2"), ("größeId", "größe id"), ("", ""), ("__", ""),
    ],
)  # fmt: skip
def test_a_name_has_words_however_it_is_written(name: str, expected: str) -> None:
    assert words(name) == expected.split()


@pytest.mark.parametrize(
    "name",
    [
        "paid",
        "bid",
        "valid",
        "grid",
        "casino",
        "barcode",
        "monkey",
        "turnkey",
        "piano",
        "decode",
        "Android",
        "liquid",
    ],
)
def test_letters_inside_a_word_are_no_id(name: str) -> None:
    chosen = key_of(table("note", name))
    assert chosen.column.name == "note" and "no name says that it is one" in (chosen.question or "")


@pytest.mark.parametrize(
    "name",
    [
        "id",
        "ID",
        "uuid",
        "order_id",
        "orderId",
        "OrderID",
        "orderid",
        "Order Id",
        "order-id",
        "order_no",
        "order_key",
    ],
)
def test_a_tables_own_id_is_its_key_before_any_other_id(name: str) -> None:
    chosen = key_of(table("customer_id", "a_key", name, "tail_num"))
    assert (chosen.column.name, chosen.question) == (name, None)


@pytest.mark.parametrize(
    ("name", "one"),
    [("orders", "order"), ("categories", "category"), ("boxes", "box"), ("Statuses", "status"), ("fact_orders", "order"),
     ("OrderLines", "order_line"), ("data", "data")],
)  # fmt: skip
def test_one_of_a_table_is_told_by_its_name(name: str, one: str) -> None:
    assert names_own_id(f"{one}_id", name, ["id"])
    assert not names_own_id("customer_id", name, ["id"])


def test_a_declared_key_comes_before_every_name() -> None:
    chosen = key_of(table("id", "order_id", "ticket", primary_key=("ticket",)))
    assert (chosen.column.name, chosen.question) == ("ticket", None)
    assert chosen.why.startswith("the primary key")
    unique = key_of(table("id", "ticket", unique=(("ticket",),)))
    assert (unique.column.name, unique.why) == ("ticket", "declared unique and never null")


def test_unique_columns_that_may_be_null_or_refer_elsewhere_are_not_declared_keys() -> None:
    source = table(
        "id", column("maybe", null=True), "customer",
        unique=(("maybe",), ("customer",)), foreign_keys=(ForeignKey(("customer",), "customers", ("id",)),),
    )  # fmt: skip
    assert key_of(source).column.name == "id"


def test_a_unique_foreign_key_is_the_key_where_nothing_else_is() -> None:
    refers = (ForeignKey(("customer",), "customers", ("id",)),)
    source = table("note", "customer", unique=(("customer",),), foreign_keys=refers)
    assert key_of(source) == Choice(
        column("customer"), "declared unique and never null; it refers to customers"
    )
    primary = table("note", "customer", primary_key=("customer",), foreign_keys=refers)
    assert key_of(primary) == Choice(column("customer"), "the primary key")


@pytest.mark.parametrize(
    "comment",
    [
        "Natural key of the order",
        "The primary key.",
        "It is the business id, of the ERP",
        "uniquely identifies an order",
    ],
)
def test_a_comment_can_say_that_a_column_is_the_key(comment: str) -> None:
    said = column("ref", comment=comment)
    chosen = key_of(table("note", "order_id", said))
    assert (chosen.column, chosen.question) == (said, None)
    assert chosen.why.startswith("its comment says")
    declared = key_of(table("ticket", said, primary_key=("ticket",)))
    assert declared.column.name == "ticket"


@pytest.mark.parametrize(
    "comment",
    [
        "Foreign key of the customer",
        "not a unique key",
        "No longer the primary key",
        "keyboard",
        "Old. The former business key",
    ],
)
def test_a_comment_that_denies_it_says_nothing(comment: str) -> None:
    chosen = key_of(table("note", column("ref", comment=comment), "order_id"))
    assert chosen.column.name == "order_id"


def test_several_comments_that_say_so_are_an_open_question() -> None:
    source = table(column("a", comment="Natural key"), column("b", comment="Business key"))
    assert "the comment of b says the same" in (key_of(source).question or "")


def test_several_unique_columns_are_an_open_question_unless_a_name_decides() -> None:
    asked = key_of(table("ticket", "receipt", unique=(("ticket",), ("receipt",))))
    assert asked.column.name == "ticket" and "receipt is declared unique too" in (asked.question or "")
    assert key_of(table("ticket", "order_id", unique=(("ticket",), ("order_id",)))) == Choice(
        column("order_id"), "declared unique and never null"
    )


def test_the_event_time_in_a_primary_key_leaves_what_it_is_about() -> None:
    chosen = key_of(table("other_id", "device", primary_key=("device", "at")))
    assert chosen == Choice(column("device"), "the primary key (device, at) without the event time")


def test_a_composite_key_is_an_open_question_that_names_its_columns() -> None:
    source = table("order_id", "line", "note", primary_key=("order_id", "line"), name="lines",
                   foreign_keys=(ForeignKey(("order_id",), "orders", ("id",)),))  # fmt: skip
    chosen = key_of(source)
    assert chosen.column.name == "line", "a foreign key is never the key by itself"
    question = chosen.question or ""
    assert "the primary key (order_id, line) has 2 columns" in question
    assert "order_id || '|' || line" in question and "refers to orders" in question
    assert key_of(source, "order_id") == Choice(column("order_id"), "as you said")


def test_the_columns_of_a_composite_key_are_joined_as_sql_writes_them() -> None:
    question = key_of(table("Shop", "order no", primary_key=("Shop", "order no"))).question
    assert """join them in the SQL ("Shop" || '|' || "order no")""" in (question or "")


def test_foreign_keys_are_named_as_evidence_and_not_taken() -> None:
    refers = (ForeignKey(("customer_id",), "customers", ("id",)),)
    chosen = key_of(table("customer_id", "shop_id", foreign_keys=refers))
    assert (chosen.column.name, chosen.question) == ("shop_id", None)
    assert "customer_id (refers to customers)" in chosen.why
    alone = key_of(table("customer_id", column("amount", pa.float64()), foreign_keys=refers))
    assert alone.column.name == "customer_id" and "refers to customers" in (alone.question or "")


@pytest.mark.parametrize(
    "name", ["tax_id", "taxId", "Tax ID", "email", "e-mail_id", "ssn", "phone_number", "iban", "steuer_id"]
)
def test_what_looks_personal_is_taken_only_with_a_question(name: str) -> None:
    assert key_of(table(name, "order_id")).column.name == "order_id"
    for declared in ({"primary_key": (name,)}, {"unique": ((name,),)}, {}):
        chosen = key_of(table(name, "note", **declared))
        assert chosen.column.name == "note" and name in (chosen.question or ""), declared
    alone = key_of(table(name, column("amount", pa.float64())))
    assert alone.column.name == name and "its name has the word" in (alone.question or "")
    assert key_of(table(name, "order_id"), name).question is None


def test_a_comment_can_say_that_a_column_is_personal() -> None:
    source = table(column("ref_id", comment="Tax number of the customer (PII)"), "shop_id")
    chosen = key_of(source)
    assert chosen.column.name == "shop_id" and "its comment has 'Tax number'" in chosen.why
    assert looks_personal("tax_id", None, "taxes") is None, "each row of it has a tax"


def test_a_key_of_a_type_that_no_message_has_is_an_open_question() -> None:
    chosen = key_of(table(column("number", pa.decimal128(38, 0)), "note", primary_key=("number",)))
    assert chosen.column.name == "note" and "is of a type that cannot be a key" in (chosen.question or "")
    with pytest.raises(SluiceError, match="no column that can be a message key"):
        key_of(table(column("x", pa.float64())))
    with pytest.raises(SluiceError, match="cannot be a message key"):
        key_of(table(column("x", pa.float64()), "id"), "x")


@pytest.mark.parametrize(
    ("names", "chosen", "asks"),
    [
        (["name", "shop_id"], "shop_id", False),
        (["customer_id", "shop_id"], "customer_id", True),
        (["tail_num", "name"], "tail_num", True),
        (["a_key", "tail_num"], "a_key", False),
        (["name", "amount"], "name", True),
    ],
)
def test_without_declared_keys_names_decide_or_a_question_is_open(
    names: list[str], chosen: str, asks: bool
) -> None:
    found = key_of(table(*names))
    assert (found.column.name, found.question is not None) == (chosen, asks)
    others = [name for name in names if name != chosen]
    assert not asks or all(name in (found.question or "") for name in others if name != "name")


def test_of_equal_names_one_that_is_never_null_is_preferred() -> None:
    found = key_of(table(column("a_id", null=True), column("b_id", LONG)))
    assert found.column.name == "b_id" and "a_id" in (found.question or "")
    nullable = [column(name, null=True) for name in ("note", "order_id")]
    assert key_of(table(*nullable)).column.name == "order_id"


@pytest.mark.parametrize("wanted", ["Order Id", '"Order Id"', "order id", "ORDER ID"])
def test_a_column_is_found_as_sql_writes_it_and_in_another_case(wanted: str) -> None:
    assert key_of(table("note", "Order Id"), wanted).column.name == "Order Id"


def test_of_names_that_differ_in_case_alone_the_exact_one_is_meant() -> None:
    source = table("ref", "REF")
    assert (key_of(source, "ref").column.name, key_of(source, "REF").column.name) == ("ref", "REF")
    with pytest.raises(SluiceError, match="2 columns may be meant by 'Ref'"):
        key_of(source, "Ref")


def test_a_wrong_column_names_the_nearest_whatever_its_case() -> None:
    with pytest.raises(SluiceError, match="Did you mean 'OrderRef'"):
        key_of(table("OrderRef"), "order_ref")
    with pytest.raises(SluiceError, match="Did you mean 'at'"):
        choose_event_time(table("x"), "att")


def time_of(*columns: Column, event: str = "", name: str = "orders") -> Choice:
    return choose_event_time(SourceTable((name,), columns), None, event)


def test_an_instant_is_preferred_to_a_date_and_a_sure_one_to_one_that_may_be_null() -> None:
    columns = [column("day", DAY), column("maybe", INSTANT, null=True), column("sure", INSTANT)]
    assert time_of(*columns).column.name == "sure"
    assert time_of(column("local", LOCAL), column("zoned", INSTANT)).column.name == "zoned"
    assert time_of(columns[0]) == Choice(columns[0], "the only date column")


@pytest.mark.parametrize(
    "name",
    [
        "loaded_at",
        "_synced",
        "etlTime",
        "batch_ts",
        "due_date",
        "valid_until",
        "deleted_at",
        "birth_date",
        "expiresAt",
    ],
)
def test_times_of_loading_and_of_other_moments_come_last(name: str) -> None:
    chosen = time_of(column(name, INSTANT), column("recorded", DAY, null=True))
    assert chosen.column.name == "recorded" and f"not {name} (" in chosen.why
    alone = time_of(column(name, INSTANT))
    assert alone.column.name == name and "the event's time?" in (alone.question or "")


def test_letters_inside_a_word_speak_against_no_time() -> None:
    assert time_of(column("weekend", INSTANT), column("recorded", LOCAL)).question is None
    assert time_of(column("residue_time", INSTANT)).question is None


def test_the_time_that_is_named_as_the_event_is_its_time() -> None:
    times = [
        column(name, INSTANT, null=name == "shipped_at")
        for name in ("created_at", "shipped_at", "deleted_at")
    ]
    assert time_of(*times, event="order_shipped").column.name == "shipped_at"
    assert time_of(*times, event="order_deleted").column.name == "deleted_at"
    assert time_of(column("order_date", DAY), *times, event="order_shipped").column.name == "shipped_at"
    assert time_of(column("order_date", DAY), *times, event="order_seen").column.name == "created_at"


def test_words_of_name_and_comment_decide_between_equal_times() -> None:
    created, updated = column("created_at", INSTANT), column("updated_at", INSTANT)
    assert time_of(updated, created) == Choice(created, "a timestamp with a time zone, never null")
    assert time_of(created, column("event_time", INSTANT)).column.name == "event_time"
    assert time_of(created, column("t2", INSTANT, comment="When it happened.")).column.name == "t2"


def test_equal_times_are_an_open_question() -> None:
    chosen = time_of(column("packed_at", INSTANT), column("shipped_at", INSTANT))
    assert chosen.column.name == "packed_at" and "shipped_at" in (chosen.question or "")


def test_a_table_without_a_time_is_refused_with_its_columns() -> None:
    with pytest.raises(SluiceError, match="no column with a point in time") as refused:
        time_of(column("name"), name="planes")
    assert "name" in (refused.value.allowed or "")
    with pytest.raises(SluiceError, match="not a point in time"):
        choose_event_time(table("name"), "name")
