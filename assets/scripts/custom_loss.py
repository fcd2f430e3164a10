"""A loss of your own: compare the edges of the rendered image with those of the photo, besides what the recipe does.

Headless:  unrender script custom_loss.py --capture FOLDER --out edges
The function gets two [H,W,4] tensors, premultiplied linear colour and alpha, and returns one number; torch computes the
gradient. Change WEIGHT and watch the term "edges" in the plots.
"""

WEIGHT = 0.5


def edges(image, photo):
    """Mean absolute difference of neighbouring pixels' differences, across and down."""
    difference = image[..., :3] - photo[..., :3]
    across, down = difference[:, 1:] - difference[:, :-1], difference[1:] - difference[:-1]
    return across.abs().mean() + down.abs().mean()


add_loss("edges", edges, WEIGHT)
first = last = None
done = False
while not done:
    report = step()
    last = report.terms.get("edges", last)
    first = last if first is None else first
    done = session.finished
if last is None:
    print("no stage of this recipe compares colours, so the loss never counted")
else:
    print(f"edges went from {first:.5f} to {last:.5f} at weight {WEIGHT:g}")
print(f"wrote {session.project.exports}")
