"""The event heap: virtual time, and coroutines that wait on it. Nothing in it could make one run differ from the next.

Events of one moment happen in the order in which they were made. What belongs to a ``Life`` stops when that ends, as a
process does that is killed: between two events, wherever its coroutines happen to wait.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Life:
    """Of a process, or whatever else ends at once."""

    ended: bool = False
    tasks: dict[int, Coroutine[Any, Any, object]] = field(default_factory=dict[int, Coroutine[Any, Any, object]])

    def end(self) -> None:
        """Nothing of it happens any more."""
        self.ended = True
        tasks, self.tasks = self.tasks, {}
        for task in tasks.values():
            task.close()


class Future(Generic[T]):
    """A value that coroutines wait for."""

    __slots__ = ("_heap", "_waiting", "done", "value")

    def __init__(self, heap: Heap) -> None:
        self._heap = heap
        self._waiting: list[tuple[Coroutine[Any, Any, object], Life, int]] = []
        self.done = False
        self.value: T | None = None

    def resolve(self, value: T) -> None:
        """Whoever waits goes on, each in an event of its own. Only the first value counts."""
        if self.done:
            return
        self.done, self.value = True, value
        waiting, self._waiting = self._waiting, []
        for task, life, number in waiting:
            self._heap.step_soon(task, life, number)

    def __await__(self) -> Generator[Future[T], None, T]:
        if not self.done:
            yield self
        return cast("T", self.value)

    def wait(self, task: Coroutine[Any, Any, object], life: Life, number: int) -> None:
        """For ``Heap``: step ``task`` when there is a value."""
        self._waiting.append((task, life, number))


class Heap:
    """What happens when."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.events = 0
        """How many have happened."""
        self._numbers = 0
        self._tasks = 0
        self._waiting: list[tuple[int, int, Callable[[], None], Life]] = []
        self._now: deque[tuple[Callable[[], None], Life]] = deque()
        """What was made for this very moment: it comes after what waits for it already."""
        self._always = Life()

    def at(self, delay_ms: int, act: Callable[[], None], life: Life | None = None) -> None:
        """Do this so much later, if ``life`` has not ended by then."""
        if delay_ms <= 0:
            self._now.append((act, life or self._always))
            return
        self._numbers += 1
        heapq.heappush(self._waiting, (self.now_ms + delay_ms, self._numbers, act, life or self._always))

    def spawn(self, task: Coroutine[Any, Any, object], life: Life | None = None) -> None:
        """Run a coroutine, from the next event of this moment on."""
        self._tasks += 1
        life = life or self._always
        if life.ended:
            task.close()
            return
        life.tasks[self._tasks] = task
        self.step_soon(task, life, self._tasks)

    def step_soon(self, task: Coroutine[Any, Any, object], life: Life, number: int) -> None:
        """For ``Future``."""
        self.at(0, lambda: self._step(task, life, number), life)

    def sleep(self, delay_ms: int) -> Future[None]:
        """To be awaited."""
        future: Future[None] = Future(self)  # without its parameter, which would be looked up each time
        self.at(delay_ms, lambda: future.resolve(None))
        return future

    @property
    def next_ms(self) -> int | None:
        """The moment of the next event; ``None`` if nothing is to come."""
        if self._now:
            return self.now_ms
        return self._waiting[0][0] if self._waiting else None

    def run(self, until_ms: int) -> None:
        """Let everything happen up to a moment."""
        waiting, now = self._waiting, self._now
        while True:
            if waiting and waiting[0][0] <= (self.now_ms if now else until_ms):
                self.now_ms, _, act, life = heapq.heappop(waiting)
            elif now:
                act, life = now.popleft()
            else:
                break
            if not life.ended:
                self.events += 1
                act()
        self.now_ms = max(self.now_ms, until_ms)

    def _step(self, task: Coroutine[Any, Any, object], life: Life, number: int) -> None:
        try:
            future = cast("Future[object]", task.send(None))
        except StopIteration:
            life.tasks.pop(number, None)
            return
        if life.ended:
            return
        if future.done:
            self.step_soon(task, life, number)
        else:
            future.wait(task, life, number)


class Mutex:
    """One at a time, first come, first served: ``async with``."""

    def __init__(self, heap: Heap) -> None:
        self._heap = heap
        self._held = False
        self._queue: list[Future[None]] = []

    async def __aenter__(self) -> None:
        if self._held:
            turn = Future[None](self._heap)
            self._queue.append(turn)
            await turn
        self._held = True

    async def __aexit__(self, *_error: object) -> None:
        if self._queue:
            self._queue.pop(0).resolve(None)  # stays held, for whoever was first
        else:
            self._held = False
