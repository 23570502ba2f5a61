"""The door as a deCONZ gateway, to what Home Assistant (pydeconz) and Homebridge (hb-deconz-tools) use."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from processes import NODE_MODULES, Door, Peer

RETRY_S = 25.0  # pydeconz tries again at once, then every 15 s
ALARM = """
[alarm]
exit_delay_s = 1
entry_delay_s = 30

[workers.deconz.server]
"""


class Client:
    """A foreign client. An event may come before the answer to what caused it: no line is lost by that."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._seen = 0

    def look(self, fits: Callable[[dict[str, Any]], bool], within_s: float = 10.0) -> dict[str, Any]:
        """The first fitting line since the last that was looked for, or since the last order."""
        for index in range(self._seen, len(self.peer.heard)):
            if fits(self.peer.heard[index]):
                self._seen = index + 1
                return self.peer.heard[index]
        line = self.peer.next(fits, within_s)
        self._seen = len(self.peer.heard)
        return line

    def ask(self, key: str, **what: Any) -> Any:
        """Give an order; the value of the line with this key."""
        self._seen = len(self.peer.heard)
        self.peer.tell(**what)
        return self.peer.of(key)


class Pydeconz(Client):
    def order(self, **what: Any) -> None:
        """Have something done."""
        self._seen = len(self.peer.heard)
        self.peer.tell(**what)
        answer = self.peer.next(lambda line: line.get("done") == what or "refused" in line)
        assert "refused" not in answer

    def connected(self, up: bool, within_s: float = 10.0) -> None:
        self.look(lambda line: line.get("connected") is up, within_s)

    def listed(self) -> list[dict[str, Any]]:
        """Every resource with every property that pydeconz has for it; what it cannot read fails here."""
        self.peer.tell(list=True)
        rows: list[dict[str, Any]] = self.peer.of("listed")
        # It has a speed for every light, and only fans have one.
        errors = [(row["r"], row["id"], error) for row in rows for error in row["errors"]]
        assert [error for error in errors if error[2] != "fan_speed: KeyError: 'speed'"] == []
        return rows

    def find(self, kind: str) -> dict[str, Any]:
        """The one resource of this type."""
        found = [row for row in self.listed() if row["raw"].get("type") == kind]
        assert len(found) == 1, found
        return found[0]

    def until(self, of: dict[str, Any], within_s: float = 10.0, **wanted: Any) -> dict[str, Any]:
        """Wait for an event after which pydeconz thinks so of a resource; the event."""

        def fits(line: dict[str, Any]) -> bool:
            event = line.get("event", {})
            if (event.get("r"), event.get("id")) != (of["r"], of["id"]):
                return False
            return all(line["now"].get(key) == wanted[key] for key in wanted)

        event: dict[str, Any] = self.look(fits, within_s)["event"]
        assert event["t"] == "event"
        assert event["uniqueid"] == of["raw"]["uniqueid"]
        assert len({"state", "config", "attr", "name", "capabilities"} & set(event)) == 1
        return event

    def becomes(self, of: dict[str, Any], within_s: float = 5.0, **wanted: Any) -> None:
        """Wait until pydeconz thinks so of a resource, whatever made it."""
        deadline = time.monotonic() + within_s
        while True:
            values = next(row for row in self.listed() if (row["r"], row["id"]) == (of["r"], of["id"]))[
                "values"
            ]
            if all(values[key] == wanted[key] for key in wanted):
                return
            assert time.monotonic() < deadline, f"not {wanted} but {values}"
            time.sleep(0.05)

    def button_events(self) -> list[int]:
        """What it was told of buttons so far."""
        events = [line["event"] for line in self.peer.heard if "event" in line]
        codes = [event.get("state", {}).get("buttonevent") for event in events if event["r"] == "sensors"]
        return [code for code in codes if code is not None]

    def complaints(self) -> list[dict[str, Any]]:
        return [line for line in self.peer.heard if "complaint" in line or "crashed" in line]


@pytest.fixture
def pydeconz(run_peer: Callable[..., Peer]) -> Callable[..., Pydeconz]:
    def start(door: Door, key: str = "") -> Pydeconz:
        settings = {"PEER_URL": door.address("deconz")} | ({"PEER_KEY": key} if key else {})
        return Pydeconz(run_peer("pydeconz_shell.py", **settings))

    return start


@pytest.fixture
def connect(pydeconz: Callable[..., Pydeconz]) -> Callable[[Door], Pydeconz]:
    """pydeconz with a key, everything read, and connected."""

    def start(door: Door) -> Pydeconz:
        client = pydeconz(door, new_key(door))
        client.order(load=True)
        client.connected(True)
        return client

    return start


def new_key(door: Door) -> str:
    return door.portero("deconz", "link", "--key", "--name", "interop").strip()


# ----- letting somebody in -----


def test_from_a_closed_window_to_the_first_event(door: Door, pydeconz: Callable[..., Pydeconz]) -> None:
    client = pydeconz(door)
    assert client.ask("refused", link=True).startswith("LinkButtonNotPressed")
    door.portero("deconz", "link")
    assert client.ask("key", link=True)
    loaded = client.ask("loaded", load=True)
    assert loaded["port"] == urlsplit(door.address("deconz_ws")).port
    assert len(loaded["bridge_id"]) == 12
    client.connected(True)
    door.press()
    client.until(client.find("ZHASwitch"), button_event=1000)
    assert client.complaints() == []


def test_everything_can_be_read(door: Door, connect: Callable[[Door], Pydeconz]) -> None:
    rows = connect(door).listed()
    classes = [row["class"] for row in rows]
    for wanted in ("Siren", "Light", "DoorLock", "Switch", "OpenClose", "Fire", "Presence", "Config"):
        assert wanted in classes
    named = [row["values"] for row in rows if row["r"] in ("lights", "sensors")]
    for values in named:
        assert values["name"]
        assert values["manufacturer"]
        assert values["unique_id"].count(":") == 7
        assert values["reachable"] is True
    # Home Assistant makes one device of what has the same first part.
    devices = {values["unique_id"].partition("-")[0] for values in named}
    assert len(devices) > 1
    assert len({values["unique_id"] for values in named}) == len(named)


def test_a_wrong_key_is_refused_in_the_protocols_words(door: Door, pydeconz: Callable[..., Pydeconz]) -> None:
    client = pydeconz(door, "0123456789")
    assert client.ask("refused", load=True).startswith("Unauthorized")


def test_a_revoked_key_is_good_for_nothing(door: Door, connect: Callable[[Door], Pydeconz]) -> None:
    client = connect(door)
    siren = client.find("Warning device")
    keys = json.loads(door.portero("api-key", "list", "--json"))
    newest = max(keys, key=lambda key: int(key["created_ns"]))
    door.portero("api-key", "revoke", str(newest["id"]))
    assert client.ask("refused", siren=siren["id"], on=True).startswith("Unauthorized")


def test_who_may_not_come_is_told_nothing(
    build_door: Callable[..., Door], pydeconz: Callable[..., Pydeconz]
) -> None:
    door = build_door('[workers.deconz.server]\nallow_from = ["192.0.2.7"]\n')
    key = new_key(door)
    door.portero("deconz", "link")
    assert pydeconz(door).ask("refused", link=True).startswith("LinkButtonNotPressed")
    assert pydeconz(door, key).ask("refused", load=True).startswith("Unauthorized")


def test_a_key_is_worth_what_its_user_may(
    build_door: Callable[..., Door], connect: Callable[[Door], Pydeconz]
) -> None:
    door = build_door()
    door.portero("user", "add", "smart-home", "--role", "resident", "--endpoint", "staircase")
    client = connect(door)
    refusal = client.ask("refused", lock=client.find("ZHADoorLock")["id"], on=False)
    assert refusal.startswith("RequestError")
    assert "not for strike" in refusal
    light = client.find("On/Off light")
    client.order(light=light["id"], on=True)
    client.until(light, state=True)


# ----- moving things, and what the websocket tells of it -----


def test_the_siren_for_two_seconds(door: Door, connect: Callable[[Door], Pydeconz]) -> None:
    client = connect(door)
    siren = client.find("Warning device")
    assert siren["values"]["is_on"] is False
    client.order(siren=siren["id"], on=True, tenths=20)
    client.until(siren, is_on=True)
    client.until(siren, is_on=False, within_s=4.0)


def test_the_siren_is_silenced(door: Door, connect: Callable[[Door], Pydeconz]) -> None:
    client = connect(door)
    siren = client.find("Warning device")
    client.order(siren=siren["id"], on=True)
    client.until(siren, is_on=True)
    assert client.find("Warning device")["values"]["is_on"] is True
    client.order(siren=siren["id"], on=False)
    client.until(siren, is_on=False, within_s=2.0)


def test_the_lock(door: Door, connect: Callable[[Door], Pydeconz]) -> None:
    client = connect(door)
    lock = client.find("ZHADoorLock")
    assert lock["values"]["is_locked"] is True
    client.order(lock=lock["id"], on=False)
    client.until(lock, is_locked=False)
    client.order(lock=lock["id"], on=True)
    client.until(lock, is_locked=True, within_s=2.0)
    # It also locks by itself, when its time is over.
    client.order(lock=lock["id"], on=False)
    client.until(lock, is_locked=False)
    client.until(lock, is_locked=True)


def test_the_light(door: Door, connect: Callable[[Door], Pydeconz]) -> None:
    client = connect(door)
    light = client.find("On/Off light")
    client.order(light=light["id"], on=True)
    client.until(light, state=True)
    client.order(light=light["id"], on=False)
    client.until(light, state=False, within_s=2.0)
    # From elsewhere as well.
    door.portero("light", "on")
    client.until(light, state=True)
    door.portero("light", "off")
    client.until(light, state=False)


def test_the_bell(door: Door, connect: Callable[[Door], Pydeconz]) -> None:
    client = connect(door)
    bell = client.find("ZHASwitch")
    door.press()
    pressed = client.until(bell, button_event=1000)
    released = client.until(bell, button_event=1002)
    assert pressed["state"]["lastupdated"] < released["state"]["lastupdated"]
    # Nothing else is said of a button: Home Assistant takes any word for another press.
    door.portero("unlock")
    client.until(client.find("ZHADoorLock"), is_locked=False)
    assert client.button_events() == [1000, 1002]
    door.portero("lock")


def test_a_muted_bell_is_not_told(
    build_door: Callable[..., Door], connect: Callable[[Door], Pydeconz]
) -> None:
    door = build_door()
    client = connect(door)
    door.portero("mute", "doorbell")
    door.press()
    door.portero("light", "on")
    client.until(client.find("On/Off light"), state=True)
    assert client.button_events() == []


def test_the_bell_is_held(door: Door, connect: Callable[[Door], Pydeconz]) -> None:
    client = connect(door)
    bell = client.find("ZHASwitch")
    door.portero("sim", "press", "doorbell", "--for-ms", "5000")
    client.until(bell, button_event=1000)
    client.until(bell, button_event=1001)
    client.until(bell, button_event=1003)


def test_the_contacts(door: Door, connect: Callable[[Door], Pydeconz]) -> None:
    client = connect(door)
    for name, kind, key in (("smoke", "ZHAFire", "fire"), ("motion", "ZHAPresence", "presence")):
        sensor = client.find(kind)
        assert sensor["values"][key] is False
        door.portero("sim", "tamper", name)
        client.until(sensor, **{key: True})
        door.portero("sim", "calm", name)
        client.until(sensor, **{key: False})


def test_the_door_itself(door: Door, connect: Callable[[Door], Pydeconz]) -> None:
    client = connect(door)
    contact = client.find("ZHAOpenClose")
    assert contact["values"]["open"] is False
    door.portero("unlock")
    door.portero("sim", "open", "strike")
    client.until(contact, open=True)
    door.portero("sim", "close", "strike")
    client.until(contact, open=False)


# ----- bad days -----


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [open_socket.getsockname()[1] for open_socket in sockets]
    for open_socket in sockets:
        open_socket.close()
    return ports


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_what_changed_while_it_was_away_is_right_afterwards(
    build_door: Callable[..., Door], connect: Callable[[Door], Pydeconz], how: str
) -> None:
    port, ws_port = free_ports(2)
    config = f"[workers.deconz.server]\nport = {port}\nws_port = {ws_port}\n"
    door = build_door(config, any_port=False)
    client = connect(door)
    lock = client.find("ZHADoorLock")
    smoke = client.find("ZHAFire")
    motion = client.find("ZHAPresence")
    bell = client.find("ZHASwitch")
    door.press()
    client.until(bell, button_event=1002)
    door.portero("sim", "tamper", "motion")
    client.until(motion, presence=True)
    door.portero("unlock", "--hold", "30")
    client.until(lock, is_locked=False)

    # The start of a door locks and sees no motion; smoke is there before pydeconz is back.
    if how == "stopped":
        door.terminate()
        assert door.wait() == 0
    else:
        door.kill()
    door.start()
    door.portero("sim", "tamper", "smoke")
    client.connected(False)
    client.connected(True, RETRY_S)
    client.becomes(smoke, fire=True)
    client.becomes(motion, presence=False)
    client.becomes(lock, is_locked=True)
    # Who comes back hears no old ring.
    assert client.button_events() == [1000, 1002]
    # And the key is still good.
    client.order(lock=lock["id"], on=False)
    client.until(lock, is_locked=False)


# ----- the alarm system -----


def test_the_alarm_system(build_door: Callable[..., Door], connect: Callable[[Door], Pydeconz]) -> None:
    door = build_door(ALARM)
    client = connect(door)
    door.portero("user", "pin", "smart-home", "--pin-stdin", typed="739512\n")  # whose the keys are
    keypad = client.find("ZHAAncillaryControl")
    system = next(row for row in client.listed() if row["r"] == "alarmsystems")
    assert keypad["values"]["unique_id"] in system["values"]["devices"]
    assert keypad["values"]["panel"] == "disarmed"
    client.order(alarm=system["id"], to="arm_away", code="739512")
    client.until(keypad, panel="armed_away")
    door.portero("sim", "tamper", "tamper")
    client.until(keypad, panel="in_alarm")
    assert client.ask("refused", alarm=system["id"], to="disarm", code="000000").startswith("RequestError")
    client.order(alarm=system["id"], to="disarm", code="739512")
    client.until(keypad, panel="disarmed")


# ----- hb-deconz-tools -----


class Homebridge(Client):
    def changed(self, r: str, number: str, **wanted: Any) -> None:
        """Wait until it was told of such a state."""

        def fits(line: dict[str, Any]) -> bool:
            told = line.get("changed", {})
            if (told.get("r"), told.get("id")) != (r, number):
                return False
            state = (told["body"] or {}).get("state", {})
            return all(key in state and state[key] == wanted[key] for key in wanted)

        self.look(fits)


@pytest.fixture
def homebridge(run_peer: Callable[..., Peer]) -> Callable[..., Homebridge]:
    if not (NODE_MODULES / "hb-deconz-tools").is_dir():
        pytest.skip("hb-deconz-tools is not installed; npm ci --prefix interop installs it")

    def start(door: Door, key: str = "") -> Homebridge:
        return Homebridge(run_peer("hb_deconz_shell.js", PEER_URL=door.address("deconz"), PEER_KEY=key))

    return start


def by_type(full: dict[str, Any], r: str, kind: str) -> str:
    found: list[str] = [number for number, body in full[r].items() if body["type"] == kind]
    assert len(found) == 1, full[r]
    return found[0]


def test_homebridge_insists_on_the_manufacturers_prefix(
    door: Door, build_door: Callable[..., Door], homebridge: Callable[..., Homebridge]
) -> None:
    client = homebridge(door)
    assert "not a RaspBee/ConBee mac address" in client.ask("refused", discover=True)
    other = build_door('[workers.deconz.server]\nbridge_prefix = "00212E"\n')
    client = homebridge(other)
    assert client.ask("config", discover=True)["bridgeid"].startswith("00212E")


def test_homebridge_finds_a_description(door: Door, homebridge: Callable[..., Homebridge]) -> None:
    client = homebridge(door)
    device = client.ask("description", describe=True)["root"]["device"]
    assert device["manufacturerURL"] == "http://www.dresden-elektronik.de"
    refusal = client.ask("refused", discover=True)  # it names the bridge id that it does not like
    assert device["serialNumber"].upper() == refusal[:16].upper().replace("FFFF", "", 1)


def test_homebridge_reads_moves_and_follows(
    build_door: Callable[..., Door], homebridge: Callable[..., Homebridge]
) -> None:
    door = build_door()  # nobody has opened its link window yet
    client = homebridge(door)
    assert client.ask("type", link=True) == 101
    door.portero("deconz", "link")
    assert client.ask("key", link=True)
    full = client.ask("read", get="/")
    assert full["config"]["websocketport"] == urlsplit(door.address("deconz_ws")).port
    siren = by_type(full, "lights", "Warning device")
    light = by_type(full, "lights", "On/Off light")
    lock = by_type(full, "sensors", "ZHADoorLock")
    bell = by_type(full, "sensors", "ZHASwitch")
    client.ask("listening", listen=urlsplit(door.address("deconz_ws")).netloc)

    for number, on, off in (
        (light, {"on": True}, {"on": False}),
        (siren, {"alert": "lselect"}, {"alert": "none"}),
    ):
        for body in (on, off):
            written = client.ask("written", put=f"/lights/{number}/state", body=body)
            assert written == {"lights": {number: {"state": body}}}
            client.changed("lights", number, **body)
    assert client.ask("written", put=f"/sensors/{lock}/config", body={"lock": False}) == {
        "sensors": {lock: {"config": {"lock": False}}}
    }
    client.changed("sensors", lock, lockstate="unlocked")
    assert client.ask("read", get=f"/sensors/{lock}/state/lockstate") == "unlocked"
    door.press()
    client.changed("sensors", bell, buttonevent=1000)
    client.changed("sensors", bell, buttonevent=1002)
    # It reads one part of a message and no more; one without any would be lost on it.
    assert all(line["changed"]["body"] for line in client.peer.heard if "changed" in line)


def test_homebridge_comes_back(
    build_door: Callable[..., Door], homebridge: Callable[..., Homebridge]
) -> None:
    port, ws_port = free_ports(2)
    door = build_door(f"[workers.deconz.server]\nport = {port}\nws_port = {ws_port}\n", any_port=False)
    client = homebridge(door, new_key(door))
    client.ask("listening", listen=f"127.0.0.1:{ws_port}")
    smoke = by_type(client.ask("read", get="/"), "sensors", "ZHAFire")
    door.kill()
    client.peer.of("closed")
    door.start()
    door.portero("sim", "tamper", "smoke")
    client.peer.of("listening")
    client.changed("sensors", smoke, fire=True)
    assert client.ask("read", get=f"/sensors/{smoke}/state/fire") is True
