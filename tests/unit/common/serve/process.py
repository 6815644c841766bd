"""A plugin process on the scripted backend, for tests that send it signals: `process.py STATE LISTEN TELEMETRY`."""

from __future__ import annotations

import sys
from pathlib import Path

from interlink_common.serve.server import run
from interlink_common.settings import PluginSettings, TelemetrySettings
from interlink_common.testing.scripted import ScriptedBackend

if __name__ == "__main__":
    state, listen, telemetry = sys.argv[1:]
    settings = PluginSettings(state_dir=Path(state), listen=listen, telemetry=TelemetrySettings(listen=telemetry))
    run(ScriptedBackend(settings), settings)
