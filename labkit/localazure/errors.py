"""What the local Azure refuses, and how each face of Azure words a refusal."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

Headers = Sequence[tuple[bytes, bytes]]


class AzureError(Exception):
    """A request that gets an error for an answer.

    ``code`` and ``message`` are the service's own; the model's API leaves many refusals without a code (None).
    ``param``, ``type`` and ``extra`` (further fields of the error) belong to the inference face, and ``gateway`` marks
    what API Management says in front of it, in a shape of its own. Raised by handlers, written to the wire by ``app``.
    """

    def __init__(
        self,
        status: int,
        code: str | None,
        message: str,
        *,
        param: str | None = None,
        type: str | None = None,
        extra: Mapping[str, Any] | None = None,
        gateway: bool = False,
        headers: Headers = (),
    ) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.type = type
        self.extra = extra
        self.gateway = gateway
        self.headers = headers

    def openai_body(self) -> bytes:
        """The body in the inference face's shape; the fields OpenAI added appear only where the service sends them."""
        if self.gateway:
            return orjson.dumps({"statusCode": self.status, "message": self.message})
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.type is not None or self.param is not None:
            error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        if self.extra is not None:
            error |= self.extra
        return orjson.dumps({"error": error})

    def arm_body(self) -> bytes:
        """The body in the control plane's shape.

        Microsoft, azure-resource-manager-rpc v1.0, common-api-details ("Error Response Content"), read 2026-11-22.
        """
        return orjson.dumps({"error": {"code": self.code, "message": self.message}})


def no_such_path() -> AzureError:
    """What the inference face says of a wrong path or a missing api-version (MicrosoftDocs/azure-docs#114602)."""
    return AzureError(404, "404", "Resource not found")


def too_large(limit_bytes: int) -> AzureError:
    """A body over ``limit_bytes``; raised before the rest of it is read."""
    size = f"{limit_bytes // 2**20} MB" if limit_bytes >= 2**20 else f"{limit_bytes // 2**10} KB"
    return AzureError(413, "RequestContentTooLarge", f"The request content size exceeds the maximum size of {size}.")


def method_not_allowed(method: str, path: str) -> AzureError:
    """A method that the control plane does not take at ``path``; the code is ours."""
    return AzureError(405, "HttpMethodNotAllowed", f"The method '{method}' is not allowed for '{path}'.")


def internal() -> AzureError:
    """An answer for what should not have happened; the reason goes to the server's log, not to the client."""
    return AzureError(
        500, "InternalServerError", "The server had an error while processing your request. See the server's log."
    )
