"""Sweep a weight: one run for each value, a table of what came out, and the curves to plot.

Headless:  unrender script sweep.py --capture FOLDER --out sweep --set refine.steps=200
Writes sweep.csv (one row per value) and curves.csv (one row per step) into `out`, and a project for each run.
In the window the open run is closed first; it stays on disk.
"""

import csv

KEY = "refine.ssim"
VALUES = (0.0, 0.1, 0.4)
COLUMNS = ("psnr", "ssim", "flip", "faces", "seconds")  # of metrics.json

out.mkdir(parents=True, exist_ok=True)
rows, curves = [], []
for value in VALUES:
    new_run(out / f"{KEY} {value:g}", {KEY: value})
    done = False
    while not done:
        report = step()
        if report.steps:  # stages without iterations have no curve
            curves.append([value, report.total_step, report.stage, report.loss, report.psnr])
        done = session.finished
    result = evaluate()
    rows.append([value] + [result.get(name) for name in COLUMNS])
    print(
        f"{KEY} = {value:g}: "
        + ", ".join(f"{n} {v:.4g}" for n, v in zip(COLUMNS, rows[-1][1:], strict=True) if v is not None)
    )

for name, head, lines in (
    ("sweep.csv", [KEY, *COLUMNS], rows),
    ("curves.csv", [KEY, "total_step", "stage", "loss", "train_psnr"], curves),
):
    with open(out / name, "w", newline="") as file:
        csv.writer(file).writerows([head, *lines])
print(f"wrote {out / 'sweep.csv'} and {out / 'curves.csv'}")
