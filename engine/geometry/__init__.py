"""Surfaces that change shape: FlexiCubes, FreeMesh; unwrap, simplification, mesh quality."""
