"""interLink's wire contract: models of the request bodies, the answers, and the parts of v1.Pod that plugins read. Pure.

Open `pod` first. `wire` has what all models share: unknown fields survive. `bodies` decodes a request body, `answers` holds an error's
sentence and the answer to a ping.
"""
