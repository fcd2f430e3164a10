"""Open an exported GLB in Blender and say how it arrived: python tests/tools/check_in_blender.py ASSET.glb [IMAGE.png]

Run by a Python that has `bpy`. Prints mesh, axes, and which image feeds which input of the material; exits 1 when one
of base colour, roughness, metallic or normal is not wired as the file says. With IMAGE, draws one view with Cycles too.
"""

import math
import sys

import bpy
import mathutils


def image_behind(socket) -> tuple[str, str, str] | None:
    """(image name, colour space, way taken) of the texture that feeds an input, or None."""
    way = []
    links = list(socket.links)
    while links:
        link = links[0]
        node = link.from_node
        way.append(f"{node.bl_idname.removeprefix('ShaderNode')}.{link.from_socket.name}")
        if node.type == "TEX_IMAGE":
            return node.image.name, node.image.colorspace_settings.name, " <- ".join(way)
        named = [node.inputs[name] for name in ("Color", "Image", "A", "Value") if name in node.inputs]
        links = [link for entry in [*named, *node.inputs] for link in entry.links]
    return None


def describe(path: str) -> bool:
    """Print what arrived; whether the textures are wired as glTF says."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=path)
    right = True
    for entry in bpy.data.objects:
        if entry.type != "MESH":
            continue
        mesh = entry.data
        corners = [entry.matrix_world @ mathutils.Vector(corner) for corner in entry.bound_box]
        low = [min(corner[axis] for corner in corners) for axis in range(3)]
        high = [max(corner[axis] for corner in corners) for axis in range(3)]
        print(f"object {entry.name!r} mesh {mesh.name!r}: {len(mesh.vertices)} vertices, {len(mesh.polygons)} polygons")
        print(f"  uv layers {[layer.name for layer in mesh.uv_layers]}, custom normals {mesh.has_custom_normals}")
        print(f"  world box (Blender is +Z up) {[round(x, 4) for x in low]} to {[round(x, 4) for x in high]}")
        print(f"  rotation {[round(x, 5) for x in entry.matrix_world.to_quaternion()]} (w x y z)")
        for slot in entry.material_slots:
            material = slot.material
            shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
            print(f"  material {material.name!r}")
            wanted = {"Base Color": "sRGB", "Roughness": "Non-Color", "Metallic": "Non-Color", "Normal": "Non-Color"}
            for name, space in wanted.items():
                found = image_behind(shader.inputs[name])
                print(f"    {name}: {found or 'value ' + str(getattr(shader.inputs[name], 'default_value', None))}")
                right &= found is None or found[1] == space
                if found and name in ("Roughness", "Metallic"):
                    right &= ("Green" if name == "Roughness" else "Blue") in found[2]
                if found and name == "Normal":
                    right &= "NormalMap" in found[2]
    for image in bpy.data.images:
        print(f"image {image.name!r} {tuple(image.size)} {image.colorspace_settings.name}")
    return right


def draw(target: str, samples: int = 16, size: int = 384) -> None:
    """Draw the scene from the front and above under a plain sky."""
    scene = bpy.context.scene
    meshes = [entry for entry in scene.objects if entry.type == "MESH"]
    corners = [entry.matrix_world @ mathutils.Vector(corner) for entry in meshes for corner in entry.bound_box]
    low = mathutils.Vector(min(corner[axis] for corner in corners) for axis in range(3))
    high = mathutils.Vector(max(corner[axis] for corner in corners) for axis in range(3))
    centre, radius = (low + high) / 2, (high - low).length / 2
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.angle = math.radians(35)
    elevation = math.radians(20)
    direction = mathutils.Vector((0, -math.cos(elevation), math.sin(elevation)))  # glTF's front is Blender's -Y
    camera.location = centre + direction * (1.02 * radius / math.sin(math.radians(17.5)))
    camera.rotation_euler = direction.to_track_quat("Z", "Y").to_euler()
    camera.data.clip_start, camera.data.clip_end = radius * 0.01, radius * 100
    scene.collection.objects.link(camera)
    scene.camera = camera
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy, sun.rotation_euler = 3.0, (math.radians(50), 0, math.radians(-30))
    scene.collection.objects.link(sun)
    scene.world = bpy.data.worlds.new("world")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.7, 0.8, 1.0, 1)
    scene.render.engine, scene.cycles.device, scene.cycles.samples = "CYCLES", "CPU", samples
    scene.cycles.use_denoising = False
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.render.filepath = target
    bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    wired = describe(sys.argv[1])
    print("wired as glTF says" if wired else "NOT wired as glTF says")
    if len(sys.argv) > 2:
        draw(sys.argv[2])
    sys.exit(0 if wired else 1)
