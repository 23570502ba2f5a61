"""What a client of this cloud has to mind, what the vendor's document lists, and which tests prove it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[3]

# Rules of behaviour -> tests, as `file::name`; at a stub cloud, and where it can be at our own server.
RULES: dict[str, tuple[str, ...]] = {
    "1 one HTTP client, one write per home": ("client::test_one_call_for_a_home_at_a_time",),
    "1 time-out": ("client_api::test_a_write_that_gets_no_answer_is_not_repeated",),
    "2 403 code 2 or 3: refresh once, repeat once": (
        "client::test_an_expired_token_is_renewed_once_and_the_call_repeated_once",
        "client_and_server::test_an_expired_token_is_renewed_in_the_middle",
    ),
    "2 the second time: report": (
        "client::test_a_fresh_token_that_is_refused_parks",
        "client_and_server::test_a_pair_that_somebody_else_rotated",
        "client_and_server::test_a_revoked_grant_is_the_end_of_it",
    ),
    "3 429: Retry-After, else ever longer": (
        "client_api::test_429_waits_as_it_is_told_else_ever_longer",
        "client_oauth::test_retry_after",
    ),
    "3 code 26: ten minutes, webhooks go on": (
        "client::test_the_usage_limit_pauses_polling_for_ten_minutes_not_the_webhooks",
        "client_api::test_a_usage_limit_pauses_reads_not_writes",
    ),
    "4 5xx: the last state, stale after two periods": (
        "client::test_5xx_keeps_the_last_state_and_it_goes_stale_after_two_periods",
    ),
    "5 a missing field keeps its value, reachable does not": (
        "client_state::test_a_missing_field_keeps_its_old_value_but_for_reachable",
    ),
    "6 one coalesced homestatus after webhooks": ("client::test_one_status_for_many_webhooks",),
    "7 another home's push: ignored, 200": (
        "client::test_another_homes_webhook_is_ignored_and_answered_200",
    ),
    "8 no secret is logged": (
        "client::test_nothing_secret_is_logged_shown_or_told",
        "hooks::test_no_secret_in_what_is_logged_of_it",
        "push_wire::test_no_picture_and_no_text_in_what_is_logged_of_it",
    ),
    "9 the vendor's time is the vendor's": (
        "client_ears::test_clocks_that_are_minutes_apart",
        "client_oauth::test_how_old_a_pair_from_the_disk_is",
    ),
    "10 the door works without the internet": ("client::test_offline_everything_is_retried_quietly",),
    "11 a mirrored action is not sent back": (
        "client_outputs::test_what_the_cloud_tells_is_never_asked_of_it_again",
        "client_and_server::test_a_door_follows_another_door",
    ),
    "levels and edges: a poll that began earlier undoes nothing": (
        "client_state::test_a_poll_that_was_begun_before_a_push_does_not_undo_it",
        "client_state::test_the_newest_push_always_stands_against_older_polls",
    ),
}

# Signal of the cloud -> what it is at this door.
MIRROR: dict[str, tuple[str, ...]] = {
    "rtc offer or incoming_call, the first of a session: the bell": (
        "client_ears::test_a_press_rings_once",
        "client_calls::test_any_order_rings_at_most_once",
        "client_and_server::test_a_door_follows_another_door",
    ),
    "accepted, rescind, missed: the call is over": (
        "client_calls::test_a_call_from_its_beginning_to_its_end",
        "translate::test_steps_of_a_call",
    ),
    "siren_sounding, NIS status: siren": (
        "client_ears::test_a_siren_is_told_and_never_sounded",
        "translate::test_a_siren",
        "client_and_server::test_a_door_follows_another_door",
    ),
    "siren_tampered: contact": ("client_ears::test_contacts",),
    "smoke, co_detected: contact for rules": ("client_ears::test_contacts", "translate::test_contacts"),
    "light_mode, floodlight: light": ("translate::test_a_floodlight", "client::test_a_floodlight"),
    "lock and light asked for here: setstate": (
        "client::test_a_lock_is_taken_on_and_never_believed",
        "client::test_a_light_is_switched_off_again_by_our_own_timer",
        "client_and_server::test_a_door_follows_another_door",
    ),
}
BAD_DAYS: dict[str, tuple[str, ...]] = {
    "power loss between a rotated token and its storing": (
        "client_tokens::test_killed_at_every_step_the_old_or_the_new_pair_is_there",
        "client_oauth::test_the_new_pair_is_on_disk_before_it_is_used",
    ),
    "a refresh that races itself": ("client_oauth::test_a_refresh_races_itself",),
    "an unlocking whose answer is lost": (
        "client::test_an_unlocking_whose_answer_is_lost_is_never_repeated",
    ),
    "homes with unknown modules": ("client::test_unknown_modules_are_shown_and_harm_nobody",),
    "a silent ban": ("client_webhook::test_a_silent_ban_is_noticed_polled_around_and_ended",),
    "forged, unsigned, oversized": (
        "client_ears::test_forged_and_unsigned_ones",
        "hooks::test_an_oversized_one",
    ),
    "replayed": ("client_ears::test_a_replay_an_hour_later_rings_nobody",),
    "polling where no webhook reaches": ("client_and_server::test_by_polling_alone",),
    "local cameras in three steps": (
        "client_cameras::test_on_the_same_network",
        "client_cameras::test_on_another_network",
        "client_cameras::test_a_camera_that_does_not_answer_at_home",
        "client_cameras::test_an_address_that_is_not_the_vendors",
    ),
    "the subscriber that hangs, redirects, fails six times": (
        "subscribers::test_twenty_of_whom_three_hang_and_the_others_hear_at_once",
        "subscribers::test_a_redirect_to_this_machine_is_a_failure_and_not_followed",
        "subscriber::test_the_sixth_failure_in_a_row_bans_for_a_day",
    ),
}


def defined(test: str) -> bool:
    """Whether `file::name` is a test."""
    file, name = test.split("::")
    module = HERE / f"test_{file}.py"
    return module.exists() and f"def {name}(" in module.read_text()


@pytest.mark.parametrize("topic", [*RULES, *MIRROR, *BAD_DAYS])
def test_the_proof_exists(topic: str) -> None:
    tests = (RULES | MIRROR | BAD_DAYS)[topic]
    assert [test for test in tests if not defined(test)] == []


def test_every_rule_has_a_proof() -> None:
    assert {int(topic.split()[0]) for topic in RULES if topic[0].isdigit()} == set(range(1, 12))


def test_the_rows_in_the_handbook_have_their_tests() -> None:
    text = (ROOT / "docs" / "netatmo.md").read_text()
    named = re.findall(r"`test_(\w+)\.py::(test_\w+)(?:\[([^`]*)\])?`", text)
    assert len(named) >= 60, "the table is gone, or nobody can find it"
    missing = [f"{file}::{name}" for file, name, _ in named if not defined(f"{file}::{name}")]
    assert missing == []
