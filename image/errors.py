"""What goes wrong while an image is made."""

from __future__ import annotations


class ImageError(Exception):
    """A sentence for the person who builds: what is wrong, and what to do."""
