"""The settlement tables: every row is there, and a message is deleted only when nothing else is asked for."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_s3events.exceptions import ConfigurationError
from airflow_s3events.messages import QueueAttributes
from airflow_s3events.settlement import (
    RUN_ENDED,
    RUN_STORED,
    RUN_SUCCEEDED,
    Disposition,
    RunState,
    Start,
    after_failure,
    check_hold,
    check_redrive,
    combine,
    may_start_again,
    receives_for_tries,
    release_delay_seconds,
)

_dispositions = st.lists(st.sampled_from(Disposition), max_size=5)


class TestRunStored:
    def test_has_a_row_for_every_state_with_and_without_an_attempt(self) -> None:
        assert set(RUN_STORED) == set(itertools.product(RunState, (False, True)))

    @pytest.mark.parametrize("carries_attempt", [False, True])
    def test_no_run_is_created(self, carries_attempt: bool) -> None:
        assert RUN_STORED[RunState.NONE, carries_attempt] is Start.CREATE

    @pytest.mark.parametrize("carries_attempt", [False, True])
    def test_a_run_that_has_succeeded_is_left_alone(self, carries_attempt: bool) -> None:
        assert RUN_STORED[RunState.SUCCESS, carries_attempt] is Start.NOTHING

    @pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING])
    def test_a_run_that_works_is_left_alone_and_a_wanted_repeat_waits_for_its_end(
        self, state: RunState
    ) -> None:
        assert RUN_STORED[state, False] is Start.NOTHING
        assert RUN_STORED[state, True] is Start.WAIT

    def test_a_late_duplicate_does_not_restart_a_failed_run(self) -> None:
        assert RUN_STORED[RunState.FAILED, False] is Start.NOTHING

    def test_a_replay_restarts_a_failed_run(self) -> None:
        assert RUN_STORED[RunState.FAILED, True] is Start.AGAIN

    def test_cannot_be_changed(self) -> None:
        with pytest.raises(TypeError):
            RUN_STORED[RunState.NONE, False] = Start.NOTHING  # type: ignore[index]


class TestCombine:
    @given(_dispositions)
    def test_a_message_is_deleted_only_when_every_event_allows_it(self, asked: list[Disposition]) -> None:
        assert (combine(asked) is Disposition.ACKNOWLEDGE) is all(
            one is Disposition.ACKNOWLEDGE for one in asked
        )

    @given(_dispositions)
    def test_neither_order_nor_repetition_matters(self, asked: list[Disposition]) -> None:
        assert combine([*reversed(asked), *asked]) is combine(asked)

    @given(_dispositions, _dispositions)
    def test_in_two_steps_is_as_in_one(self, some: list[Disposition], more: list[Disposition]) -> None:
        assert combine([combine(some), combine(more)]) is combine(some + more)

    def test_a_message_without_events_is_acknowledged(self) -> None:
        assert combine([]) is Disposition.ACKNOWLEDGE

    def test_what_is_put_off_outweighs_what_is_given_up(self) -> None:
        assert combine([Disposition.DEAD_LETTER, Disposition.RELEASE]) is Disposition.RELEASE


class TestReleaseDelay:
    def test_doubles_up_to_a_quarter_of_an_hour(self) -> None:
        delays = [release_delay_seconds(count, None, 30.0) for count in range(1, 9)]
        assert delays == [30.0, 60.0, 120.0, 240.0, 480.0, 900.0, 900.0, 900.0]

    def test_few_receives_are_spread_over_eleven_hours_by_a_constant_factor(self) -> None:
        delays = [round(release_delay_seconds(count, 5, 30.0)) for count in range(1, 7)]
        assert delays == [30, 329, 3610, 39_600, 39_600, 39_600]

    def test_many_receives_double_first_and_end_with_eleven_hours(self) -> None:
        delays = [round(release_delay_seconds(count, 100, 30.0)) for count in (1, 2, 6, 20, 99)]
        assert delays == [30, 60, 900, 900, 39_600]

    def test_messages_put_off_together_are_spread_over_the_upper_half_of_the_delay(self) -> None:
        delays = [release_delay_seconds(2, None, 30.0, share=share) for share in (0.0, 0.5, 1.0)]
        assert delays == [30.0, 45.0, 60.0]

    @given(st.integers(-1, 10**9), st.none() | st.integers(1, 1000), st.floats(0, 43_200))
    def test_stays_within_what_sqs_can_hide(self, count: int, most: int | None, first: float) -> None:
        assert 0 <= release_delay_seconds(count, most, first) <= 43_200

    @given(st.integers(1, 50), st.integers(1, 1000), st.floats(1, 600))
    def test_never_shrinks_from_receive_to_receive(self, count: int, most: int, first: float) -> None:
        assert release_delay_seconds(count, most, first) <= release_delay_seconds(count + 1, most, first)


class TestRedrivePolicy:
    def attributes(self, most: int | None) -> QueueAttributes:
        return QueueAttributes(
            arn="arn:aws:sqs:eu-west-1:1:q",
            visibility_seconds=30,
            retention_seconds=345_600,
            max_receive_count=most,
        )

    @pytest.mark.parametrize("most", [None, 3, 20])
    def test_one_that_leaves_room_for_waking_and_reading_is_taken(self, most: int | None) -> None:
        check_redrive(self.attributes(most))

    @pytest.mark.parametrize("most", [1, 2])
    def test_one_that_would_dead_letter_healthy_messages_is_refused_by_name(self, most: int) -> None:
        with pytest.raises(ConfigurationError, match=f"maxReceiveCount={most}"):
            check_redrive(self.attributes(most))

    def test_each_dispatcher_on_the_queue_needs_a_receive_to_be_woken(self) -> None:
        check_redrive(self.attributes(5), dispatchers=3)
        with pytest.raises(ConfigurationError, match="no less than 6"):
            check_redrive(self.attributes(5), dispatchers=4)


class TestRunSucceeded:
    def test_has_a_row_for_every_state(self) -> None:
        assert set(RUN_SUCCEEDED) == set(RUN_ENDED) == set(RunState)

    def test_no_run_is_created_and_waited_for(self) -> None:
        assert RUN_SUCCEEDED[RunState.NONE] == (Start.CREATE, Disposition.HOLD)

    @pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING])
    def test_a_run_that_works_is_joined(self, state: RunState) -> None:
        assert RUN_SUCCEEDED[state] == (Start.NOTHING, Disposition.HOLD)
        assert RUN_ENDED[state] is Disposition.HOLD

    def test_a_run_that_has_succeeded_is_acknowledged(self) -> None:
        assert RUN_SUCCEEDED[RunState.SUCCESS] == (Start.NOTHING, Disposition.ACKNOWLEDGE)
        assert RUN_ENDED[RunState.SUCCESS] is Disposition.ACKNOWLEDGE

    def test_a_failed_run_is_started_again_by_whoever_receives_its_message(self) -> None:
        assert RUN_SUCCEEDED[RunState.FAILED] == (Start.AGAIN, Disposition.HOLD)
        assert RUN_ENDED[RunState.FAILED] is Disposition.RELEASE

    def test_a_run_that_was_deleted_is_made_anew_by_the_next_delivery(self) -> None:
        assert RUN_ENDED[RunState.NONE] is Disposition.RELEASE


class TestAfterFailure:
    def test_delays_double_with_each_try_of_three_receives_to_a_quarter_of_an_hour(self) -> None:
        delays = [after_failure(receives, 100, 60.0) for receives in (1, 3, 4, 6, 7, 10, 13, 16, 90)]
        assert delays == [60, 60, 120, 120, 240, 480, 900, 900, 900]

    @pytest.mark.parametrize(("receives", "limit"), [(6, 9), (17, None)])
    def test_the_last_try_needs_three_receives(self, receives: int, limit: int | None) -> None:
        assert after_failure(receives, limit, 60.0) is not None
        assert after_failure(receives + 1, limit, 60.0) is None

    @pytest.mark.parametrize(("limit", "last"), [(9, 8), (None, 19)])
    def test_a_run_is_started_again_only_with_a_receive_left_to_hand_it_over(
        self, limit: int | None, last: int
    ) -> None:
        assert may_start_again(last, limit)
        assert not may_start_again(last + 1, limit)


class TestCheckHold:
    QUEUE = QueueAttributes(
        arn="arn:q", visibility_seconds=30, retention_seconds=345_600, max_receive_count=20
    )

    def _check(self, *, has_dead_letters: bool = True, hold: float = 3600.0, **other: int | None) -> None:
        attributes = replace(self.QUEUE, **other)  # type: ignore[arg-type]
        check_hold(attributes, has_dead_letters=has_dead_letters, expected_hold_seconds=hold)

    def test_takes_a_fit_queue(self) -> None:
        self._check()
        self._check(max_receive_count=9)
        self._check(max_receive_count=None)

    def test_wants_a_dead_letter_queue(self) -> None:
        with pytest.raises(ConfigurationError, match="dead_letter_queue"):
            self._check(has_dead_letters=False)

    def test_wants_a_retention_of_twice_the_hold(self) -> None:
        self._check(retention_seconds=7200)
        with pytest.raises(ConfigurationError, match=r"MessageRetentionPeriod=7199.*to 7200"):
            self._check(retention_seconds=7199)

    def test_wants_receives_for_three_tries(self) -> None:
        with pytest.raises(ConfigurationError, match=r"maxReceiveCount=8.*than 9"):
            self._check(max_receive_count=8)

    def test_wants_a_receive_more_for_each_further_dispatcher_and_try(self) -> None:
        queue = replace(self.QUEUE, max_receive_count=11)
        check_hold(queue, has_dead_letters=True, expected_hold_seconds=60.0)
        with pytest.raises(ConfigurationError, match="than 12"):
            check_hold(queue, has_dead_letters=True, expected_hold_seconds=60.0, dispatchers=2)

    def test_keeps_a_receive_for_each_further_dispatcher(self) -> None:
        assert receives_for_tries(20, 1) == 20
        assert receives_for_tries(20, 3) == 18
        assert receives_for_tries(None, 3) is None

    def test_wants_a_receive_more_for_each_twelve_hours(self) -> None:
        with pytest.raises(ConfigurationError, match="than 11"):
            self._check(max_receive_count=10, hold=90_000.0)


class TestNeverWorks:
    """A message that can never work: seldom received, and not for ever."""

    @given(
        receives=st.integers(6, 1000),
        limit=st.none() | st.integers(3, 1000),
        share=st.floats(0.0, 1.0),
    )
    def test_a_refused_event_costs_at_most_a_receive_a_minute_after_its_fifth_failure(
        self, receives: int, limit: int | None, share: float
    ) -> None:
        assert release_delay_seconds(receives, limit, 30.0, share=share) >= 60.0

    @given(receives=st.integers(16, 997), limit=st.integers(16, 1000))
    def test_a_run_that_always_fails_costs_three_receives_in_a_quarter_of_an_hour_after_its_fifth(
        self, receives: int, limit: int
    ) -> None:
        assert after_failure(receives, limit, 60.0) in {None, 900.0}
