"""The command `interlink-plugin`: serves a plugin, checks it, and acts as interLink towards one. `main` assembles it."""
