"""A record told to people: what decided it, in words, and a page to read, print and keep."""
