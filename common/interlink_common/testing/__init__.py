"""The test kit for plugin authors: request bodies, a judging client, a scripted backend and the contract suite. See each module."""
