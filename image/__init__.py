"""The image for the card of a door: parts (data), tree (Debian), disk (partitions), checks, and the boot test."""
