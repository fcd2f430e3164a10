"""Composing WGSL: strict about names, exact about where a line came from; no GPU needed."""

import numpy as np
import pytest

from engine.errors import ShaderError
from engine.kernels.wgsl import compose, shader_names

PARTS = {
    "top": "// Provides: top\n#include left\n#include right\nfn top() -> f32 {\n    return left() + right();\n}\n",
    "left": "// Provides: left\n#include shared\nfn left() -> f32 {\n    return shared;\n}\n",
    "right": "// Provides: right\n#include shared\nfn right() -> f32 {\n    return shared;\n}\n",
    "shared": "// Provides: shared\n#constant shared = 2.5\n",
}


@pytest.mark.parametrize(
    ("value", "text"), [(np.float32(0.5), "0.5"), (np.int64(4), "4"), (np.uint8(3), "3"), (np.bool_(True), "true")]
)
def test_constants_may_be_numpys(value, text):
    assert f"const shared = {text};" in compose("top", sources=PARTS, constants={"shared": value}).text


@pytest.mark.parametrize("value", [float("inf"), float("nan"), np.float32("-inf"), "2"])
def test_constants_that_are_no_number_of_wgsl_are_errors(value):
    with pytest.raises(ShaderError, match="constant shared = .*: WGSL has no such number"):
        compose("top", sources=PARTS, constants={"shared": value})


def test_directives_in_block_comments_are_text():
    text = "// Provides: all /*\n/* one /* two\n#include nowhere\n*/ #x\n#ifdef // */\n#include shared\n"
    source = compose("all", sources={**PARTS, "all": text})
    assert "const shared = 2.5;" in source.text
    assert source.text.splitlines()[2] == "#include nowhere" and source.origin(3) == ("all", 3)


def test_what_two_parts_include_is_there_once():
    source = compose("top", sources=PARTS)
    assert source.text.count("const shared = 2.5;") == 1
    assert "#" not in source.text
    assert source.text.index("const shared") < source.text.index("fn left") < source.text.index("fn top")


def test_every_line_knows_where_it_came_from():
    source = compose("top", sources=PARTS)
    for number, line in enumerate(source.text.splitlines(), 1):
        name, at = source.origin(number)
        written = PARTS[name].splitlines()[at - 1]
        assert line == written or (written.startswith("#constant") and line == "const shared = 2.5;")
    assert len(source.text.splitlines()) == len(source.origins)


@pytest.mark.parametrize(("value", "text"), [(4, "4"), (0.5, "0.5"), (True, "true"), (1e-9, "1e-09")])
def test_constants_can_be_set_from_outside(value, text):
    assert f"const shared = {text};" in compose("top", sources=PARTS, constants={"shared": value}).text


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("lefd", "did you mean 'left'?"),
        ("visibilty", "did you mean 'visibility'?"),  # Unrender's own can be included too
        ("topp", "an include is a file of Unrender's folder shaders"),  # what includes it cannot
    ],
)
def test_a_missing_part_is_an_error_that_names_the_line_and_the_nearest(wanted, hint):
    with pytest.raises(ShaderError) as error:
        compose("top", sources={**PARTS, "top": PARTS["top"].replace("#include left", f"#include {wanted}")})
    assert str(error.value) == f"shader top, line 2: nothing is called {wanted!r}; {hint}"


def test_a_missing_shader_is_an_error_that_names_what_there_is():
    with pytest.raises(ShaderError, match="no shader is called 'nowhere'; there are .*visibility"):
        compose("nowhere")


def test_a_cycle_is_an_error_that_shows_it():
    with pytest.raises(ShaderError, match="shader shared, line 3: left includes shared includes left, a cycle"):
        compose("left", sources={**PARTS, "shared": PARTS["shared"] + "#include left\n"})


@pytest.mark.parametrize("line", ["#includ left", "#include", "#include left right", "#constant x", "#", "# ifdef x"])
def test_other_directives_are_errors(line):
    with pytest.raises(ShaderError, match="shader bad, line 2: '#.*is neither '#include NAME'"):
        compose("bad", sources={**PARTS, "bad": f"// Provides: nothing\n{line}\n"})


def test_constants_that_nobody_declares_or_two_declare_are_errors():
    with pytest.raises(ShaderError, match="no '#constant size = ...'.*declared are shared"):
        compose("top", sources=PARTS, constants={"size": 3})
    with pytest.raises(ShaderError, match="shader left, line 6: constant shared is declared in shared, line 2"):
        compose("top", sources={**PARTS, "left": PARTS["left"] + "#constant shared = 1\n"})


def test_a_part_from_outside_takes_the_place_of_the_usual_one():
    parts = {"pass": "// Provides: pass\n#include shading or flat\n", "flat": "const usual = 1;\n"}
    assert "usual" in compose("pass", sources=parts).text
    mine = compose("pass", sources={**parts, "shading": "const mine = 1;\n"}).text
    assert "mine" in mine and "usual" not in mine
    with pytest.raises(ShaderError, match="nothing is called 'flat'"):
        compose("pass", sources={"pass": parts["pass"]})


def test_shipped_shaders_are_found_by_name():
    assert {"visibility", "barycentrics", "locate"} <= set(shader_names())
