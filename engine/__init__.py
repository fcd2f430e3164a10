"""Everything that computes: from posed photographs to a relightable mesh; never imports Qt."""
