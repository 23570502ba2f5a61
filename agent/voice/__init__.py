"""The sound of the door between a packet and a period: codec, play-out, switch, chimes, files."""
