"""What goes wrong, in the one form: `{"error": {"code", "message"}}` with the fitting status."""

from __future__ import annotations

from aiohttp import web

from bot import logs
from core import reports
from core.errors import Broken, BullpenError, Refused, Unclear

log = logs.get(__name__)

_BY_STATUS = {401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND", 409: "CONFLICT",
              429: "RATE_LIMITED"}  # fmt: skip
BASIC = {"WWW-Authenticate": 'Basic realm="Bullpen", charset="UTF-8"'}
BEARER = {"WWW-Authenticate": "Bearer"}


class ApiError(Exception):
    """An answer that is an error. The message is one line for whoever asked."""

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers or {}


def invalid(message: str, status: int = 400) -> ApiError:
    return ApiError(status, "INVALID_INPUT", message)


def unauthorized(basic: bool = False) -> ApiError:
    words = (
        "A valid token is needed: Authorization: Bearer TOKEN. That of an ended attempt is none."
    )
    return ApiError(401, "UNAUTHORIZED", words, BASIC if basic else BEARER)


def not_found(message: str = "There is nothing here.") -> ApiError:
    return ApiError(404, "NOT_FOUND", message)


def forbidden(message: str) -> ApiError:
    return ApiError(403, "FORBIDDEN", message)


def too_often(message: str) -> ApiError:
    return ApiError(429, "RATE_LIMITED", message, {"Retry-After": "5"})


def answer(error: ApiError) -> web.Response:
    body = {"error": {"code": error.code, "message": str(error)}}
    return web.json_response(body, status=error.status, headers=error.headers)


def translated(error: Exception) -> ApiError:
    """Ours for whatever a handler raises; what was not foreseen is logged."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, reports.TooOften):
        return too_often(str(error))
    if isinstance(error, Unclear):
        return invalid(str(error))
    if isinstance(error, Refused):
        return ApiError(409, "CONFLICT", str(error))
    if isinstance(error, Broken):
        return ApiError(503, "INTERNAL_ERROR", str(error))
    if isinstance(error, BullpenError):
        return invalid(str(error))
    if isinstance(error, web.HTTPException):
        code = _BY_STATUS.get(error.status, "INVALID_INPUT")
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return ApiError(error.status, code, f"{error.reason}.", headers)
    log.error("an answer broke", exc_info=error)
    return ApiError(500, "INTERNAL_ERROR", "Something went wrong inside; the log says more.")
