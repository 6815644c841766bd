"""The journal of a pod whose stream comes as files of a spool, where podrunner puts `events.RUN.NUMBER`.

`submit/` is the directory that the job was sent from and that a fetch writes into; a chunk counts once it was moved to `log/`, so a
fetch that is cut off leaves nothing half.
"""

from __future__ import annotations

import re
from pathlib import Path

from interlink_common.batchsystem.journal import DIRECTORY_MODE, LOG, Chunk, Journal
from interlink_common.jobbundle.bundle import POD, RUNNER, Bundle
from interlink_common.podrunner.sinks import EVENTS_FILE
from interlink_htcondor.ads import News

CHUNK = re.compile(r"events\.(\d{1,15})\.(\d{1,9})")
SUBMIT = "submit"


class SpoolJournal(Journal):
    """One pod's."""

    @property
    def submit_directory(self) -> Path:
        return self.directory / SUBMIT

    def write(self, bundle: Bundle) -> None:
        """The pod's own file of its job, secrets too, for as long as the submit takes."""
        for folder in (self.directory, self.submit_directory, self.directory / LOG):
            folder.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        path = self.submit_directory / POD
        path.touch(mode=0o600)
        path.write_bytes(bundle.files[POD].data)

    def clear(self) -> None:
        """Removes what was sent, which a fetch brings back too."""
        for name in (POD, RUNNER):
            (self.submit_directory / name).unlink(missing_ok=True)

    def take(self, news: News, *, all_of_it: bool = False) -> bool:
        """Takes the chunks that a fetch brought, whole ones only: up to what `news` tells of its run, any of earlier runs, or all.

        True if there is something new.
        """
        (self.directory / LOG).mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        fresh = []
        for path in self.submit_directory.iterdir():
            match = CHUNK.fullmatch(path.name)
            if path.name == EVENTS_FILE and all_of_it:
                chunk = Chunk(1, 1)
            elif match is not None and not path.is_symlink():
                chunk = Chunk(*map(int, match.groups()))
            else:
                continue
            if all_of_it or chunk.run != news.run or chunk.number <= news.number:
                if chunk in self.chunks:
                    path.unlink()
                else:
                    path.rename(self.directory / LOG / chunk.name)
                    fresh.append(chunk)
        self.clear()
        self._keep(fresh)
        return bool(fresh)
