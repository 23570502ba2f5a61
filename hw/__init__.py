"""Things on wires: inputs, relays and lamps of a door, real or simulated. Knows nothing of the agent."""
