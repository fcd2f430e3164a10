"""Assets in and out: GLB, OBJ, PLY, HDR, turntable, and the check that re-renders what was written."""
