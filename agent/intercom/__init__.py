"""The door's ear and mouth: owns the sound card, decides who is heard where and when.

Nothing is imported here: a door without `[voice]` pays for none of it.
"""
