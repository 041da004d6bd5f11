"""How long the brokers throttle a client because of a client quota."""

import time

from confluent_kafka import ThrottleEvent


class Throttle:
    """The throttle callback of one client, served while the client is polled.

    A broker answers a request that exceeds a quota at once, with a throttle time. It reads no other request
    from that connection until the throttle time is over (KIP-219).
    """

    def __init__(self) -> None:
        self.milliseconds = 0
        """The last throttle time."""
        self.until = float("-inf")
        """When that throttle time is over, as `time.monotonic()`."""

    def __call__(self, event: ThrottleEvent) -> None:
        self.hold(int(event.throttle_time * 1000))

    def hold(self, milliseconds: int) -> None:
        """Note the throttle time that a broker reported, in milliseconds; 0 or less changes nothing."""
        if milliseconds > 0:
            self.milliseconds = milliseconds
            self.until = max(self.until, time.monotonic() + milliseconds / 1000)

    @property
    def seconds_left(self) -> float:
        """For how many seconds the broker takes no request; at least 0."""
        return max(0.0, self.until - time.monotonic())

    def told(self, since: float) -> str:
        """The reason why nothing came since `since` (`time.monotonic()`) if it is a
        quota; otherwise an empty string."""
        if self.until < since:
            return ""
        return f"a client quota of the brokers throttles this client (throttle time {self.milliseconds:,} ms)"

    def reader_waits(self, since: float, why: str, next_step: str) -> tuple[str, str]:
        """Why a reader got nothing since `since`, and what to do: the quota if it is one,
        else `why` and `next_step`."""
        told = self.told(since)
        raised = (
            "raise consumer_byte_rate or request_percentage (kafka-configs.sh --alter --entity-type clients)"
        )
        return (told, raised) if told else (why, next_step)
