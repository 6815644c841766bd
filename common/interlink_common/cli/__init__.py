"""The command `interlink-plugin`: serves a plugin, checks it, and sends pods to it as interLink does.

Open `main` first: it lists the commands, and each is in a module of its own. `configuration` decides where the value of a setting comes
from.
"""
