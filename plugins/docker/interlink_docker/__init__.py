"""Runs pods on a Docker engine."""
