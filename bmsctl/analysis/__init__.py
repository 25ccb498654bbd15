"""Computations on arrays: no device, no file, no clock."""

import numpy.ma  # noqa: F401 -- np.median would load it at its first call, in the middle of a run
