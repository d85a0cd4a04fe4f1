"""``crdt-pos demo --live``: a map of shops in the terminal, and keys to break and mend them while customers keep buying."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Final

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Center, Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, RichLog, Static

from crdt_pos.local import ConnectionLost, LocalRefused, NotRunning
from tools.live_shops import BURNT, KILLED, RUNS, STARTING, TILLS, LiveShops, Proof, View, keep_buying
from tools.town import TownError

LOOK_S: Final = 0.5
COLOURS: Final = {RUNS: "green", KILLED: "red", BURNT: "dark_orange", STARTING: "yellow"}
SIGNS: Final = {RUNS: "● runs", KILLED: "✗ killed", BURNT: "♨ burnt", STARTING: "… starting"}
MINUTE: Final = (
    "The unforgettable minute: [b]s[/b] sells you milk at the chosen till, [b]b[/b] burns that till, [b]↓[/b] goes to its "
    "neighbour, [b]p[/b] prints your receipt there. Or burn both: [b]r[/b] brings the store back."
)


class Printed(ModalScreen[None]):
    """A receipt from a till that did not give it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,p,q", "dismiss", "Close")]
    CSS = """
    Printed { align: center middle; }
    #paper { width: 52; height: auto; max-height: 90%; padding: 1 2; border: thick $success; background: $surface; }
    """

    def __init__(self, proof: Proof) -> None:
        super().__init__()
        self._proof = proof

    def compose(self) -> ComposeResult:
        proof = self._proof
        verdict = (
            Text(f"✓ Signed by till {proof.signed_by}. Its signature was verified at {proof.at}.", "bold green")
            if proof.genuine
            else Text("✗ The signature does not fit.", "bold red")
        )
        with VerticalScroll(id="paper"):
            yield Static(Text(proof.text))
            yield Static("")
            yield Static(verdict)


class Live(App[None]):
    """The map. ``shops`` is started by the screen and stopped by whoever made it."""

    TITLE = "crdt-pos demo --live"
    AUTO_FOCUS = None
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "choose(-1, 0)", "", show=False),
        Binding("right", "choose(1, 0)", "", show=False),
        Binding("up", "choose(0, -1)", "", show=False),
        Binding("down", "choose(0, 1)", "", show=False),
        Binding("s", "sell", "Sell milk"),
        Binding("p", "print", "Print receipt"),
        Binding("c", "cable", "Cable"),
        Binding("w", "line", "Line"),
        Binding("k", "kill", "Kill/start"),
        Binding("b", "burn", "Burn"),
        Binding("r", "recover", "Recover"),
        Binding("h", "office", "Head office"),
        Binding("space", "pause", "Pause customers"),
        Binding("q", "quit", "Quit"),
    ]
    CSS = """
    #sums { height: 1; padding: 0 1; background: $panel; }
    #office { width: 44; height: 5; border: round $foreground 50%; padding: 0 1; }
    Center { height: 5; }
    #stores { height: 13; }
    .store { width: 1fr; padding: 0 1; }
    .wan, .lan { height: 1; text-align: center; }
    .till { height: 5; border: round $foreground 50%; padding: 0 1; }
    .chosen { border: heavy $accent; }
    .name { height: 1; text-align: center; }
    #said { height: 1fr; border-top: solid $foreground 30%; }
    #hint { height: 2; padding: 0 1; color: $text-muted; }
    """

    def __init__(self, shops: LiveShops) -> None:
        super().__init__()
        self.shops = shops
        self.ready = threading.Event()
        """Set once everything runs."""
        self._place = (0, 0)
        """Store and till by their places on the map; row -1 is head office."""
        self._stop = threading.Event()
        self._paused = threading.Event()

    def compose(self) -> ComposeResult:
        yield Static("starting …", id="sums")
        with Center():
            yield Static(id="office")
        with Horizontal(id="stores"):
            for store in self.shops.stores:
                with Vertical(classes="store"):
                    yield Static(id=f"wan-{store}", classes="wan")
                    yield Static(f"store {store}", classes="name")
                    for till in range(1, TILLS + 1):
                        if till > 1:
                            yield Static(id=f"lan-{store}-{till}", classes="lan")
                        yield Static(id=f"till-{store}-{till}", classes="till")
        said = RichLog(id="said", markup=True, wrap=True, max_lines=500)
        said.can_focus = False  # the arrow keys are the map's
        yield said
        yield Static(MINUTE, id="hint")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Begin."""
        self._choose()
        self._begin()

    def on_unmount(self) -> None:
        """Let the threads end."""
        self._stop.set()

    @work(thread=True, group="begin")
    def _begin(self) -> None:
        self._say("Starting a head office and the tills, each a process of its own …")
        self._look_on()
        self.shops.start()
        self._say("Everybody has found everybody. Customers come; the truth is counted apart.")
        self.ready.set()
        keep_buying(self.shops, self._stop, self._say, self._paused)

    @work(thread=True, group="look")
    def _look_on(self) -> None:
        while not self._stop.wait(LOOK_S):
            views, truth = self.shops.views(), dict(self.shops.truth)
            if not self._stop.is_set():
                self._on_screen(partial(self._show, views, truth))

    def _on_screen(self, act: Callable[[], object]) -> None:
        if not self._stop.is_set():
            self.call_from_thread(act)

    def _say(self, said: str) -> None:
        self._on_screen(partial(self._write, said))

    def _write(self, said: str) -> None:
        self.query_one("#said", RichLog).write(said)

    # --- the map -----------------------------------------------------------------------------------------------------

    def _show(self, views: list[View], truth: dict[int, int]) -> None:
        by_name = {view.name: view for view in views}
        office = views[0]
        due_minor = sum(truth.values())
        sums = Text.assemble("truth ", (_money(due_minor), "bold"), "   head office ")
        sums.append_text(_against(office, sum(office.takings_minor.values()), due_minor))
        self.query_one("#sums", Static).update(sums)
        known = _against(office, sum(office.takings_minor.values()), due_minor)
        self.query_one("#office", Static).update(_box(office, "head office", known))
        for store in self.shops.stores:
            tills = [by_name[f"{store}-{till}"] for till in range(1, TILLS + 1)]
            self.query_one(f"#wan-{store}", Static).update(self._wan(office, tills))
            for number, view in enumerate(tills, 1):
                known = _against(view, view.takings_minor.get(store, 0), truth.get(store, 0))
                self.query_one(f"#till-{store}-{number}", Static).update(_box(view, view.name, known))
                if number > 1:
                    self.query_one(f"#lan-{store}-{number}", Static).update(self._link(tills[number - 2], view, "│"))

    def _wan(self, office: View, tills: list[View]) -> Text:
        links = [self._link(till, office, "━━") for till in tills]
        return Text("  line ").join([Text(""), Text(" ").join(links)])

    def _link(self, one: View, other: View, alive: str) -> Text:
        if self.shops.is_cut(one.name, other.name):
            return Text(f"{alive[0]}╳ cut", "bold red")
        if other.name in one.peers or one.name in other.peers:
            return Text(f"{alive} alive", "green")
        return Text(f"{alive[0]}  down", "dim")

    def _chosen(self) -> str:
        column, row = self._place
        return self.shops.names[0] if row < 0 else f"{self.shops.stores[column]}-{row + 1}"

    def _choose(self) -> None:
        for widget in self.query(".chosen"):
            widget.remove_class("chosen")
        column, row = self._place
        self.query_one("#office" if row < 0 else f"#till-{self.shops.stores[column]}-{row + 1}").add_class("chosen")

    # --- keys --------------------------------------------------------------------------------------------------------

    def action_choose(self, columns: int, rows: int) -> None:
        """Go to another replica of the map."""
        column, row = self._place
        self._place = (column + columns) % len(self.shops.stores), max(-1, min(TILLS - 1, row + rows))
        self._choose()

    def action_office(self) -> None:
        """Go to head office."""
        self._place = (self._place[0], -1)
        self._choose()

    def action_pause(self) -> None:
        """Let no customers come, or let them come again."""
        (self._paused.clear if self._paused.is_set() else self._paused.set)()
        self._write("No customers come." if self._paused.is_set() else "Customers come again.")

    def action_sell(self) -> None:
        """Sell a bottle of milk to the person at the keyboard."""
        self._at_till(lambda name: f"[b]{self.shops.sell(name, mine=True)}: this one is yours.[/b]")

    def action_cable(self) -> None:
        """Pull or plug the cable between the tills of the store."""
        self._at_till(self.shops.cable)

    def action_line(self) -> None:
        """Cut or mend the store's line."""
        self._at_till(self.shops.line)

    def action_kill(self) -> None:
        """SIGKILL, or start."""
        self._act(self.shops.kill, self._chosen())

    def action_burn(self) -> None:
        """Destroy the folder."""
        self._act(self.shops.burn, self._chosen())

    def action_recover(self) -> None:
        """Another life."""
        self._act(self.shops.recover, self._chosen())

    def action_print(self) -> None:
        """Print the last receipt of the person at the keyboard from the chosen till."""
        self._print_at(self._chosen())

    @work(thread=True, group="act")
    def _print_at(self, name: str) -> None:
        try:
            proof = self.shops.prove(name)
        except TownError as error:
            self._say(f"[yellow]{error}[/]")
            return
        self._on_screen(lambda: self.push_screen(Printed(proof)))

    def _at_till(self, act: Callable[[str], str]) -> None:
        if self._place[1] < 0:
            self._on_till()
        else:
            self._act(act, self._chosen())

    def _on_till(self) -> None:
        self._write("[yellow]Choose a till first, with the arrow keys.[/]")

    @work(thread=True, group="act")
    def _act(self, act: Callable[[str], str], name: str) -> None:
        try:
            self._say(f"[cyan]{act(name)}[/]")
        except (TownError, LocalRefused, NotRunning, ConnectionLost) as error:
            self._say(f"[yellow]{getattr(error, 'message', error)}[/]")


def _box(view: View, title: str, known: Text) -> Text:
    state = Text(SIGNS[view.state], COLOURS[view.state])
    safe = "" if view.state != RUNS or view.name.startswith("office") else f"\n{_safe(view)}"
    return Text.assemble((title, "bold"), "  ", state, "\n", known, safe)


def _safe(view: View) -> str:
    return "every sale is safe elsewhere" if not view.waiting else f"{view.waiting} acts only here"


def _against(view: View, known_minor: int, due_minor: int) -> Text:
    if view.state != RUNS:
        return Text("knows nothing now", "dim")
    off_minor = known_minor - due_minor
    verdict = (
        ("= the truth", "green")
        if not off_minor
        else (f"{'+' if off_minor > 0 else '−'}{_money(abs(off_minor))}", "yellow")
    )
    return Text.assemble((_money(known_minor), "bold"), "  ", verdict)


def _money(minor: int) -> str:
    return f"{minor // 100:,}.{minor % 100:02}"
