"""The library that every interLink plugin shares.

Open `backend` first: it is the seam that a plugin implements, and says what the library does for it. `docs/architecture.md` shows how the
packages build on each other.
"""
