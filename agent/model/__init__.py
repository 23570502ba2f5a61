"""What the door speaks about: events, actions, principals, outcomes. No I/O, no clock, no randomness."""
