"""Pure helpers for codecs: no I/O, no clock."""
