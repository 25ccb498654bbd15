"""Telegram formats: pure codecs from bytes to values and back, one format a file."""
