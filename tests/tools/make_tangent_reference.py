"""Write tests/data/tangents_blender.npz: a mesh with seams, mirrored and sheared charts, and the tangents that Blender
(its own MikkTSpace) gives it. Run by a Python that has `bpy`: python tests/tools/make_tangent_reference.py
"""

from pathlib import Path

import bpy
import numpy as np

TARGET = Path(__file__).resolve().parents[1] / "data" / "tangents_blender.npz"


def bumpy_sphere(columns: int = 20, rows: int = 11):
    """(vertices, triangles, uvs with the origin top-left, uv_triangles): three charts, one mirrored, one sheared."""
    v, u = np.meshgrid(np.linspace(0.06, 0.94, rows + 1), np.arange(columns) / columns, indexing="ij")
    theta, phi = v * np.pi, u * 2 * np.pi
    radius = 1 + 0.15 * np.sin(5 * phi) * np.sin(3 * theta) + 0.05 * np.cos(7 * phi + 2 * theta)
    direction = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)
    vertices = (radius[..., None] * direction).reshape(-1, 3).astype(np.float32)
    grid = np.arange((rows + 1) * columns).reshape(rows + 1, columns)
    uvs, triangles, uv_triangles = [], [], []
    for chart, (first, last) in enumerate([(0, 7), (7, 14), (14, columns)]):
        width = last - first
        s, t = np.meshgrid(np.linspace(0, 1, width + 1), np.linspace(0, 1, rows + 1))
        s = [s, 1 - s, 0.6 * s + 0.4 * t][chart]
        base = sum(len(part) for part in uvs)
        uvs.append(np.stack([(chart + 0.02 + 0.96 * s) / 3, 0.02 + 0.96 * t], -1).reshape(-1, 2))
        here = base + np.arange((rows + 1) * (width + 1)).reshape(rows + 1, width + 1)
        there = np.stack([grid[:, (first + i) % columns] for i in range(width + 1)], 1)
        for index, out in ((there, triangles), (here, uv_triangles)):
            a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
            out += [np.stack([a, d, c], -1).reshape(-1, 3), np.stack([a, c, b], -1).reshape(-1, 3)]
    return (
        vertices,
        np.concatenate(triangles).astype(np.int32),
        np.concatenate(uvs).astype(np.float32),
        np.concatenate(uv_triangles).astype(np.int32),
    )


def main() -> None:
    vertices, triangles, uvs, uv_triangles = bumpy_sphere()
    mesh = bpy.data.meshes.new("reference")
    mesh.from_pydata(vertices.tolist(), [], triangles.tolist())
    layer = mesh.uv_layers.new(name="uv")
    flipped = np.stack([uvs[:, 0], 1 - uvs[:, 1]], -1)[uv_triangles.reshape(-1)]
    layer.data.foreach_set("uv", flipped.reshape(-1).astype(np.float32))
    mesh.shade_smooth()
    mesh.update()
    mesh.calc_tangents(uvmap="uv")
    tangents = np.array([[*loop.tangent, loop.bitangent_sign] for loop in mesh.loops], np.float32).reshape(-1, 3, 4)
    normals = np.array([vertex.normal[:] for vertex in mesh.vertices], np.float32)
    corner_normals = np.array([loop.normal[:] for loop in mesh.loops], np.float32).reshape(-1, 3, 3)
    assert np.abs(corner_normals - normals[triangles]).max() < 1e-6
    TARGET.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        TARGET,
        vertices=vertices,
        triangles=triangles,
        uvs=uvs,
        uv_triangles=uv_triangles,
        normals=normals,
        tangents=tangents,
    )
    print(f"{TARGET}: {len(triangles)} triangles, {TARGET.stat().st_size} bytes, Blender {bpy.app.version_string}")


if __name__ == "__main__":
    main()
