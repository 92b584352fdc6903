"""What a dead node left is finished by this one.

It does what a command does that finds no `serve`: it runs an engine on the other's folder, under that folder's lock and
in that node's name. So whatever holds for a node that comes back holds here, too.
"""

import asyncio
import time
from functools import partial
from pathlib import Path

import structlog

from ctsftp.app.engine import Engine
from ctsftp.cluster.takeover import watch_siblings

FINISH_INTERVAL_S = 1
# The node may come back meanwhile, and others may be dead, too.
FINISH_S = 600

log = structlog.get_logger()


async def finish_dead_nodes(engine: Engine) -> None:
    """Finish what dead nodes left, for ever; at once over, where this node sees no others' folders."""
    takeover = engine.settings.takeover
    if takeover.folders and engine.store.node:
        await watch_siblings(takeover.folders, engine.settings.data_dir, takeover.after_s, partial(finish, engine))


async def finish(engine: Engine, folder: Path) -> None:
    """Load what lies in a dead node's folder, until nothing is left that this can be done for without an admin.

    What is still tried again after `FINISH_S` is left to the next look: the folder is let go, with its last sign.
    """
    settings = engine.settings.model_copy(update={"data_dir": folder})
    async with Engine.open(settings, engine.watch, changed=engine.changed, by=engine.store.node) as theirs:
        log.warning("taking over", folder=str(folder), node=theirs.store.node)
        until = time.monotonic() + FINISH_S
        while (await theirs.sweeper.sweep()).queued or len(theirs.queue) or await theirs.put_off():
            await theirs.queue.wait_for()
            if time.monotonic() > until:
                log.warning("not all taken over, the next look will come", folder=str(folder), node=theirs.store.node)
                return
            await asyncio.sleep(FINISH_INTERVAL_S)
        if theirs.heartbeat:
            theirs.heartbeat.end()
        log.warning("took over", folder=str(folder), node=theirs.store.node)
