"""The technician's command line: stdout is data, stderr is talk."""
