"""The sim world's own machinery: a loop on virtual time and wires in memory."""
