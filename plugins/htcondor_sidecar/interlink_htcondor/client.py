"""The program that talks to HTCondor: one process per credential, because htcondor2 holds the GIL for as long as a call takes.

Started by `process.py` as `python -m interlink_htcondor.client`. Requests and answers are JSON, one a line, on standard input and output:
`{"call": "query", "arguments": {...}}` is answered `{"result": ...}`, or `{"error": "a sentence", "refused": true|false}`; refused means
that asking again changes nothing. It ends when its input does. The only module that imports htcondor2 and classad2.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import classad2
import htcondor2

from interlink_common.faultpoints import fault_point

Ad = dict[str, Any]

UNSPOOLED = "htcondor-unspooled"
"""The fault point between a submit and the sending of its files."""

PERMANENT_WORDS = ("Submit", "submit", "parse", "expression", "SUBMIT_REQUIREMENT", "attribute")
"""htcondor2 has one exception for everything; a submit that the schedd or the parser objects to says one of these."""


class Client:
    """The calls, by name. Each may raise whatever htcondor2 does."""

    def __init__(self, collector: str, schedd: str) -> None:
        self._collector = htcondor2.Collector(collector) if collector else htcondor2.Collector()
        self._name = schedd
        self._schedd: htcondor2.Schedd | None = None
        self._log: htcondor2.JobEventLog | None = None

    @property
    def schedd(self) -> htcondor2.Schedd:
        """Where it is, is asked once, and again after an error: a schedd that was restarted has another address."""
        if self._schedd is None:
            self._schedd = htcondor2.Schedd(self._location())
        return self._schedd

    def forget(self) -> None:
        self._schedd = None

    def _location(self) -> classad2.ClassAd:
        if self._name:
            return self._collector.locate(htcondor2.DaemonType.Schedd, self._name)
        found = self._collector.locateAll(htcondor2.DaemonType.Schedd)
        if len(found) != 1:
            raise LookupError(f"the collector knows {len(found)} schedds: set pool.schedd to the name of one")
        return found[0]

    def versions(self) -> Ad:
        ad = self._location()
        return {"schedd": ad["CondorVersion"], "name": ad["Name"], "client": htcondor2.version()}

    def submit(self, template: dict[str, str], items: list[dict[str, str]]) -> list[str]:
        """One transaction of as many jobs as there are items, files and all; returns their ids, in order."""
        description = htcondor2.Submit(template)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = self.schedd.submit(description, spool=True, itemdata=iter(items))
        fault_point(UNSPOOLED)
        cluster, first = result.cluster(), result.first_proc()
        try:
            self.schedd.spool(result)
        except Exception:
            self.schedd.act(htcondor2.JobAction.Remove, f"ClusterId == {cluster}", ("its files could not be sent", 0))
            raise
        return [f"{cluster}.{first + number}" for number in range(result.num_procs())]

    def query(self, constraint: str, projection: Sequence[str]) -> list[Ad]:
        return [plain(ad, projection) for ad in self.schedd.query(constraint, list(projection))]

    def history(self, jobs: list[str], projection: Sequence[str]) -> list[Ad]:
        """The last ads of jobs that left the queue."""
        return [plain(ad, projection) for ad in self.schedd.history(any_of(jobs), list(projection), len(jobs))]

    def edit(self, jobs: list[str], attribute: str, expression: str) -> None:
        """Sets an attribute of those jobs that are still there, also of a running one (SetDirty: the schedd sends it to the shadow)."""
        constraint = any_of(jobs)
        try:
            self.schedd.edit(constraint, attribute, expression, htcondor2.TransactionFlag.SetDirty)
        except htcondor2.HTCondorException:
            if self.schedd.query(constraint, ["ClusterId"]):  # else there was none to edit, which is an error as well
                raise

    def act(self, action: str, jobs: list[str], reason: str) -> None:
        """Those that are gone already are no error; not being allowed to is."""
        # A plain text would be lost: htcondor2 25.14.1 reads the reason of a pair only.
        done = self.schedd.act(htcondor2.JobAction[action], jobs, (reason, 0))
        if done is not None and done["TotalPermissionDenied"]:
            raise PermissionError("the credential may not act on these jobs")

    def retrieve(self, jobs: list[str], completed: list[str]) -> None:
        """Brings the spool directories of jobs into the directories they were submitted from.

        Of a completed job only what was transferred when it ended would come: SpooledOutputFiles says so, and our chunks are not in it.
        """
        if completed:
            self.edit(completed, "SpooledOutputFiles", "UNDEFINED")
        self.schedd.retrieve(jobs)

    def slots(self, constraint: str, projection: Sequence[str]) -> list[Ad]:
        found = self._collector.query(htcondor2.AdType.Startd, constraint or True, list(projection))
        return [plain(ad, projection) for ad in found]

    def events(self, path: str, patience_seconds: float) -> bool:
        """Whether the event log has something new. The first call of a process skips what is there."""
        fresh = self._log is None
        if self._log is None:
            self._log = htcondor2.JobEventLog(path)
        news = False
        for _ in self._log.events(stop_after=0 if fresh else int(patience_seconds)):
            news = True
            break
        for _ in self._log.events(stop_after=0):
            news = True
        return news or fresh


def any_of(jobs: Sequence[str]) -> str:
    """A constraint for jobs by their ids."""
    return " || ".join(f"(ClusterId == {cluster} && ProcId == {proc})" for cluster, proc in (job.split(".") for job in jobs))


def plain(ad: classad2.ClassAd, projection: Sequence[str]) -> Ad:
    """Those attributes as JSON values, by the names that were asked for, whatever their case is in the ad; without what is undefined."""
    found = {}
    for name in projection:
        value = ad.get(name)
        if isinstance(value, classad2.ExprTree):
            value = value.eval()
        if isinstance(value, (str, int, float, bool)):
            found[name] = value
    return found


def answer(client: Client, line: str) -> Ad:
    """Carries out one request. A connection that broke, as after a restart of the schedd, is tried once more."""
    request = json.loads(line)
    call: Callable[..., Any] = getattr(client, request["call"])
    retried = request["call"] in {"query", "slots", "history", "edit", "act", "versions"}
    for attempts_left in (1, 0) if retried else (0,):
        try:
            return {"result": call(**request["arguments"])}
        except Exception as error:  # noqa: BLE001  every one becomes an answer
            client.forget()
            if not attempts_left:
                return {"error": words(error), "refused": is_refusal(error, request["call"])}
    raise AssertionError


def words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def is_refusal(error: Exception, call: str) -> bool:
    """Whether asking again changes nothing: only a submit is ever refused, everything else may be a schedd that is away."""
    if call != "submit":
        return False
    return isinstance(error, (ValueError, TypeError, KeyError)) or any(word in str(error) for word in PERMANENT_WORDS)


def main() -> None:
    """`argv`: collector, schedd. What htcondor2 prints must not get between the answers, so they go to a descriptor of their own."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    os.umask(0o077)
    client = Client(*sys.argv[1:3])
    for line in sys.stdin:
        answers.write(json.dumps(answer(client, line)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
