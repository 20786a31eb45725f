"""The process that makes rows: a request a line on its standard input, a row a line on its standard output.

A process of its own, because a source may hang, exit or crash; and one that talks JSON, so that it may be started from
anywhere, a Dask worker included. It ends when its parent does, or when nothing was asked for a while.
"""

import json
import os
import queue
import sys
import threading

IDLE = 60.0  # seconds after which a process that nobody asks ends


def main() -> None:
    """Answer requests {"settings": ..., "seeds": [...]} until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a source prints must not come among the rows
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()

    from harness.sweep.rows import make_row
    from harness.sweep.settings import Settings, version

    while True:
        try:
            request = json.loads(requests.get(timeout=IDLE))
        except queue.Empty:
            return
        settings = Settings.from_json(request["settings"])
        print(json.dumps(version(settings)), file=answers, flush=True)
        for seed in request["seeds"]:
            print(json.dumps(make_row(settings, seed)), file=answers, flush=True)


def _listen(requests: "queue.SimpleQueue[str]") -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)  # the parent is gone, so nobody waits for the row that is being made


if __name__ == "__main__":
    main()
