"""What every fast implementation stands on: numba settings, deterministic scatter, WebGPU, WGSL."""
