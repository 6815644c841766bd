"""The yardstick of the status benchmark: a FastAPI route that reads nothing and returns fixed bytes.

Usage: bare.py SOCKET ANSWER_FILE
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Response

app = FastAPI()
ANSWER = Path(sys.argv[2]).read_bytes() if __name__ == "__main__" else b"[]"


@app.get("/status")
async def status() -> Response:
    return Response(ANSWER, media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(app, uds=sys.argv[1], loop="uvloop", http="httptools", log_level="warning", access_log=False)
