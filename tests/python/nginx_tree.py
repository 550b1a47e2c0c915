"""Prints the trees that crossplane makes of configurations of nginx.

The arguments are files. Each directive is [name, arguments, line, block], where the block is null or a list.
"""

import json
import sys

import crossplane


def shown(directive):
    block = directive.get("block")
    children = None if block is None else [shown(child) for child in block]
    return [directive["directive"], directive["args"], directive["line"], children]


def tree(path):
    payload = crossplane.parse(path, single=True, check_ctx=False, check_args=False)
    [config] = payload["config"]
    return {"errors": config["errors"], "tree": [shown(it) for it in config["parsed"]]}


print(json.dumps({"event": "result", "trees": [tree(path) for path in sys.argv[1:]]}), flush=True)
