"""One plugin as a server: HTTP on a socket, errors as sentences, health, metrics, tracing. The only package that knows FastAPI.

Open `app` first: interLink's four routes. `server` starts and stops all of it, `errors` is the table from exceptions to HTTP.
"""
