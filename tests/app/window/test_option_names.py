"""Option keys in the engine's sentences, as the window calls them."""

from __future__ import annotations

from app.window.option_names import in_words, place_of


def test_keys_become_the_names_that_the_recipe_panel_shows():
    assert place_of("refine.learning_rate") == "Refine › Learning rate"
    assert in_words("volume.steps = 'x': expected a whole number").startswith("“Volume › Steps” = 'x'")


def test_a_flag_of_the_command_line_becomes_the_name_alone():
    assert in_words("give it with --set refine.mesh=FILE (GLB)") == "give it with “Refine › Mesh” (GLB)"


def test_file_names_and_other_dotted_words_stay():
    text = "photos/transforms.json: e.g. scene.glb cannot be read; see engine.errors"
    assert in_words(text) == text
