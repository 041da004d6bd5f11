"""Run events are values: to JSON and back without a loss, and each has a sentence about its window."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pipelines import run_events
from pipelines.run_events import RunEvent, as_dict, from_dict, sentence
from resources.errors import Problem

PROBLEMS = st.lists(
    st.builds(Problem, st.text(), st.text(), st.none() | st.text(), st.none() | st.text()),
    min_size=1,
    max_size=3,
).map(tuple)
# A clock is never more precise than that, and never returns infinity.
FIELDS = {"problems": PROBLEMS, "seconds": st.floats(0, 1e9)}
EVENTS = st.one_of(
    *(
        st.builds(kind, **{name: one for name, one in FIELDS.items() if name in kind.__dataclass_fields__})
        for kind in run_events._KINDS.values()
    )
)


@given(EVENTS)
def test_an_event_survives_json(event: RunEvent) -> None:
    assert from_dict(json.loads(json.dumps(as_dict(event)))) == event


@given(EVENTS)
def test_a_sentence_names_the_window(event: RunEvent) -> None:
    told = sentence(event)
    assert not told or not event.window or ": " in told
    assert event.level in (20, 30, 40)
