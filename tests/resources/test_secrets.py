"""Known secrets are replaced in each form in which a text may contain them, and nothing else is."""

import base64
import json
import re
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from resources.errors import SluiceError
from resources.security.masking import STARS, Secret, secrets_of
from resources.security.secrets import _OWN_WORDS, KnownSecrets, learn
from resources.settings import load_settings


def knowing(*secrets: Secret, shown: tuple[str, ...] = ()) -> KnownSecrets:
    known = KnownSecrets()
    known.learn(secrets, shown)
    return known


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=6, max_size=30), st.text(max_size=9))
@example("zebra ball", "")
@example("ze\"b\\ra'", "é")
def test_every_form_of_a_secret_is_replaced(secret: str, before: str) -> None:
    assume(secret == secret.strip() and secret not in STARS and secret.lower() not in _OWN_WORDS)
    hide = knowing(Secret(secret, "sluice")).hide
    for form in (
        secret,
        quote(secret, safe=""),
        re.sub("%..", lambda one: one[0].lower(), quote(secret, safe="")),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        base64.b64encode(secret.encode()).decode(),
        base64.b64encode(f"sluice:{secret}".encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(secret.encode()).decode(),
    ):
        assert form not in hide(f"{before} {form} behind"), form


@given(st.binary(min_size=0, max_size=7), st.binary(max_size=7))
def test_base64_of_a_text_with_a_secret_in_it_shows_no_more_than_its_edges(
    before: bytes, behind: bytes
) -> None:
    secret = b"zebra-and-ball-and-more"
    shown = knowing(Secret(secret.decode())).hide(base64.b64encode(before + secret + behind).decode())
    assert STARS in shown
    left, _, right = shown.partition(STARS)
    # In Base64, three bytes are four characters; characters that a neighbouring byte contributes to stay.
    assert len(left) <= len(before) // 3 * 4 + 4 and len(right) <= -(-len(behind) // 3) * 4 + 4


def test_the_url_decoded_form_of_a_setting_is_replaced_too() -> None:
    hide = knowing(*secrets_of("warehouse.erp", "postgresql://me:zebra%2Fball@db/x")).hide
    assert hide("for zebra/ball or zebra%2Fball, zebra%2fball") == f"for {STARS} or {STARS}, {STARS}"


@pytest.mark.parametrize("cut", "/@?# \\[]")
def test_the_parts_that_a_parser_makes_of_a_malformed_password_are_replaced(cut: str) -> None:
    hide = knowing(*secrets_of("registry.url", f"https://sluice:zebra{cut}ball@host")).hide
    assert hide("no port: 'zebra'; no host ball@host") == f"no port: '{STARS}'; no host {STARS}@host"
    # A part is replaced only as a whole word: words that begin like it stay.
    assert hide("football, zebras") == "football, zebras"


def test_a_password_of_a_list_that_is_not_quoted_goes_on_to_the_next_key() -> None:
    hide = knowing(*secrets_of("warehouse.erp", "host=db password=zebra ball dbname=x")).hide
    assert hide('missing "=" after "ball"') == f'missing "=" after "{STARS}"'


@pytest.mark.parametrize("short", ["a", "ab", "abc"])
def test_a_short_secret_is_left_where_it_may_be_any_word(short: str) -> None:
    assert knowing(Secret(short)).hide("a table of abc") == "a table of abc"


def test_a_secret_of_four_or_five_letters_is_replaced_as_a_word() -> None:
    assert knowing(Secret("tree")).hide("tree, trees, street, 'tree'") == f"{STARS}, trees, street, '{STARS}'"


def test_a_password_that_is_shown_elsewhere_is_masked_only_in_its_place() -> None:
    """The user's own name, the database's name, or a word of Sluice:
    without these words nothing would be readable."""
    assert knowing(Secret("reader"), shown=["reader"]).hide("reader of x") == "reader of x"  # type: ignore[arg-type]
    assert knowing(Secret("sluice")).hide("sluice up") == "sluice up"


def test_a_new_password_is_known_beside_the_one_before(tmp_path: object) -> None:
    for password in ("first-password-1", "second-password-2"):
        load_settings({"SLUICE_HOME": str(tmp_path), "SLUICE_KAFKA_SASL_PASSWORD": password})
    error = SluiceError("Kafka", "first-password-1, second-password-2")
    assert error.problem == f"{STARS}, {STARS}"


def test_an_error_holds_no_secret_wherever_it_was_given_one() -> None:
    learn([Secret("zebraball")])
    error = SluiceError("at zebraball", "zebraball", allowed="zebraball", next_step="zebraball")
    error.args = ("zebraball",)
    for text in (error.where, error.problem, error.allowed, error.next_step, str(error)):
        assert text and "zebra" not in text


def test_secrets_are_known_before_anything_is_said_of_a_wrong_setting(tmp_path: object) -> None:
    environ = {
        "SLUICE_HOME": str(tmp_path),
        "SLUICE_WAREHOUSE_ERP": "postgresql://me:zebraball@db/x",
        "SLUICE_BATCH_ROWS": "zebraball",
        "PGPASSWORD": "pelican-2",
    }
    with pytest.raises(SluiceError) as raised:
        load_settings(environ)
    assert "zebra" not in str(raised.value)
    assert "pelican" not in str(SluiceError("x", "pelican-2"))
