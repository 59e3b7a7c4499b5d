"""Replay of what happened: how good the lists would have been, beside older methods' lists."""
