"""CAN logs: frames from files, signals from frames, diagnostic transcripts."""
