"""Tells whether a call that ended in an error may be billed nevertheless."""

from labkit.errors import LabkitError
from labkit.validation import ContentFilteredError, EmptyAnswerError

# Status codes of an error for which Azure may bill nevertheless: Microsoft Learn, how-to/manage-costs, "HTTP error
# response code and billing status" (a 408; a 400 of the content filter), and concepts/content-filter (for that 400
# "both the prompt and completion tokens" are charged), read 2026-11-25. The same page: a 401 or 429 is not billed.
_TIMED_OUT = 408
_FILTERED = "content_filter"
# What the SDK's transport raises when no connection came about, so that nothing was sent.
_NOT_CONNECTED = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"})


def may_be_billed(error: BaseException) -> bool:
    """True when the call that ended in ``error`` may have been worked on, and so billed.

    False for a refusal (any status code but 408; a 400 of the content filter is billed), for a connection that did not
    come about, and for a request that labkit did not send. True otherwise: whoever cancels a call, loses the
    connection or cannot wait any longer does not learn what it cost.
    """
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return status == _TIMED_OUT or getattr(error, "code", None) == _FILTERED
    cause = error.__cause__
    if type(cause).__name__ in _NOT_CONNECTED:
        return False
    if isinstance(error, ContentFilteredError | EmptyAnswerError):
        return True  # it was answered, or evaluated
    if isinstance(error, LabkitError) and not isinstance(error, TimeoutError):
        # labkit's own word on what the service said last; without that, nothing was sent.
        return cause is not None and may_be_billed(cause)
    return True
