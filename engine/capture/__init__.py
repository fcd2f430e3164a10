"""Photos in: readers, masks, splits, the visual hull of the masks, and the doctor."""
