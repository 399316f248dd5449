"""Boards: what they hold and how they are reached."""
