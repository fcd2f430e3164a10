"""Everything that computes: from posed photographs to a relightable mesh; never imports Qt."""

import time

BEGAN = time.monotonic() - time.process_time()  # this program: the interpreter's start is processor time
