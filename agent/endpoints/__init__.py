"""The door's endpoints: edges of the hardware become Events, Actions become port calls."""

from agent.endpoints.house import House

__all__ = ["House"]
