"""What we tell the test that started us: one JSON object on each line of stdout."""

import json


def report(event, **facts):
    """Writes one line. `event` is its name, `facts` its other members."""
    print(json.dumps({"event": event, **facts}), flush=True)
