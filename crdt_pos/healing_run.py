"""Healing the log of a replica that does not run: it is run for a moment, so that its peers can be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import trio

from crdt_pos.folder import Folder, open_folder
from crdt_pos.replica import RunningReplica

LOOK_EVERY_S: Final = 0.05


def heal_stopped(path: Path, *, derive: bool, patience_s: float) -> dict[str, object]:
    """``crdt_pos.mending.Mending.heal`` in this process. Raises ``FolderError``, ``LogError``."""
    folder = open_folder(path)
    with folder.held():
        return trio.run(_heal, folder, derive, patience_s, strict_exception_groups=True)


async def _heal(folder: Folder, derive: bool, patience_s: float) -> dict[str, object]:
    replica = RunningReplica(folder)
    try:
        # Before anybody reads: a session that met the damage would end all of this.
        healed = await replica.mending.heal(derive=derive, patience_s=0)
        async with trio.open_nursery() as nursery:
            await nursery.start(replica.run)
            deadline = trio.current_time() + patience_s
            # Peers are met one by one, and each is asked.
            while healed.missing and trio.current_time() < deadline:
                again = await replica.mending.heal(patience_s=1)
                healed = healed.then(again)
            # What others know better (their own states) comes with the comparison that follows.
            with trio.move_on_at(deadline):
                while healed.damaged and not any(link.facts.caught_up for link in replica.node.links.values()):
                    await trio.sleep(LOOK_EVERY_S)
            nursery.cancel_scope.cancel()
    finally:
        replica.close()
    return healed.body()
