"""Every mistake an operator can make is answered with where, what was expected and what was found."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct

from agent import config
from agent.alarm import AlarmConfig
from agent.config import MAX_FILE_BYTES, Config, load, parse
from agent.model.actions import SetAlarm, SetNotify, SoundSiren
from agent.model.errors import ConfigErrors
from agent.registry import WORKERS
from agent.workers.deconz.config import DeconzEndpoint
from hw.pins import ButtonPins, LockPins, sim_endpoints

ROOT = Path(__file__).parents[2]
KINDS = ("button", "lock", "siren", "light", "contact", "led", "io", "deconz", "netatmo")
REMOTES = {spec.name: spec.endpoint for spec in WORKERS if spec.endpoint is not None}


class PeerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str
    mode: Literal["fast", "slow"] = "fast"


class ServerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    port: Annotated[int, Meta(ge=0, le=65_535)] = 9000
    host: str = "::"


class ToyConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    server: ServerConfig | None = None
    peers: tuple[PeerConfig, ...] = ()
    names: dict[Annotated[str, Meta(max_length=3)], int] = {}


TOY: dict[str, type[Struct]] = {"toy": ToyConfig}


def mistakes(text: str, workers: dict[str, type[Struct]] = TOY) -> dict[str, str]:
    """Path -> reason for everything that is wrong with a file of this text."""
    with pytest.raises(ConfigErrors) as caught:
        parse(tomllib.loads(text), workers, remotes=REMOTES)
    errors = caught.value.errors
    found = {error.path: error.reason for error in errors}
    assert len(found) == len(errors), "one path, one mistake"
    return found


def test_an_empty_file_is_a_configuration() -> None:
    assert parse({}, TOY) == Config()


def test_the_simulated_door_has_endpoints_unless_it_is_given_some() -> None:
    assert list(parse({}, TOY, simulated=True).endpoints) == list(sim_endpoints())
    own = {"endpoints": {"bell": {"kind": "button", "pin": 17}}}
    assert parse(own, TOY, simulated=True).endpoints == {"bell": ButtonPins(pin=17)}
    workers = {spec.name: spec.config for spec in WORKERS}
    assert list(config.simulated(workers).workers) == [
        name for name in config.SIMULATED_WORKERS if name in workers
    ]
    voice = config.simulated(workers).voice
    assert voice is not None
    assert (voice.microphone, voice.speaker, voice.recording) == ("sim", "sim", None)


def test_a_door_has_no_sound_unless_it_is_given_some() -> None:
    assert parse({}, TOY, simulated=True).voice is None
    got = parse({"voice": {}}, TOY).voice
    assert got is not None
    assert (got.microphone, got.policy, got.recording) == ("default", "resident_first", None)
    assert parse({"voice": {"recording": {}}}, TOY).voice != got


def test_a_rule_cannot_talk() -> None:
    found = mistakes('[[rules]]\non = "button_pressed"\nthen = { do = "start_talk" }')
    assert found == {"rules[0].then.do": "a rule has no voice"}


def test_a_whole_file() -> None:
    got = parse(
        tomllib.loads("""
[door]
name = "Back door"
[endpoints.bell]
kind = "button"
pin = 17
[endpoints.strike]
kind = "lock"
pin = 27
hold_s = 3
[endpoints.strike.door_contact]
pin = 22
[workers.toy]
peers = [{ url = "a" }, { url = "b", mode = "slow" }]
[notify]
quiet = ["22:00-07:00"]
quiet_for = { bell = ["13:00-14:30"] }
[[rules]]
on = "button_pressed"
where = { endpoint = "bell" }
then = { do = "unlock", endpoint = "strike" }
[[rules]]
on = "hardware_failed"
where = { endpoint = "strike.contact" }
then = { do = "set_notify", mode = "mute" }
[[rules]]
on = "call_changed"
then = { do = "end_call" }
"""),
        TOY,
    )
    assert got.door.name == "Back door"
    strike = got.endpoints["strike"]
    assert isinstance(strike, LockPins)
    assert strike.hold_s == 3.0
    assert strike.door_contact is not None
    assert got.workers["toy"].peers[1] == PeerConfig(url="b", mode="slow")
    assert isinstance(got.rules[1].then, SetNotify)


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("dor = 1", "dor", "unknown; did you mean 'door'?"),
        ("zzz = 1", "zzz", "unknown; known are access, "),
        ("door = 1", "door", "expected a table, got 1"),
        ("door = []", "door", "expected a table, got a list"),
        ("door.nam = 'x'", "door.nam", "unknown; did you mean 'name'?"),
        ("door.name = ''", "door.name", "expected `str` of length >= 1, got ''"),
        ("door.name = 5", "door.name", "expected `str`, got 5"),
        ("door.name = true", "door.name", "expected `str`, got true"),
        ("door.name = 2001-01-01", "door.name", "expected `str`"),
        ("calls.ring_timeout_s = 0.5", "calls.ring_timeout_s", "expected `float` >= 1.0, got 0.5"),
        ("calls.ring_timeout_s = nan", "calls.ring_timeout_s", "expected `float` >= 1.0, got nan"),
        ("calls.ring_timeout_s = inf", "calls.ring_timeout_s", "expected `float` <= 600.0, got inf"),
        ("calls.unlock_answers = 1", "calls.unlock_answers", "expected `bool`, got 1"),
        (f"calls.max_call_s = 0x{'f' * 4000}", "calls.max_call_s", "many digits"),
        ("voice = 1", "voice", "expected a table, got 1"),
        ("voice.microphon = ''", "voice.microphon", "unknown; did you mean 'microphone'?"),
        ("voice.policy = 'duple'", "voice.policy", "expected one of "),
        ("voice.ring_message_s = 121", "voice.ring_message_s", "expected `float` <= 120.0, got 121"),
        ("voice.microphone_gain_db = nan", "voice.microphone_gain_db", "expected `float` "),
        ("voice.recording = true", "voice.recording", "expected a table, got true"),
        ("voice.recording.keep = 0", "voice.recording.keep", "expected `int` >= 1, got 0"),
        ("[endpoints.talk]\nkind = 'button'\npin = 5", "endpoints.talk", "a meaning of its own"),
        ("workers = 1", "workers", "expected a table"),
        ("[workers.ty]", "workers.ty", "unknown; did you mean 'toy'?"),
        ("workers.toy = 'on'", "workers.toy", "expected a table, got 'on'"),
        ("workers.toy.server.port = 99999", "workers.toy.server.port", "expected `int` <= 65535, got 99999"),
        ("workers.toy.server.port = '9'", "workers.toy.server.port", "expected `int`, got '9'"),
        ("workers.toy.server.prot = 9", "workers.toy.server.prot", "unknown; did you mean 'port'?"),
        ("workers.toy.peers = [{url = 'a'}, {}]", "workers.toy.peers[1].url", "is missing"),
        (
            "workers.toy.peers = [{url = 'a', mode = 'slw'}]",
            "workers.toy.peers[0].mode",
            "expected one of fast, slow, got 'slw'; did you mean 'slow'?",
        ),
        ("workers.toy.peers = {url = 'a'}", "workers.toy.peers", "expected a list, got a table"),
        ("workers.toy.names.abcd = 1", "workers.toy.names.abcd", "expected `str` of length <= 3, got 'abcd'"),
        ("workers.toy.names.abc = 'x'", "workers.toy.names.abc", "expected `int`, got 'x'"),
        ("endpoints = 1", "endpoints", "expected one table per endpoint"),
        ("endpoints.a = 1", "endpoints.a", "expected a table, got 1"),
        ("endpoints.a.pin = 4", "endpoints.a.kind", "is missing; expected one of button, lock, siren,"),
        (
            "endpoints.a = {kind = 'buton', pin = 4}",
            "endpoints.a.kind",
            f"expected one of {', '.join(KINDS)}, got 'buton'; did you mean 'button'?",
        ),
        ("endpoints.a = {kind = [], pin = 4}", "endpoints.a.kind", "got something else"),
        ("endpoints.a = {kind = {}, pin = 4}", "endpoints.a.kind", "got something else"),
        ("endpoints.a.kind = 'button'", "endpoints.a.pin", "is missing"),
        ("endpoints.a = {kind = 'button', pin = 28}", "endpoints.a.pin", "expected `int` <= 27, got 28"),
        (
            "endpoints.a = {kind = 'button', pin = 4, pul = 'up'}",
            "endpoints.a.pul",
            "unknown; did you mean 'pull'?",
        ),
        ("endpoints.A1 = {kind = 'button', pin = 4}", "endpoints.A1", "got 'A1'"),
        ("endpoints.call = {kind = 'button', pin = 4}", "endpoints.call", "a meaning of its own"),
        ("endpoints.alarm = {kind = 'button', pin = 4}", "endpoints.alarm", "a meaning of its own"),
        ("endpoints.notify = {kind = 'button', pin = 4}", "endpoints.notify", "a meaning of its own"),
        (
            "endpoints.a = {kind = 'lock', pin = 4, hold_s = 40}",
            "endpoints.a",
            "hold_s (40) is longer than max_hold_s (30)",
        ),
        ("endpoints.a = {kind = 'lock', pin = 4, hold_s = nan}", "endpoints.a.hold_s", "got nan"),
        (
            "endpoints.a = {kind = 'lock', pin = 4, door_contact = {pin = 'x'}}",
            "endpoints.a.door_contact.pin",
            "expected `int`, got 'x'",
        ),
        ("endpoints.a = {kind = 'button', pin = 14}", "endpoints", "a: GPIO14 is the serial console"),
        ("notify.quiet = ['22-7']", "notify", "expected \"HH:MM-HH:MM\", got '22-7'"),
        ("notify.quiet_for = 1", "notify.quiet_for", "expected a table, got 1"),
        ("notify.quiet_for.bell = '22:00-07:00'", "notify.quiet_for.bell", "expected a list, got '22:00"),
        ("notify.quiet_for.bell = ['22-7']", "notify", "expected \"HH:MM-HH:MM\", got '22-7'"),
        ("alarm = 1", "alarm", "expected a table, got 1"),
        ("alarm.exit_delay = 5", "alarm.exit_delay", "unknown; did you mean 'exit_delay_s'?"),
        ("alarm.exit_delay_s = 256", "alarm.exit_delay_s", "expected `int` <= 255, got 256"),
        ("alarm.exit_delay_s = 1.5", "alarm.exit_delay_s", "expected `int`, got 1.5"),
        ("alarm.trigger_s = 0", "alarm.trigger_s", "expected `int` >= 1, got 0"),
        ("alarm.watch = 1", "alarm.watch", "expected a table, got 1"),
        ("alarm.watch.a = 'away'", "alarm.watch.a", "expected a list, got 'away'"),
        ("alarm.watch.a = []", "alarm.watch.a", "of length >= 1"),
        ("alarm.watch.a = ['awy']", "alarm.watch.a[0]", "one of away, stay, night, got 'awy'; did you mean"),
        ("alarm.watch.a = ['disarmed']", "alarm.watch.a[0]", "expected one of away, stay, night"),
        ("alarm.delayed = 'a'", "alarm.delayed", "expected a list, got 'a'"),
        ("rules = 1", "rules", "expected [[rules]] tables"),
        ("rules = [1]", "rules[0]", "expected a table, got 1"),
        ("[[rules]]\non = 'button_pressed'", "rules[0].then", "is missing"),
        (
            "[[rules]]\non = 'button_pressed'\nthen = {do = 'unlok', endpoint = 'a'}",
            "rules[0].then.do",
            "did you mean 'unlock'?",
        ),
        (
            "[[rules]]\non = 'button_pressed'\nthen = {do = 'unlock', endpoint = 'a', hold_s = -1}",
            "rules[0].then.hold_s",
            "expected `float` > 0.0, got -1",
        ),
        (
            "[[rules]]\non = 'buton_pressed'\nthen = {do = 'unlock', endpoint = 'a'}",
            "rules[0]",
            "no event 'buton_pressed'",
        ),
        (
            "[[rules]]\non = 'button_pressed'\nwhere = {endpoint = [1]}\nthen = {do = 'end_call'}",
            "rules[0].where.endpoint",
            "got a list",
        ),
    ],
)
def test_one_mistake(text: str, path: str, reason: str) -> None:
    found = mistakes(text)
    assert list(found) == [path]
    assert reason in found[path]


def test_every_mistake_is_told_at_once() -> None:
    found = mistakes(
        """
dor = 1
[door]
nam = "x"
name = ""
[calls]
ring_timeout_s = "x"
max_call_s = 1
[endpoints.strike]
kind = "lock"
pin = 99
hold_s = nan
door_contact = { pin = "x", pul = "up" }
[endpoints.Bell]
kind = "buton"
[workers.toy.server]
port = -1
hots = "x"
[workers.toy]
names = { abcd = "x" , abc = 1.5}
peers = [{}, { url = 1, mode = "no" }]
[workers.other]
[[rules]]
then = { do = "unlock" }
[[rules]]
on = "door_changed"
where = { state = "opened" }
then = { do = "lock", endpoint = "strike" }
""".replace('names = { abcd = "x" ,', "names = { abcd = 7 ,")
    )
    assert sorted(found) == sorted(
        [
            "dor",
            "door.nam",
            "door.name",
            "calls.ring_timeout_s",
            "calls.max_call_s",
            "endpoints.strike.pin",
            "endpoints.strike.hold_s",
            "endpoints.strike.door_contact.pin",
            "endpoints.strike.door_contact.pul",
            "endpoints.Bell",
            "endpoints.Bell.kind",
            "workers.toy.server.port",
            "workers.toy.server.hots",
            "workers.toy.names.abcd",
            "workers.toy.names.abc",
            "workers.toy.peers[0].url",
            "workers.toy.peers[1].url",
            "workers.toy.peers[1].mode",
            "workers.other",
            "rules[0].on",
            "rules[0].then.endpoint",
            "rules[1]",
        ]
    )


ENDPOINTS = """
[endpoints.bell]
kind = "button"
pin = 17
[endpoints.smoke]
kind = "contact"
role = "smoke"
pin = 18
[endpoints.strike]
kind = "lock"
pin = 27
[endpoints.siren]
kind = "siren"
pin = 22
[endpoints.lamp]
kind = "light"
pin = 23
"""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bel", "unknown; did you mean 'bell'?"),
        ("gate", "unknown; known are "),
        ("smoke", "smoke and CO alarms have no quiet times"),
    ],
)
def test_quiet_times_are_for_what_there_is(name: str, reason: str) -> None:
    found = mistakes(f"{ENDPOINTS}\n[notify.quiet_for]\nbell = ['13:00-14:00']\n{name} = ['13:00-14:00']")
    assert list(found) == [f"notify.quiet_for.{name}"]
    assert found[f"notify.quiet_for.{name}"].startswith(reason)


@pytest.mark.parametrize(
    ("rule", "path", "reason"),
    [
        ("then = {do = 'unlock', endpoint = 'strke'}", "then.endpoint", "unknown; did you mean 'strike'?"),
        (
            "then = {do = 'unlock', endpoint = 'siren'}",
            "then.endpoint",
            "'siren' is a siren, it cannot unlock",
        ),
        (
            "then = {do = 'sound_siren', endpoint = 'lamp'}",
            "then.endpoint",
            "'lamp' is a light, it cannot sound_siren",
        ),
        ("then = {do = 'ring', endpoint = 'smoke'}", "then.endpoint", "'smoke' is a contact, it cannot ring"),
        (
            "then = {do = 'set_notify', mode = 'mute', endpoints = ['bel']}",
            "then.endpoints",
            "did you mean 'bell'?",
        ),
        (
            "where = {endpoint = 'bel'}\nthen = {do = 'end_call'}",
            "where.endpoint",
            "unknown; did you mean 'bell'?",
        ),
    ],
)
def test_a_rule_names_what_there_is(rule: str, path: str, reason: str) -> None:
    found = mistakes(f"{ENDPOINTS}\n[[rules]]\non = 'button_pressed'\n{rule}")
    assert list(found) == [f"rules[0].{path}"]
    assert reason in found[f"rules[0].{path}"]


# The alarm system.

GUARDED = f"""{ENDPOINTS}
[endpoints.gate]
kind = "lock"
pin = 16
door_contact = {{ pin = 5 }}
[endpoints.hall]
kind = "contact"
role = "motion"
pin = 6
[endpoints.window]
kind = "contact"
pin = 13
"""
RULES = """
[[rules]]
on = "alarm_changed"
where = { state = "in_alarm", mode = "night", endpoint = "gate" }
then = { do = "sound_siren", endpoint = "siren" }
[[rules]]
on = "button_pressed"
then = { do = "set_alarm", mode = "disarmed" }
"""


def test_a_door_has_no_alarm_system_unless_it_is_given_one() -> None:
    assert parse({}, TOY).alarm is None
    assert parse({}, TOY, simulated=True).alarm is None
    assert parse(tomllib.loads(f"{GUARDED}[alarm]"), TOY).alarm == AlarmConfig()
    assert parse({"alarm": {}}, TOY, simulated=True).alarm == AlarmConfig()


def test_a_whole_alarm_system() -> None:
    got = parse(
        tomllib.loads(f"""{GUARDED}{RULES}
[alarm]
exit_delay_s = 0
entry_delay_s = 255
watch = {{ gate = ["away", "night"], window = ["stay"], hall = ["away"] }}
delayed = ["window"]
"""),
        TOY,
    )
    assert got.alarm == AlarmConfig(
        exit_delay_s=0,
        entry_delay_s=255,
        watch={"gate": ("away", "night"), "window": ("stay",), "hall": ("away",)},
        delayed=("window",),
    )
    assert [rule.then for rule in got.rules] == [SoundSiren(endpoint="siren"), SetAlarm(mode="disarmed")]


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("watch.hal = ['away']", "alarm.watch.hal", "unknown; did you mean 'hall'?"),
        ("watch.attic = ['away']", "alarm.watch.attic", "unknown; known are "),
        (
            "watch.strike = ['away']",
            "alarm.watch.strike",
            "'strike' is a lock without a door contact: expected a contact, or a lock with a door_contact",
        ),
        ("watch.bell = ['away']", "alarm.watch.bell", "'bell' is a button: expected a contact"),
        ("watch.lamp = ['away']", "alarm.watch.lamp", "'lamp' is a light: expected a contact"),
        ("watch.smoke = ['away']", "alarm.watch.smoke", "smoke and CO do not wait until somebody arms"),
        ("watch = {}", "alarm.watch", "nothing would be watched"),
        ("delayed = ['window']", "alarm.delayed", "'window' is not watched"),
        ("delayed = ['attic']", "alarm.delayed", "'attic' is not watched"),
        ("watch.hall = ['away']\ndelayed = ['gate']", "alarm.delayed", "'gate' is not watched"),
        ("watch.attic = ['away']\ndelayed = ['attic']", "alarm.watch.attic", "unknown; known are "),
    ],
)
def test_an_alarm_system_watches_what_can_be_watched(text: str, path: str, reason: str) -> None:
    found = mistakes(f"{GUARDED}[alarm]\n{text}")
    assert list(found) == [path]
    assert reason in found[path]


def test_an_alarm_system_of_a_door_that_sees_nothing() -> None:
    found = mistakes(f"{ENDPOINTS}[alarm]")
    assert found == {"alarm.watch": "nothing would be watched: name contacts here"}


def test_rules_about_an_alarm_system_that_there_is_not() -> None:
    reason = "this door has no alarm system: give the door a table [alarm]"
    assert mistakes(f"{GUARDED}{RULES}") == {"rules[0].on": reason, "rules[1].then.do": reason}


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("where = {state = 'alarm'}", "where.state of alarm_changed never is 'alarm'"),
        ("where = {mode = 'home'}", "where.mode of alarm_changed never is 'home'"),
        ("where = {sate = 'armed'}", "alarm_changed has no field 'sate'"),
    ],
)
def test_a_rule_on_the_alarm_names_what_can_happen(rule: str, reason: str) -> None:
    found = mistakes(f"{GUARDED}[alarm]\n[[rules]]\non = 'alarm_changed'\n{rule}\nthen = {{do = 'end_call'}}")
    assert list(found) == ["rules[0]"]
    assert reason in found["rules[0]"]


# Endpoints that live on a foreign system.

FAR = """
[endpoints.yard]
kind = "deconz"
acts_as = "light"
device = "Yard"
label = "Yard light"
default_s = 0
[endpoints.window]
kind = "deconz"
acts_as = "contact"
device = "00:15:8d:00:02:c9:4d:3a-01-0500"
[endpoints.bell]
kind = "button"
pin = 17
"""
ALL_WORKERS: dict[str, type[Struct]] = {**TOY, **{spec.name: spec.config for spec in WORKERS}}
ONE_GATEWAY = '[[workers.deconz.gateway]]\nname = "home"\n'


def far(text: str) -> Config:
    return parse(tomllib.loads(text), ALL_WORKERS, remotes=REMOTES)


def test_endpoints_of_a_gateway() -> None:
    got = far(f"{FAR}{ONE_GATEWAY}")
    yard = got.endpoints["yard"]
    assert isinstance(yard, DeconzEndpoint)
    assert (yard.acts_as, yard.device, yard.label, yard.default_s) == ("light", "Yard", "Yard light", 0)
    assert list(got.endpoints) == ["yard", "window", "bell"]
    assert got.pins == {"bell": ButtonPins(pin=17)}


def test_a_worker_that_does_not_have_endpoints_knows_no_such_kind() -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse(tomllib.loads(f"{FAR}{ONE_GATEWAY}"), ALL_WORKERS)
    (yard, window) = caught.value.errors
    assert (yard.path, window.path) == ("endpoints.yard.kind", "endpoints.window.kind")
    assert "expected one of button, lock, siren, light, contact, led, io, got 'deconz'" in yard.reason


def test_a_file_with_endpoints_of_a_gateway(tmp_path: Path) -> None:
    path = tmp_path / "portero.toml"
    path.write_text(f"{FAR}{ONE_GATEWAY}")
    assert list(load(path, ALL_WORKERS, remotes=REMOTES).pins) == ["bell"]


@pytest.mark.parametrize(
    ("workers", "reason"),
    [
        ("", "nobody speaks deconz: add [workers.deconz]"),
        ("[workers.toy]", "nobody speaks deconz: add [workers.deconz]"),
        ("[workers.deconz.server]", "there is no gateway: add [[workers.deconz.gateway]]"),
        (f"{ONE_GATEWAY}{ONE_GATEWAY.replace('home', 'shed')}", "say which gateway: home, shed"),
    ],
)
def test_an_endpoint_of_a_gateway_that_there_is_not(workers: str, reason: str) -> None:
    assert mistakes(f"{FAR}{workers}", ALL_WORKERS) == {"endpoints.yard": reason, "endpoints.window": reason}


def test_an_endpoint_of_one_of_several_gateways() -> None:
    two = ONE_GATEWAY + ONE_GATEWAY.replace("home", "shed")
    named = FAR.replace("acts_as =", 'gateway = "shed"\nacts_as =')
    assert list(far(f"{named}{two}").endpoints) == ["yard", "window", "bell"]
    assert list(far(f"{named}{ONE_GATEWAY.replace('home', 'shed')}").endpoints) == ["yard", "window", "bell"]
    reason = "no gateway named 'shed'; there are home"
    found = mistakes(f"{named}{ONE_GATEWAY}", ALL_WORKERS)
    assert found == {"endpoints.yard": reason, "endpoints.window": reason}


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("acts_as = 'lite'\ndevice = 'Yard'", "acts_as", "did you mean 'light'?"),
        (
            "acts_as = 'led'\ndevice = 'Yard'",
            "acts_as",
            "expected one of button, lock, siren, light, contact",
        ),
        ("device = 'Yard'", "acts_as", "is missing"),
        ("acts_as = 'light'", "device", "is missing"),
        ("acts_as = 'light'\ndevice = ''", "device", "of length >= 1"),
        ("acts_as = 'light'\ndevice = 'Yard'\npin = 4", "pin", "unknown"),
        ("acts_as = 'light'\ndevice = 'Yard'\ndefault_s = nan", "default_s", "got nan"),
        ("acts_as = 'light'\ndevice = 'Yard'\nmax_on_s = 0", "max_on_s", "got 0"),
        ("acts_as = 'lock'\ndevice = 'Yard'\ndefault_s = 0", "", "default_s = 0 is for a light only"),
        ("acts_as = 'light'\ndevice = 'Yard'\nrole = 'motion'", "", "role is for a contact only"),
    ],
)
def test_a_mistake_in_an_endpoint_of_a_gateway(text: str, path: str, reason: str) -> None:
    found = mistakes(f"{ONE_GATEWAY}[endpoints.yard]\nkind = 'deconz'\n{text}", ALL_WORKERS)
    where = f"endpoints.yard.{path}".rstrip(".")
    assert list(found) == [where]
    assert reason in found[where]


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        ("{do = 'unlock', endpoint = 'yard'}", "'yard' is a light, it cannot unlock"),
        ("{do = 'sound_siren', endpoint = 'yard'}", "'yard' is a light, it cannot sound_siren"),
        ("{do = 'switch_light', endpoint = 'window', on = true}", "'window' is a contact, it cannot switch"),
        ("{do = 'switch_light', endpoint = 'yrd', on = true}", "unknown; did you mean 'yard'?"),
    ],
)
def test_a_rule_asks_an_endpoint_of_a_gateway_for_what_it_is(then: str, reason: str) -> None:
    rule = f"[[rules]]\non = 'button_pressed'\nwhere = {{endpoint = 'window'}}\nthen = {then}"
    found = mistakes(f"{FAR}{ONE_GATEWAY}{rule}", ALL_WORKERS)
    assert list(found) == ["rules[0].then.endpoint"]
    assert reason in found["rules[0].then.endpoint"]


def test_rules_and_more_with_endpoints_of_a_gateway() -> None:
    got = far(f"""{FAR}{ONE_GATEWAY}
[[rules]]
on = "contact_changed"
where = {{ endpoint = "window", active = true }}
then = {{ do = "switch_light", endpoint = "yard", on = true }}
[notify.quiet_for]
window = ["22:00-07:00"]
[alarm.watch]
window = ["night"]
""")
    assert got.rules[0].where == {"endpoint": "window", "active": True}
    assert got.alarm is not None
    assert got.alarm.watch == {"window": ("night",)}


def test_a_smoke_detector_of_a_gateway_is_one() -> None:
    smoke = FAR.replace('acts_as = "contact"', 'acts_as = "contact"\nrole = "smoke"')
    more = "[notify.quiet_for]\nwindow = ['22:00-07:00']\n[alarm.watch]\nwindow = ['away']"
    found = mistakes(f"{smoke}{ONE_GATEWAY}{more}", ALL_WORKERS)
    assert sorted(found) == ["alarm.watch.window", "notify.quiet_for.window"]


def test_what_has_no_pin_is_in_nobodys_way() -> None:
    other = "[endpoints.other]\nkind = 'button'\npin = 17\n"
    found = mistakes(f"{FAR}{other}{ONE_GATEWAY}", ALL_WORKERS)
    assert found == {"endpoints": "other: GPIO17 already belongs to bell"}


def test_two_endpoints_on_one_pin() -> None:
    text = f"{ENDPOINTS}\n[endpoints.other]\nkind = 'button'\npin = 17"
    assert mistakes(text) == {"endpoints": "other: GPIO17 already belongs to bell"}


def test_no_value_of_an_unknown_setting_is_repeated() -> None:
    assert "hunter2" not in str(mistakes("door.password = 'hunter2'\npasword = 'hunter2'"))


# Files.


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="no such file"):
        load(tmp_path / "portero.toml", TOY)


@pytest.mark.parametrize(
    "content",
    [
        b"door = ",
        b"[door\n",
        b"\xff\xfe",
        b"a = 1\na = 2",
        b"a = " + b"1" * 5000,
        b"a = " + b"[" * 5000,
        b"\x00",
        b'a = "\\ud800"',
    ],
)
def test_a_file_that_is_no_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "portero.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigErrors) as caught:
        load(path, TOY)
    (error,) = caught.value.errors
    assert error.path == str(path)
    assert "not TOML" in error.reason


def test_a_file_that_is_a_folder_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="cannot be read"):
        load(tmp_path, TOY)
    path = tmp_path / "large.toml"
    path.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigErrors, match="larger than"):
        load(path, TOY)
    path.write_bytes(b"#" * MAX_FILE_BYTES)
    assert load(path, TOY) == Config()


WORDS = (
    "door endpoints workers rules calls notify journal access tls name kind pin toy server peers names url "
    "then do on where endpoint quiet quiet_for door_contact bell mode hold_s max_age_days "
    "alarm watch delayed trigger_s acts_as device gateway deconz"
)
KEYS = st.sampled_from(WORDS.split()) | st.text(max_size=4)
LEAVES = (
    st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.sampled_from(
        ["button", "lock", "unlock", "button_pressed", "bell", "22:00-07:00", "deconz", "light"]
    )
    | st.text(max_size=4)
)
TOML = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
        max_leaves=15,
    ),
    max_size=6,
)


@settings(max_examples=300, deadline=None)
@given(TOML, st.booleans())
def test_any_file_is_a_configuration_or_mistakes(plain: dict[str, Any], simulated: bool) -> None:
    _check(plain, simulated)


ENDPOINT_TABLES = st.dictionaries(
    st.sampled_from(["bell", "strike", "B", "call"]),
    st.dictionaries(KEYS, LEAVES | st.dictionaries(KEYS, LEAVES, max_size=3), max_size=5),
    max_size=3,
)
RULE_TABLES = st.lists(
    st.dictionaries(KEYS, LEAVES | st.dictionaries(KEYS, LEAVES, max_size=3), max_size=5), max_size=3
)


@settings(max_examples=300, deadline=None)
@given(ENDPOINT_TABLES, RULE_TABLES)
def test_any_endpoints_and_rules_are_a_configuration_or_mistakes(
    endpoints: dict[str, Any], rules: list[dict[str, Any]]
) -> None:
    _check({"endpoints": endpoints, "rules": rules}, False)


def _check(plain: dict[str, Any], simulated: bool) -> None:
    workers = {**TOY, **{spec.name: spec.config for spec in WORKERS}}
    try:
        got = parse(plain, workers, remotes=REMOTES, simulated=simulated)
    except ConfigErrors as errors:
        found = errors.errors
    else:
        assert isinstance(got, Config)
        return
    assert found
    assert all(error.reason for error in found)


def examples() -> list[tuple[str, str]]:
    """(where, text) of every whole-file TOML example in the documents."""
    found = []
    for path in sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")]):
        if path.exists():
            for number, text in enumerate(
                re.findall(r"^```toml\n(.*?)^```", path.read_text(), re.S | re.M), 1
            ):
                whole = text.replace('"AB:CD:…"', f'"{"ab" * 32}"')  # a shortened fingerprint
                found.append((f"{path.name} {number}", whole))
    return found


def test_the_examples_of_the_documents_are_sound() -> None:
    workers = {spec.name: spec.config for spec in WORKERS}
    for where, text in examples():
        try:
            plain = tomllib.loads(text)
            if "tool" not in plain:
                _known_only(plain, workers)
        except (ConfigErrors, tomllib.TOMLDecodeError) as error:
            pytest.fail(f"{where}: {error}")


def _known_only(plain: dict[str, Any], workers: dict[str, type[Struct]]) -> None:
    """Rules of an example may speak of the simulated door's endpoints."""
    parse(plain, workers, remotes=REMOTES, simulated=True)


SERIAL = """
[endpoints.strike]
kind = "lock"
pin = 27
[endpoints.bell]
kind = "button"
pin = 17
"""


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ('[readers.a]\ndevice = "x"\nkind = "keypad"\nopens = "strik"', "readers.a.opens", "strike"),
        ('[readers.a]\ndevice = "x"\nkind = "keypad"\nopens = "bell"', "readers.a.opens", "is a button"),
        ('[readers.bell]\ndevice = "x"\nkind = "keypad"\nopens = "strike"', "readers.bell", "choose another"),
        ('[readers.a]\ndevice = "x"\nkind = "keypad"\nopens = "strike"\n'
         '[readers.b]\ndevice = "x"\nkind = "keypad"\nopens = "strike"', "readers.b.device", "belongs to a"),
        ('[endpoints.x]\nkind = "io"\nacts_as = "lock"\nchannel = 0', "endpoints.x.io", "add [io.NAME]"),
        ('[io.p]\ndevice = "x"\n[endpoints.x]\nkind = "io"\nio = "q"\nacts_as = "lock"\nchannel = 0',
         "endpoints.x.io", "p"),
        ('[io.p]\ndevice = "x"\n[io.q]\ndevice = "y"\n'
         '[endpoints.x]\nkind = "io"\nacts_as = "lock"\nchannel = 0', "endpoints.x.io", "which device: p, q"),
        ('[io.p]\ndevice = "x"\n[endpoints.x]\nkind = "io"\nacts_as = "lock"\nchannel = 0\n'
         '[endpoints.y]\nkind = "io"\nacts_as = "lock"\nchannel = 0', "endpoints.y.channel", "belongs to x"),
        ('[io.p]\ndevice = "x"\n[io.q]\ndevice = "x"', "io.q.device", "belongs to p"),
    ],
)  # fmt: skip
def test_serial_devices(text: str, path: str, reason: str) -> None:
    found = mistakes(SERIAL + text)
    assert list(found) == [path]
    assert reason in found[path]


def test_a_door_on_a_microcontroller() -> None:
    text = '[io.p]\ndevice = "x"\n[endpoints.x]\nkind = "io"\nacts_as = "lock"\nchannel = 0\n'
    text += '[readers.a]\ndevice = "y"\nkind = "rdm6300"\nopens = "x"'
    got = parse(tomllib.loads(text), TOY)
    assert got.pins == {}
    assert got.readers["a"].opens == "x"
