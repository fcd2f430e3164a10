"""A user's WGSL is judged by what it says, whatever its spelling, and what is wrong is told by file and line."""

from __future__ import annotations

import pytest

from engine.errors import RecipeError, ShaderError
from engine.shading.blackbox import open_shading
from engine.shading.wgsl_signature import without_comments

BODY = "{ return surface.base_color; }"
FINE = f"fn shade(surface: Surface) -> vec3f {BODY}"


def opened(tmp_path, text: str, encoding: str = "utf-8"):
    file = tmp_path / "mine.wgsl"
    file.write_text(text, encoding=encoding)
    return open_shading("", file)


@pytest.mark.parametrize(
    "text",
    [
        f"fn   shade ( surface : Surface , ) -> vec3 < f32 > {BODY}",
        f"fn\nshade\n(\n    surface: Surface,\n)\n    -> vec3f\n{BODY}",
        f"fn/* one */shade(/* two // */surface: Surface) -> vec3f {BODY} // fn shade()",
        f"alias Color = vec3f;\nalias Mine = Color;\nfn shade(surface: Surface) -> Mine {BODY}",
        f"// #include surface\n// enable f16;\n/* fwidth(1.0) @group(1) */\n@must_use {FINE}",
        f"#include surface\nfn fwidth(x: f32) -> f32 {{ return x; }}\n{FINE.replace('color;', 'color * fwidth(1.0);')}",
    ],
)
def test_any_spelling_will_do(tmp_path, text):
    opened(tmp_path, text).check()


def test_a_file_of_windows_will_do(tmp_path):
    opened(tmp_path, f"// mine\r\n{FINE}\r\n", "utf-8-sig").check()


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ("fn shade(n: vec3f) -> vec3f { return n; }", "shade takes a vec3f instead of a Surface"),
        ("fn shade(s: ptr<function, vec3f>) -> vec3f { return *s; }", "shade takes a ptr<function,vec3f> instead of"),
        ("fn shade() -> vec3f { return vec3f(1.0); }", "shade takes 0 arguments instead of one"),
        ("fn shade(s: Surface, t: array<f32, 2>) -> vec3f { return s.normal; }", "shade takes 2 arguments"),
        ("fn shade(s: Surface) -> vec4f { return vec4f(1.0); }", "shade returns a vec4f instead of a vec3f"),
        ("alias C = f32;\nfn shade(s: Surface) -> C { return 1.0; }", "shade returns a f32 instead of a vec3f"),
        ("fn shade(s: Surface) { }", "shade returns nothing"),
        ("fn shade(s: Surface) -> C { return C(s.normal); } struct C { rgb: vec3f }", "shade returns a C instead of"),
    ],
)
def test_another_signature_is_told_by_the_users_file_and_line(tmp_path, declared, says):
    place = rf"mine\.wgsl, line {2 + declared.count('alias')}, column 1: "
    with pytest.raises(ShaderError, match=place + says) as error:
        opened(tmp_path, f"/* fn shade(x: f32) */ // mine\n{declared}\n")
    assert "declare fn shade(surface: Surface) -> vec3f" in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("// fn shade\nfn shad(surface: Surface) -> vec3f { return surface.normal; }", "in it, but 'shad' in line 2;"),
        ("/* " + FINE + " */", "vec3f' in it; add"),
        ("fn shade_twice(x: f32) -> f32 { return 2.0 * x; }", "in it, but 'shade_twice' in line 1;"),
    ],
)
def test_a_file_without_the_function_is_refused(tmp_path, text, says):
    with pytest.raises(RecipeError, match=r"mine\.wgsl: there is no 'fn shade.*" + says):
        opened(tmp_path, text)


def test_a_shade_of_an_include_will_do_but_not_beside_ones_own(tmp_path):
    opened(tmp_path, "#include toon\n").check()
    with pytest.raises(ShaderError, match=r"mine\.wgsl, line 2: toon, which it includes, provides a shade already"):
        opened(tmp_path, f"#include toon\n{FINE}")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("enable f16;", "'enable f16;' is a directive"),
        ("diagnostic(off, derivative_uniformity);", "is a directive"),
        ("  requires pointer_composite_access;", "is a directive"),
        ("@group(1) @binding(0) var<storage, read> mine: array<f32>;", "no bindings of its own"),
        ("fn mine(x: f32) -> f32 { return fwidth(x); }", "fwidth is there in fragment shaders only.*do without"),
        ("fn mine(x: f32) -> f32 { return dpdxFine(x); }", "dpdxFine is there in fragment shaders only"),
        ("fn mine() { discard; }", "discard is there in fragment shaders only"),
        ("fn mine() -> vec4f { return textureSample(t, s, uv); }", "use textureSampleLevel"),
    ],
)
def test_what_no_shading_can_use_is_told_by_file_and_line(tmp_path, line, says):
    with pytest.raises(ShaderError, match=rf"mine\.wgsl, line 2, column \d+: .*{says}"):
        opened(tmp_path, f"// mine\n{line}\n{FINE}\n")


def test_comments_leave_everything_in_its_place():
    text = "a /* b /* c */ // d\n*/ e // f /* g\nh // */ i"
    assert without_comments(text) == "a " + " " * 17 + "\n   e" + " " * 10 + "\nh" + " " * 8
