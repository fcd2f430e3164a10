"""The view of the scene: a camera to move, a thread that draws, and what is painted over the picture."""
