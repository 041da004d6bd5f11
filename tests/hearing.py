"""The events of a run, as the sentences that people read."""

from pipelines.run_events import RunEvent, Tell, sentence


def into(said: list[str]) -> Tell:
    """A listener that puts every sentence into `said`."""

    def tell(event: RunEvent) -> None:
        told = sentence(event)
        if told:
            said.append(told)

    return tell
