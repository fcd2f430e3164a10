"""Surface points to radiance: BRDF, environment light, material fields, tone and colour."""
