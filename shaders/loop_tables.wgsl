// Provides: tables, what the triangles are made of and what the credit rule for vertices needs to know of them.

// Three entries per triangle: (vertex, bits of u, bits of v, tangent). From 12 F on F + 1 starts and the vertices that
// the shading of each triangle reads, ascending.
@group(0) @binding(3) var<storage, read> tables: array<u32>;

fn triangle_corner(triangle: u32, k: u32) -> vec4u {
    let at = 12u * triangle + 4u * k;
    return vec4u(tables[at], tables[at + 1u], tables[at + 2u], tables[at + 3u]);
}
