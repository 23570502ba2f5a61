"""What the cloud tells, by push or by poll, and what the house hears of it: once, and only what is new."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence

import trio

from agent.model.errors import MalformedMessage
from agent.model.events import CloudReported
from agent.workers.netatmo.catalogue import CALLS, EVENTS
from agent.workers.netatmo.client_bindings import Binding
from agent.workers.netatmo.client_calls import Call, Calls, Seen
from agent.workers.netatmo.client_reports import Reports
from agent.workers.netatmo.client_state import Mirror, Module
from agent.workers.netatmo.loose import Scalar
from agent.workers.netatmo.push_wire import Push, decode_push
from agent.workers.netatmo.translate import Step, reported_event, reported_push, step_of, step_of_event
from agent.workers.netatmo.wire import StoredEvent

REPEATED_S = 60.0
MAX_REPEATED = 256
MAX_STRANGE = 64
ENDED = "call_ended"
# These tell states, not events; what they change is in the status.
_QUIET = frozenset({"device_event", "topology_changed", "webhook_activation", "webhook_deactivation"})

logger = logging.getLogger(__name__)


class Ears:
    """One cloud's. Lives as long as the worker: what was told before a lost connection is still old after it.

    learnt: what is old is known. soon: a status should be read. pushed: a push of an event came, by its key.
    activated: the cloud says that our webhook works, or (False) that it was taken away.
    malformed, foreign: bodies that could not be read, or were of another home.
    clock_offset_s: of the cloud's clock against ours, once it has told it.
    """

    def __init__(
        self, source: str, mirror: Mirror, bindings: Sequence[Binding], reports: Reports, *,
        soon: Callable[[], None], pushed: Callable[[str], None], activated: Callable[[bool], None],
    ) -> None:  # fmt: skip
        self.pushes = 0
        self.malformed = 0
        self.foreign = 0
        self.rings = 0
        self.learnt = False
        self.clock_offset_s = 0.0
        self.last_push_at: float | None = None
        self.call_changed = trio.Event()
        self._source = source
        self._mirror = mirror
        self._bindings = bindings
        self._reports = reports
        self._soon = soon
        self._pushed = pushed
        self._activated = activated
        self._calls = Calls()
        self._seen = Seen()
        self._repeated: dict[str, float] = {}
        self._strange: set[str] = set()

    # ----- pushes -----

    def hear(self, body: bytes) -> None:
        """Take in a webhook whose signature was right. What cannot be read is counted."""
        try:
            push = decode_push(body)
        except MalformedMessage as error:
            self.malformed += 1
            logger.debug("cloud=%s webhook malformed reason=%s", self._source, error)
            return
        now = trio.current_time()
        if push.home_id and self._mirror.home_id and push.home_id != self._mirror.home_id:
            self.foreign += 1
            return
        self.pushes += 1
        self.last_push_at = now
        if push.kind in _QUIET:
            self._hear_state(push, now)
            return
        told = push.sub_type if push.sub_type != "" else push.call
        key = key_of(push.kind, told, event_id=push.event_id, part_id=push.subevent_id,
                     session_id=push.session_id)  # fmt: skip
        self._pushed(key)
        if not (self._seen.add(key) if key else self._is_new(body, now)):
            return
        step = step_of(push)
        if step is not None:
            self._step(step, push.session_id, push.event_id, push.gateway, push.module_id,
                       self._age_s(push.timestamp), now)  # fmt: skip
        self._imply(push, now)
        self._tell_bindings(push.kind, push.sub_type, push.gateway, push.module_id)
        self._note_strange(push.kind)
        gateway, module = self._whose(push.gateway, push.module_id)
        self._reports.tell(
            reported_push(
                push,
                source=self._source,
                product=push.product or gateway.type,
                device=gateway.label,
                unique_id=gateway.id,
                module=module,
                persons=self._mirror.names(),
                at_s=0,
            )
        )
        self._soon()

    def _hear_state(self, push: Push, now: float) -> None:
        match push.kind:
            case "webhook_activation" | "webhook_deactivation":
                self._activated(push.kind == "webhook_activation")
            case "topology_changed":
                self._mirror.topology_wanted = True
                self._soon()
            case _:
                told = self._mirror.take_push(push.changes, now)
                for binding in self._bindings:
                    if binding.module in told:
                        binding.bind()
                self._soon()

    # ----- polls -----

    def learn(self, events: Iterable[StoredEvent]) -> None:
        """What was in the history when the door began to listen: old, never told."""
        self.learnt = True
        for parent, event in _flat(events):
            self._seen.add(_stored_key(parent, event))

    def knows(self, event: StoredEvent) -> bool:
        """Whether all of an event of the history was told."""
        return all(_stored_key(parent, part) in self._seen for parent, part in _flat((event,)))

    def recall(self, events: Sequence[StoredEvent], server_s: float) -> list[str]:
        """Events of a poll, newest first; the keys of those that no push has told."""
        now, fresh = trio.current_time(), []
        for parent, event in reversed(list(_flat(events))):
            key = _stored_key(parent, event)
            if not self._seen.add(key):
                continue
            fresh.append(key)
            whose = event.module_id or (parent.module_id if parent is not None else "")
            known = self._mirror.get(whose)
            gateway = self._mirror.gateway_of(known).id if known is not None else whose
            module = whose if gateway != whose else ""
            at_s = event.time or (parent.time if parent is not None else 0)
            age_s = server_s - at_s if at_s else 0.0
            step = step_of_event(event)
            if step is not None:
                session = event.session_id or (parent.session_id if parent is not None else "")
                self._step(step, session, (parent or event).id, gateway, module, age_s, now)
            self._tell_bindings(event.type, event.sub_type, gateway, module)
            self._note_strange(event.type)
            device, name = self._whose(gateway, module)
            self._reports.tell(
                reported_event(
                    event,
                    source=self._source,
                    product=device.type,
                    device=device.label,
                    unique_id=device.id,
                    module=name,
                    persons=self._mirror.names(),
                    parent=parent,
                )
            )
        return fresh

    # ----- calls -----

    def end_overdue(self) -> float | None:
        """End calls of which nothing more is heard; when to look again."""
        for call in self._calls.overdue(trio.current_time()):
            device, module = self._whose(call.device, call.module)
            self._reports.tell(
                CloudReported(
                    source=self._source,
                    product=device.type,
                    kind=ENDED,
                    device=device.label,
                    unique_id=device.id,
                    module=module,
                    meaning=call.outcome,
                    session_id=call.key if ":" not in call.key else "",
                )
            )
        return self._calls.next_overdue()

    def _step(
        self, step: Step, session: str, event_id: str, device: str, module: str, age_s: float, now: float
    ) -> None:
        rang = session and f"rang/{session}" in self._seen
        if step == "ring" and rang and not self._calls.knows(session, now):
            return  # the other half of a call that rang long ago
        verdict, call = self._calls.take(
            step, session_id=session, event_id=event_id, device=device, module=module, age_s=age_s, now_s=now
        )
        if verdict == "ring" and call is not None:
            self.rings += 1
            self._seen.add(f"rang/{call.key}")
            button = self._button(call)
            if button is not None:
                button.ring()
        self.call_changed.set()

    def _button(self, call: Call) -> Binding | None:
        """The endpoint that was pressed. Nobody said which door station: the first one of this gateway."""
        buttons = [one for one in self._bindings if one.kind == "button"]
        for one in buttons:
            if one.is_of(call.device, call.module):
                return one
        if call.module:
            # A button that is bound to the gateway stands for every station behind it.
            return next((one for one in buttons if one.is_of(call.device, "")), None)
        for one in buttons:
            if isinstance(one.module, Module) and one.module.bridge == call.device:
                return one
        return None

    # ----- parts -----

    def _imply(self, push: Push, now: float) -> None:
        """What an event says of the state of a module or person."""
        values: dict[str, Scalar] = {}
        whose = push.module_id or push.camera_id or push.device_id
        match push.kind:
            case "on" | "off":
                values["monitoring"] = push.kind
            case "light_mode" if isinstance(push.sub_type, str) and push.sub_type:
                values["floodlight"] = push.sub_type
            case "siren_sounding" if push.sub_type in (0, 1):
                known = self._mirror.get(whose)
                field = "siren_status" if known is not None and known.type == "NOC" else "status"
                values[field] = "sound" if push.sub_type == 1 else "no_sound"
            case "person_away" | "person_home":
                self._mirror.set_away((one.id for one in push.persons), push.kind == "person_away")
            case "new_module" | "new_device":
                self._mirror.topology_wanted = True
            case _:
                pass
        if values and self._mirror.get(whose) is not None:
            self._mirror.tell(whose, values, now)

    def _tell_bindings(self, kind: str, sub_type: int | str, device: str, module: str) -> None:
        for binding in self._bindings:
            if binding.is_of(device, module):
                binding.take(kind, sub_type)

    def _whose(self, device: str, module: str) -> tuple[Module, str]:
        """The gateway, and the name of what hangs on it."""
        known = self._mirror.get(module) if module else None
        gateway = self._mirror.get(device) or Module(id=device)
        if not device and known is not None:
            gateway = self._mirror.gateway_of(known)
        if module in ("", gateway.id):
            return gateway, ""
        return gateway, known.label if known is not None else module

    def _age_s(self, timestamp: int) -> float:
        return time.time() + self.clock_offset_s - timestamp if timestamp else 0.0

    def _is_new(self, body: bytes, now: float) -> bool:
        """Of what has no id the same body, soon after, is a retransmission."""
        key = hashlib.sha256(body).hexdigest()
        before = self._repeated.pop(key, None)
        self._repeated[key] = now
        if len(self._repeated) > MAX_REPEATED:
            del self._repeated[next(iter(self._repeated))]
        return before is None or now - before > REPEATED_S

    def _note_strange(self, kind: str) -> None:
        if kind not in EVENTS and kind not in self._strange and len(self._strange) < MAX_STRANGE:
            self._strange.add(kind)
            logger.info("cloud=%s unknown event kind=%r", self._source, kind)


def key_of(
    kind: str, sub_type: int | str, *, event_id: str = "", part_id: str = "", session_id: str = ""
) -> str:
    """By what an event is told again, whichever way it comes; empty when it has no id."""
    if session_id and kind in CALLS:
        return f"call/{session_id}/{kind}/{sub_type}"
    if part_id:
        return f"part/{part_id}/{kind}"
    return f"event/{event_id}/{kind}/{sub_type}" if event_id else ""


def _stored_key(parent: StoredEvent | None, event: StoredEvent) -> str:
    part = event.id if parent is not None else ""
    return key_of(event.type, event.sub_type, event_id=(parent or event).id, part_id=part,
                  session_id=event.session_id or (parent.session_id if parent is not None else ""),
                  ) or f"stored/{event.type}/{event.time}/{event.module_id}"  # fmt: skip


def _flat(events: Iterable[StoredEvent]) -> Iterable[tuple[StoredEvent | None, StoredEvent]]:
    """(parent, part) newest first; an event without parts is its own."""
    for event in events:
        if event.subevents:
            for part in reversed(event.subevents):
                yield event, part
        else:
            yield None, event
