"""One plugin as a server: HTTP on a socket, errors as sentences, health, metrics, tracing. The only package that knows FastAPI.

Open `app` first: interLink's four routes. `calls` is what every call passes before them, `errors` the table from exceptions to HTTP.
`server` starts and stops all of it.
"""
