// Provides: credit, the rule for vertices: every vertex that the shading of either triangle reads, each once.
#include loop_step
#include loop_sums
#include loop_tables

// `sums` holds, after its head, one sum per triangle and then one per vertex: a pixel adds to the triangles that its
// two images show, and takes back from the vertices that both triangles read. A vertex's own sum is then its entry plus
// those of all triangles that read it.
fn credit_side(side: f32) {}

fn credit(scaled: vec3f, id_plus: u32, id_minus: u32, row: u32) {
    let amount = amount_of(scaled.x);
    if (id_plus > 0u) {
        atomicAdd(&sums.rows[id_plus - 1u], amount);
    }
    if (id_minus == id_plus || id_minus == 0u) {
        return;
    }
    atomicAdd(&sums.rows[id_minus - 1u], amount);
    if (id_plus == 0u) {
        return;
    }
    let starts = 12u * now.triangles;
    let listed = starts + now.triangles + 1u;
    var i = tables[starts + id_plus - 1u];
    var j = tables[starts + id_minus - 1u];
    let end_i = tables[starts + id_plus];
    let end_j = tables[starts + id_minus];
    while (i < end_i && j < end_j) {
        let p = tables[listed + i];
        let q = tables[listed + j];
        if (p == q) {
            atomicAdd(&sums.rows[now.triangles + p], -amount);
        }
        i += u32(p <= q);
        j += u32(q <= p);
    }
}
