# A program of another language that reads a view while its generations are replaced.
#
#   reader.py DATABASE MODE STOP
#
# MODE `use` opens the file for each look; `hold` keeps it open, mostly within a long transaction, until the file says
# that it is retired. Ends when the file STOP is there, and prints what it has seen as JSON. Whatever a reader must
# never see ends it with a traceback: an error, two generations in one transaction, a step back.

import json
import os
import sqlite3
import sys
import time

database, mode, stop = sys.argv[1:]

LOOK = """
SELECT m.generation, m.state, m.successor, c.generation, c.sequence, c.messages,
       n.applied + n.ignored + n.dead_lettered + n.parked + n.skipped,
       (SELECT count(DISTINCT version) FROM items), (SELECT max(version) FROM items),
       (SELECT total(times) FROM items), (SELECT total(events) FROM whole)
FROM _viewd_meta AS m, _viewd_checkpoint AS c, _viewd_counts AS n
"""


def open_view():
    # One version of SQLite reports a file that is recovered at this moment as one that cannot be opened: it is busy.
    return sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60, isolation_level=None)


def look(view):
    (generation, state, successor, of_checkpoint, sequence, messages, counted,
     versions, version, times, events) = view.execute(LOOK).fetchone()
    whole = f"generation {generation} {state} at {sequence}, version {version}"
    assert generation == of_checkpoint, f"{whole}: the checkpoint is of {of_checkpoint}"
    assert versions <= 1, f"{whole}: {versions} versions in one view"
    assert messages == counted == times == events, f"{whole}: {messages}, {counted}, {times}, {events}"
    # Every message of the stream is one of the view's.
    assert sequence == messages, f"{whole}: {messages} messages"
    assert state in ("serving", "retired", "sealed"), whole
    assert state != "retired" or successor, f"{whole}: no successor"
    return {"generation": generation, "sequence": sequence, "version": version, "retired": state == "retired"}


def rows(view):
    return view.execute("SELECT * FROM items ORDER BY id").fetchall()


class Seen:
    def __init__(self):
        self.looks = self.retired = self.moves = self.transactions = 0
        self.generation = self.sequence = 0

    def see(self, found, opened):
        self.looks += 1
        if opened:
            # What the link names never goes back.
            assert found["generation"] >= self.generation, f"back from {self.generation} to {found}"
            self.moves += found["generation"] > self.generation > 0
            self.generation = found["generation"]
        assert found["sequence"] >= self.sequence, f"back from {self.sequence} to {found}"
        self.sequence = found["sequence"]


def use(seen):
    while not os.path.exists(stop):
        view = open_view()
        try:
            view.execute("BEGIN")
            found = look(view)
            seen.see(found, True)
            view.execute("COMMIT")
            # A glance after a cut-over that came meanwhile.
            view.execute("BEGIN")
            seen.retired += look(view)["retired"]
            view.execute("COMMIT")
        finally:
            view.close()
        time.sleep(0.002)


def hold(seen):
    view, opened = open_view(), True
    while not os.path.exists(stop):
        view.execute("BEGIN")
        found = look(view)
        seen.see(found, opened)
        opened = False
        first = rows(view)
        # As long as a report may take; nothing of it changes meanwhile.
        until = time.monotonic() + 0.15
        while time.monotonic() < until and not os.path.exists(stop):
            time.sleep(0.03)
            assert rows(view) == first, "a snapshot has changed"
            assert look(view) == found, "a snapshot has changed"
        view.execute("COMMIT")
        seen.transactions += 1
        if look(view)["retired"]:
            seen.retired += 1
            view.close()
            view, opened = open_view(), True
    view.close()


seen = Seen()
{"use": use, "hold": hold}[mode](seen)
print(json.dumps(vars(seen)))
