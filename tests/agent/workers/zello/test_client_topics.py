"""What is known of Zello's service and concerns a client, and which tests prove that ours minds it."""

from __future__ import annotations

from pathlib import Path

import pytest

# Topic of the Channel API's document, or of people's reports -> tests, as `module suffix::name`.
TOPICS: dict[str, str] = {
    "transport: certificate pinned": "_logon::test_a_server_with_a_certificate_of_its_own",
    "transport: two doors over TLS": "_and_server::test_each_door_is_heard_at_the_other",
    "keep-alive: nothing heard for 75 to 90 s": "::test_silence_is_death",
    "envelope: garbage": "::test_garbage_is_counted_and_too_much_of_it_ends_the_connection",
    "logon: fields": "::test_logs_on_and_is_online",
    "logon: without a token, anonymous, listen only": "::test_each_kind_of_account_logs_on",
    "logon: several channels": "::test_several_channels_in_one_logon",
    "logon: status before the reply": "::test_the_status_may_come_before_the_reply",
    "logon: no reply": "::test_a_logon_that_nobody_answers",
    "logon: success, then a dead channel": "::test_a_channel_that_is_never_mentioned_counts_as_failed",
    "logon: success, then a channel with a password": "::test_a_channel_that_works_for_nobody_pauses_long",
    "logon: too many channels, suspended": "::test_what_only_an_operator_can_mend_parks",
    "refresh token: once": "::test_the_refresh_token_is_used_once_for_the_first_reconnection",
    "refresh token: lost backend": "::test_the_refresh_token_is_dropped_when_the_server_lost_its_backend",
    "tokens: RS256, both forms of key": "_logon::test_its_own_tokens_are_signed_and_short_lived",
    "tokens: right time needed": "::test_waits_for_a_clock_before_it_makes_a_token",
    "tokens: 30 days": "::test_the_end_of_a_token_is_told_in_time",
    "status: floods": "::test_a_flood_of_statuses_is_only_looked_at",
    "status: offline and back": "::test_a_channel_may_go_and_come_back",
    "start: sound waits for the reply": "_talk::test_a_ring_is_heard_from_its_first_word",
    "start: every error": "_talk::test_each_refusal_has_its_consequence",
    "start: invalid request": "_talk::test_an_invalid_request_is_made_once_more_in_the_simplest_form",
    "start: woodpecker": "_talk::test_a_woodpecker_waits_longer_each_time",
    "start: busy": "_talk::test_a_busy_channel_is_tried_for_five_seconds_then_given_up",
    "start: reply after the deadline": "_talk::test_a_start_that_is_answered_too_late_is_stopped",
    "start: ids of 32 bit": "_talk::test_a_large_stream_id",
    "packets: pace": "_talk::test_a_stop_does_not_overtake_the_sound",
    "packets: empty messages": "_talk::test_a_short_message_is_filled_with_silence",
    "packets: slow network": "_stream::test_the_oldest_words_give_way",
    "packets: unknown and ended streams": "_hearing::test_packets_of_nobody_are_ignored",
    "stop: of a stream of ours": "_talk::test_the_server_may_end_a_message",
    "stop: right behind the start": "_talk::test_a_stream_that_is_stopped_in_the_breath_of_its_start",
    "stop: missing": "_hearing::test_a_missing_stop_ends_after_three_seconds_and_may_be_resumed",
    "stop: the longest message": "_talk::test_no_message_is_longer_than_a_minute",
    "floor: overlapping streams": "_hearing::test_the_first_wins_and_the_other_is_heard_afterwards",
    "floor: nobody is interrupted": "_talk::test_nobody_is_interrupted",
    "images out: both lengths, thumbnail first": "_ring::test_text_at_once_then_voice_then_picture",
    "images out: not supported here": "_ring::test_what_a_channel_does_not_support_is_not_sent",
    "images in: any order, one part, repeated at each logon": "_mailbox::test_images_are_counted_once",
    "images in: half a minute": "_mailbox::test_parts_that_nobody_announced_or_that_come_too_late",
    "texts: from whom": "_mailbox::test_what_is_not_obeyed",
    "for: absent, false, empty, a name": "_hearing::test_for_the_door_or_for_all",
    "errors: all, at logon and later": "_policy::test_each_error_has_its_consequence",
    "errors: not about a request": "::test_errors_that_end_a_connection",
    "close codes: final": "::test_close_codes_that_stop_retrying",
    "close codes: passing": "::test_close_codes_that_pause",
    "HTTP 429": "::test_too_many_connections_wait_a_quarter_of_an_hour",
    "back-off: reset when online": "_policy::test_pauses_double_to_a_minute_and_start_over_once_online",
    "back-off: three a minute": "::test_a_server_that_drops_everybody_is_asked_three_times_a_minute",
    "reconnection: stream ids are void": "_talk::test_an_interrupted_ring_begins_again_while_it_is_young",
    "ring: busy channel": "_ring::test_a_busy_channel_gets_text_and_picture",
    "ring: too old": "_ring::test_a_ring_older_than_half_a_minute_is_not_sent",
}  # fmt: skip


@pytest.mark.parametrize("test", TOPICS.values(), ids=list(TOPICS))
def test_the_proof_exists(test: str) -> None:
    suffix, name = test.split("::")
    module = Path(__file__).with_name(f"test_client{suffix}.py")
    assert f"async def {name}(" in module.read_text() or f"def {name}(" in module.read_text()
