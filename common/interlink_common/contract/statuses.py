"""Answers of GET /status and POST /create: what the virtual kubelet reads of v1.ContainerStatus.

Dump with `by_alias=True, exclude_none=True`.
Times are RFC 3339 in UTC. Lists are never null, because an empty or missing `containers` means Succeeded to the virtual kubelet.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid", frozen=True)


class StateWaiting(Answer):
    reason: str
    message: str | None = None


class StateRunning(Answer):
    started_at: str


class StateTerminated(Answer):
    """`exit_code` is always there: without it the virtual kubelet takes an abnormal end for a success."""

    exit_code: int
    reason: str | None = None
    message: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    container_id: str | None = Field(None, alias="containerID")


class ContainerState(Answer):
    """Exactly one of the three, or none in `lastState` of a first attempt."""

    waiting: StateWaiting | None = None
    running: StateRunning | None = None
    terminated: StateTerminated | None = None


class ContainerStatus(Answer):
    name: str
    state: ContainerState
    last_state: ContainerState = ContainerState()
    ready: bool = False
    restart_count: int = 0
    image: str = ""
    image_id: str = Field("", alias="imageID")
    container_id: str | None = Field(None, alias="containerID")
    started: bool = False


class PodStatusEntry(Answer):
    name: str
    uid: str = Field(alias="UID")
    namespace: str
    jid: str = Field(alias="JID")
    containers: list[ContainerStatus]
    init_containers: list[ContainerStatus]


class CreateAnswer(Answer):
    """Answer of POST /create, one object also where the request was a list."""

    pod_uid: str = Field(alias="PodUID")
    pod_jid: str = Field(alias="PodJID")
