"""What all splatters agree on (Kerbl et al. 2023, arXiv 2308.04079)."""

LOW_PASS = 0.3  # px^2 added to the diagonal of the projected covariance
ALPHA_MAX = 0.99  # alpha is clamped to it
ALPHA_MIN = 1 / 255  # and skipped below
STOP = 1e-4  # a splat that would take the transmittance below it is not blended, nor any behind it
NEAR = 0.01  # least camera depth of a mean, in capture units
JACOBIAN_LIMIT = 1.3  # the projection is linearized at most so many half fields of view off the axis
TILE = 16  # pixels
