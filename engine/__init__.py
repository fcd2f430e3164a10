"""Everything that computes: from posed photographs to a relightable mesh; never imports Qt."""

import os
import time

BEGAN = time.monotonic() - time.process_time()  # this program: the interpreter's start is processor time
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # read when cv2 is imported; what it says, our errors say
