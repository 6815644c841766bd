"""What plugins of batch systems share: pods as jobs that podrunner carries, and what comes of its event streams."""
