"""An automatic turntable: a short film every so many steps, and a long one of the finished asset.

Headless:  unrender script auto_turntable.py --capture FOLDER --out films
The run goes on between the pictures of a film.
"""

EVERY = 500  # steps
SHORT, LONG = 24, 90  # pictures
SIZE = 256  # pixels

step()  # begin, so that there is a number of steps
while not run(until=session.total_step + EVERY):
    path = turntable(out / f"step {session.total_step:05}.mp4", SHORT, SIZE)
    print(f"wrote {path}")
path = turntable(out / "finished.mp4", LONG, SIZE)
print(f"wrote {path}")
