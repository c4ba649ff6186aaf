"""The errors labkit raises itself; everything the service refuses comes as the SDK's own classes.

    LabkitError
    ├── NoConnectionError       connect() has not been called, or nothing answers
    ├── NotLocalError           only the local Azure can do this
    ├── VersionMismatchError    the notebook and the local Azure come from different releases
    ├── UnknownModelError       the catalogue does not list the model
    ├── UnknownDeploymentError  the account has no such deployment
    ├── InvalidRequestError     the call was refused before it was sent (also a ValueError)
    ├── PluginError             a cache, retry or meter of one's own does not fit (labkit.plugins)
    ├── WaitTooLongError        the service asks for more patience than is sensible (labkit.retry)
    ├── CircuitOpenError        a deployment, or every one, is left alone for a while (labkit.breaker)
    ├── ServiceDrainingError    the service is being shut down (labkit.gate)
    ├── DeadlineExceededError   no answer within the time given (labkit.deadline; also a TimeoutError)
    ├── BudgetExceededError     the call may cost more than is left, and was not sent (labkit.budget)
    ├── CallTooLargeError       the call counts more tokens than the deployment has in a minute (labkit.pacing)
    ├── LedgerError             the file to resume a batch from cannot be used (labkit.ledger; also an OSError)
    ├── ContentFilteredError    the prompt or the answer was filtered (labkit.validation)
    └── EmptyAnswerError        an answer without content (labkit.validation)

Each message says what was given, what is allowed and what to do next.
"""


class LabkitError(Exception):
    """The root of labkit's own errors."""


class NoConnectionError(LabkitError):
    """Nothing to talk to: ``labkit.connect()`` was not called, or the endpoint does not answer."""


class NotLocalError(LabkitError):
    """The journal, faults and telemetry read-back exist on the local Azure only."""


class VersionMismatchError(LabkitError):
    """The local Azure was started by another release of labkit than the one imported here."""


class UnknownModelError(LabkitError, KeyError):
    """The catalogue has no such model."""

    def __str__(self) -> str:
        # KeyError would show the message in quotes, as if it were a key.
        return str(self.args[0])


class UnknownDeploymentError(LabkitError):
    """The account has no deployment of that name."""


class InvalidRequestError(LabkitError, ValueError):
    """The request cannot be right, so it was not sent (and repeating it would not help)."""
