"""Error answers in the shape of Google's APIs: ``{"error": {code, message, status, details}}``."""

from __future__ import annotations

import json
from typing import Any

TYPE = "type.googleapis.com/google.rpc."


class ApiError(Exception):
    """An error that the simulated service answers with; never leaves the simulator."""

    def __init__(
        self, http_status: int, status: str, message: str, details: list[dict[str, Any]] | None = None
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.error: dict[str, Any] = {"code": http_status, "message": message, "status": status}
        if details:
            self.error["details"] = details

    def body(self) -> bytes:
        """Return the HTTP body."""
        return json.dumps({"error": self.error}, indent=2).encode()


def bad_argument(message: str) -> ApiError:
    """Return 400 INVALID_ARGUMENT."""
    return ApiError(400, "INVALID_ARGUMENT", message)


def bad_key() -> ApiError:
    """Return what a wrong API key gets: 400, not 401."""
    info = {
        "@type": TYPE + "ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    }
    return ApiError(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", [info])


def missing_key() -> ApiError:
    """Return what a request without any credential gets."""
    return ApiError(
        403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers. Please use an API key."
    )


def forbidden(model: str) -> ApiError:
    """Return 403 for a model that the key may not use."""
    return ApiError(403, "PERMISSION_DENIED", f"Your project has been denied access to models/{model}.")


def filtered() -> ApiError:
    """Return 400 of a content filter, as Azure's and others' stand before a chat model."""
    return ApiError(400, "CONTENT_FILTER", "The prompt was filtered due to the content management policy.")


def no_images(model: str) -> ApiError:
    """Return what a chat model that takes no images answers."""
    return ApiError(400, "INVALID_ARGUMENT", f"{model} is not a multimodal model: image_url is not accepted.")


def missing_file(name: str) -> ApiError:
    """Return what an unknown or expired file gets: 403, as if it were somebody else's."""
    return ApiError(
        403, "PERMISSION_DENIED", f"You do not have permission to access the File {name} or it may not exist."
    )


def unknown_model(model: str, version: str, method: str) -> ApiError:
    """Return 404 for an id that was never served."""
    return ApiError(
        404,
        "NOT_FOUND",
        f"models/{model} is not found for API version {version}, or is not supported for {method}. "
        "Call ListModels to see the list of available models and their supported methods.",
    )


def retired_model(model: str) -> ApiError:
    """Return 404 for a model that was shut down, or is closed to new keys."""
    return ApiError(
        404,
        "NOT_FOUND",
        f"This model models/{model} is no longer available to new users. "
        "Please update your code to use a newer model.",
    )


def not_found(path: str) -> ApiError:
    """Return 404 for a path that the service does not have."""
    return ApiError(404, "NOT_FOUND", f"Requested entity was not found: {path}")


def rate_limited(model: str, period: str, quota: int, retry_delay_s: float | None) -> ApiError:
    """Return 429 with QuotaFailure and, where a delay is known, RetryInfo.

    ``period``: ``Minute`` or ``Day``, part of the quota's id.
    """
    quota_id = f"GenerateRequestsPer{period}PerProjectPerModel"
    violation = {
        "quotaMetric": "generativelanguage.googleapis.com/generate_content_paid_tier_requests",
        "quotaId": quota_id,
        "quotaDimensions": {"location": "global", "model": model},
        "quotaValue": str(quota),
    }
    details: list[dict[str, Any]] = [{"@type": TYPE + "QuotaFailure", "violations": [violation]}]
    if retry_delay_s is not None:
        details.append(
            {"@type": TYPE + "RetryInfo", "retryDelay": f"{retry_delay_s:.6f}".rstrip("0").rstrip(".") + "s"}
        )
    return ApiError(
        429, "RESOURCE_EXHAUSTED", f"You exceeded your current quota: {quota_id}, limit {quota}.", details
    )


def internal() -> ApiError:
    """Return 500."""
    return ApiError(500, "INTERNAL", "An internal error has occurred. Please retry.")


def unavailable() -> ApiError:
    """Return 503."""
    return ApiError(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")


def deadline_exceeded() -> ApiError:
    """Return 504."""
    return ApiError(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete.")
