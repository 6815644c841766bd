"""The ARC plugin: pods as jobs of computing elements, by their REST interface."""
