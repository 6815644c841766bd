"""Judges a plugin's answers as interLink and its virtual kubelet would suffer them.

A status answer first meets the rules (`rules`), which find fault by the contract's numbered points, and then the virtual
kubelet's own code (`kubelet`), which is where crashes show. An answer that passes has moved the pod's status on, as the
next request will carry it.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.kubelet import KubeletCrashError, apply_answer
from interlink_common.virtualkubelet.rules import POINTS, RULES, Case

Document = dict[str, Any]

_MANGLED = set("<>&\"'\n\r")


class JudgeError(AssertionError):
    """The answer would harm a pod. `point` is its number under "GET /status" in interLink's plugin contract."""

    def __init__(self, point: int, detail: str) -> None:
        super().__init__(f"point {point} ({POINTS[point]}): {detail}")
        self.point = point


class SentenceError(AssertionError):
    """An error body that would not reach a person in one readable piece."""


def judge_sentence(text: str) -> None:
    """An error body is one plain sentence: interLink escapes it as HTML and Go prints it inside other errors. Raises SentenceError."""
    if not text.strip():
        raise SentenceError("the error body is empty")
    if len(text) > 300:
        raise SentenceError(f"the error body has {len(text)} characters, over 300 are too many: {text[:80]}...")
    if text.lstrip().startswith(("{", "[")):
        raise SentenceError(f"the error body is JSON, not a sentence: {text}")
    if found := sorted(_MANGLED.intersection(text)):
        raise SentenceError(f"the error body holds {found}, which interLink mangles: {text}")


def judge_status(pod: VirtualPod, body: bytes) -> bool:
    """Takes the body of a 200 answer to GET /status for this pod, and moves the pod's status on.

    Returns False if the answer says nothing of the pod, which keeps its state (use it for: backend unreachable). An answer
    about a pod that already ended is thrown away, as the virtual kubelet does. Raises JudgeError.
    """
    answer = _entry_of(pod, body)
    if answer is None or pod.ended:
        return False
    case = Case(pod.document, answer)
    for rule in RULES:
        for point, detail in rule(case):
            raise JudgeError(point, detail)
    status = deepcopy(pod.status)
    try:
        apply_answer(status, answer)
    except KubeletCrashError as crash:
        raise JudgeError(7, f"the virtual kubelet crashes: {crash}") from None
    pod.document["status"] = status
    return True


def _entry_of(pod: VirtualPod, body: bytes) -> Document | None:
    try:
        answers = json.loads(body)
    except ValueError as error:
        raise JudgeError(10, f"not JSON: {error}") from None
    if answers is not None and not isinstance(answers, list):
        raise JudgeError(0, f"not a list but {type(answers).__name__}")
    for answer in answers or []:
        if not isinstance(answer, dict):
            raise JudgeError(0, f"an element is not an object but {type(answer).__name__}")
        if answer.get("UID") == pod.uid:
            return answer
    return None
