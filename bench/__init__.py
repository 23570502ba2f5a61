"""Measurements of the hot paths, each beside what a user would pick instead, in one interleaved run."""
