"""The subcommands of `portero`; agent/cli.py lists them."""
