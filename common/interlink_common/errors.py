"""The exception tree of the suite.

::

    PluginError                      every error this suite raises on purpose
    ├── Permanent                    the same call will never work
    │   ├── BadRequest               400  the body does not follow the contract
    │   ├── Refused                  422  a well-formed pod that this plugin will not run
    │   ├── NotFound                 404  no such pod or container here
    │   ├── Gone                     410  the pod was deleted; it will not be created again
    │   ├── TooLarge                 413  the body is over the size limit
    │   └── ConfigurationError       the operator's settings are wrong; the process ends
    └── Temporary                    the same call may work later
        └── BackendUnavailable       503  the backend can't be reached; states stay as they are

Every message is one sentence for a person: it names the field or the thing, and the remedy.
"""

from __future__ import annotations

from typing import ClassVar


class PluginError(Exception):
    """Root of the tree; `str(error)` is the sentence a person reads."""

    http_status: ClassVar[int] = 500


class Permanent(PluginError):
    """The same call will never work."""

    http_status = 422


class BadRequest(Permanent):
    """The request body does not follow the contract; the sentence names the field."""

    http_status = 400


class Refused(Permanent):
    """A well-formed pod that this plugin will not run; the sentence names the field and the remedy."""

    http_status = 422


class NotFound(Permanent):
    """No such pod, container or attempt here."""

    http_status = 404


class Gone(Permanent):
    """The pod was deleted; its UID will not be created again."""

    http_status = 410


class TooLarge(Permanent):
    """The request body is over the configured size limit."""

    http_status = 413


class ConfigurationError(Permanent):
    """The operator's settings are wrong; the sentence names the setting."""


class Temporary(PluginError):
    """The same call may work later; `retry_after_seconds` is the backend's hint, if it gave one."""

    http_status = 503

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class BackendUnavailable(Temporary):
    """The backend can't be reached. States stay as they are until it can."""
