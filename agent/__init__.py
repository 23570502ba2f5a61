"""Portero: the agent that runs a door."""

__version__ = "0.1.0"
