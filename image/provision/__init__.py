"""What a door does with `portero-setup.toml`. It runs on the door, at every start, with Debian's own Python and nothing else, so that
neither an update of the agent nor a broken environment can stop it."""
