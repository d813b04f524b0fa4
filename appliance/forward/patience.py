"""How long one destination is left alone, after failures and after requests for commitment that led to nothing."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.config.schema import Destination
from appliance.forward.states import backoff_seconds


@dataclass(frozen=True, slots=True)
class Patience:
    """The waits of one destination, in seconds, from a count of what happened in a row."""

    destination: Destination

    def after_failures(self, failures: int) -> float:
        """Doubling up to the longest, for ever."""
        return backoff_seconds(failures, self.destination.retry_first_seconds, self.destination.retry_longest_seconds)

    def after_silence(self, rounds: int) -> float:
        """No report came in time: waiting for it was wait enough, until it has been in vain for `commitment_rounds`.

        Then C-FIND looks at once where it may, and `after_look` is the wait.
        """
        destination = self.destination
        is_enough = rounds > destination.commitment_rounds - (not destination.verify_by_find)
        return destination.retry_longest_seconds if is_enough else 0.0

    def after_look(self, _failures: int) -> float:
        """C-FIND found what is not committed: it is there, and asking for more has time."""
        return self.destination.retry_longest_seconds
