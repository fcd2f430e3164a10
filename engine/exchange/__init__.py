"""Assets in and out: GLB, OBJ, PLY, HDR, splats, turntable, and the check that re-renders what was written.

Names are loaded when first used: only the renderer and the check need torch.
"""

from importlib import import_module

_HOMES = {
    "write_glb": "glb",
    "write_obj": "obj",
    "write_ply": "ply",
    "write_hdr": "hdr",
    "read_hdr": "hdr",
    "write_environment": "hdr",
    "read_environment": "hdr",
    "is_foreign_gltf": "read",
    "read_asset": "read",
    "read_asset_and_up": "read",
    "read_mesh": "read",
    "TangentSpace": "tangents",
    "tangent_attributes": "tangents",
    "AssetRenderer": "render",
    "SurfaceMaps": "render",
    "render_asset": "render",
    "shading_normal": "render",
    "check_export": "check",
    "turntable": "film",
    "holds_splats": "splats",
    "read_splats": "splats",
    "splats_up": "splats",
    "write_splats": "splats",
    "write_splat_html": "splat_html",
    "write_backdrop": "backdrop",
    "read_backdrop": "backdrop",
    "write_png": "film",
    "write_video": "film",
}

__all__ = list(_HOMES)  # noqa: PLE0604


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(f"engine.exchange.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
