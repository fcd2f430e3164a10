"""Make the README's picture from a finished demo: `python tests/tools/make_readme_picture.py DEMO_FOLDER`."""

import sys
from pathlib import Path

from PIL import Image

TARGET = Path(__file__).resolve().parents[2] / "assets" / "pictures" / "sample.png"


def main(project: Path) -> None:
    """Shrink the project's comparison.png to a width that a README shows."""
    picture = Image.open(project / "comparison.png").convert("RGB")
    width = 1000
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    small = picture.resize((width, round(picture.height * width / picture.width)), Image.LANCZOS)
    small.save(TARGET, optimize=True)
    print(f"wrote {TARGET} ({TARGET.stat().st_size // 1024} KB)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
