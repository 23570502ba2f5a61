"""What is known of gateways and concerns a client, and which tests prove that ours minds it."""

from __future__ import annotations

from pathlib import Path

import pytest

# What the document says and what gateways do -> the test, as `module suffix::name`.
DOCUMENT_AND_REALITY: dict[str, str] = {
    "a port of its own, or that of REST": "::test_one_port_for_rest_and_websocket",
    "websocketport_wss": "_translate::test_where_the_websocket_is",
    "wss:// works where HTTPS does": "_tls::test_rest_and_websocket_over_tls",
    "one or several parts in a message": "_state::test_several_parts_in_one_message",
    "names in attr, or bare": "_state::test_renamed_today_and_of_old",
    "five types of resources": "_state::test_what_concerns_nobody",
    "attr and capabilities": "_session::test_what_means_nothing_to_a_door",
    "a group is added without a body": "_session::test_what_means_nothing_to_a_door",
    "scene-called": "_session::test_what_means_nothing_to_a_door",
    "lastupdated in seconds or milliseconds, without Z": "_translate::test_times",
    "sensor added, with or without its id": "_state::test_added_and_deleted",
    "a wrong key on /config is HTTP 200": "::test_a_refused_key_parks_and_says_so",
    "no authentication of the websocket, no replay": "::test_a_restart_moves_the_port_and_hides_nothing",
    "no ping of the gateway": "::test_a_gateway_that_falls_silent_without_closing",
}
REQUIREMENTS: dict[str, str] = {
    "config, websocket, full read": "::test_config_then_websocket_then_everything_then_events",
    "full read after every reconnection": "::test_a_restart_moves_the_port_and_hides_nothing",
    "events received meanwhile": "::test_what_comes_while_everything_is_read_is_heard_at_once",
    "a read and events that cross": "_state::test_events_that_come_while_a_read_is_under_way_stand_over_it",
    "key on r and id": "_bindings::test_the_id_of_a_bound_device_may_change",
    "verify uniqueid": "::test_everything_is_read_again_when_something_does_not_fit",
    "null anywhere": "_session::test_null_and_wrong_types_everywhere",
    "ping every 20 s": "::test_a_gateway_that_falls_silent_without_closing",
    "backoff, cap 15 s": "::test_a_gateway_that_is_away_is_asked_at_least_every_fifteen_seconds",
    "a buttonevent of a read is old": "::test_a_button_event_in_a_read_never_rings",
    "a newer lastupdated rings": "_edges::test_a_button_event_in_a_read_is_old",
    "the whole array": "_outputs::test_the_whole_array_is_read",
    "HTTP 200 does not decide": "_outputs::test_http_200_does_not_decide",
    "own siren timer": "_outputs::test_a_siren_sounds_for_seconds_and_is_stopped_by_us",
    "low rate of commands": "_outputs::test_commands_go_out_at_a_low_rate",
    "discovery": "_discovery::test_the_only_gateway_among_what_else_answers",
    "another bridge": "::test_another_gateway_is_not_followed_and_not_given_the_key",
    "pairing": "_pairing::test_asks_until_the_button_is_pressed_and_keeps_the_key",
    "pairing wakes a parked follower": "::test_no_key_parks_until_there_is_one",
    "slow re-read": "::test_a_missing_device_is_looked_for_every_minute_others_every_quarter_hour",
    "floods": "_session::test_a_flood_laps_neither_the_log_nor_the_bell",
    "floods of presses": "_session::test_a_flood_of_presses_is_dropped_and_counted",
    "first read: alarms only": "_reports::test_of_a_new_device_only_an_alarm_is_news",
    "facts that changed meanwhile": "::test_a_restart_moves_the_port_and_hides_nothing",
    "stop owed over reconnections": "_owed::test_a_stop_is_owed_over_a_reconnection",
    "an unlocking is never repeated": "_outputs::test_an_unlocking_is_never_repeated_when_nobody_knows",
    "exactly one of done and failed": "_owed::test_nobody_is_left_waiting_on_the_way_out",
    "the way out": "_owed::test_on_the_way_out_everything_is_ended",
    "cancellation at every await": "_session::test_can_be_cancelled_at_every_await",
    "close in mid-message": "_session::test_a_connection_that_ends_in_the_middle_of_a_message",
    "HTML instead of JSON": "::test_a_gateway_that_starts_answers_nonsense_first",
    "a megabyte of state": "_session::test_a_household_of_a_thousand_devices",
    "anything as event and as state": "_view::test_whatever_a_gateway_says_it_is_survived",
}
COMPLAINTS: dict[str, str] = {
    "1 websocket dies silently": "::test_a_gateway_that_falls_silent_without_closing",
    "2 ghost button events after a restart": "::test_a_restart_moves_the_port_and_hides_nothing",
    "2 repeated button events of notify-all": "::test_a_press_rings_once_whatever_notify_all_sends_along",
    "3 port surprises": "::test_a_port_that_is_mapped_elsewhere_can_be_configured",
    "4 TLS and reverse proxy": "_tls::test_rest_and_websocket_over_tls",
    "5 key handling": "_tls::test_a_gateway_that_cannot_be_trusted_gets_no_key",
    "5 keys in error texts": "_rest::test_no_error_holds_a_key",
    "6 siren state never shown": "_outputs::test_a_siren_sounds_for_seconds_and_is_stopped_by_us",
    "6 siren will not stop": "_owed::test_a_stop_is_repeated_until_the_gateway_takes_it_on",
    "6 odd values of ontime": "_translate::test_orders",
    "7 first event lost": "_edges::test_the_first_press_ever",
    "8 reachable slow or wrong": "_bindings::test_unreachable_and_back",
    "8 error 202 on commands": "_outputs::test_http_200_does_not_decide",
    "9 busy errors": "_outputs::test_a_busy_gateway_is_asked_three_times",
    "9 success means only queued": "_outputs::test_a_lock_is_unlocked_and_locked_again",
    "10 time without zone": "_translate::test_times",
    "10 unstable ids": "::test_everything_is_read_again_when_something_does_not_fit",
    "11 two models of locks, inverted on": "_translate::test_lock_of_old_is_on_when_it_is_locked",
    "11 not fully locked, undefined": "_outputs::test_a_lock_is_locked_by_hand_and_by_command",
    "12 unexpected events": "_session::test_what_means_nothing_to_a_door",
    "12 unknown devices": "_state::test_what_does_not_fit_is_read_again",
}
TOPICS = DOCUMENT_AND_REALITY | REQUIREMENTS | COMPLAINTS


@pytest.mark.parametrize("test", TOPICS.values(), ids=list(TOPICS))
def test_the_proof_exists(test: str) -> None:
    suffix, name = test.split("::")
    module = Path(__file__).with_name(f"test_client{suffix}.py")
    assert f"def {name}(" in module.read_text()


def test_each_complaint_has_a_proof() -> None:
    assert {int(topic.split()[0]) for topic in COMPLAINTS} == set(range(1, 13))
