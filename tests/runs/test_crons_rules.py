"""When schedules come round."""

from __future__ import annotations

import datetime as dt

import pytest

from server.runs.crons.rules import BadSchedule, BadTimezone, checked_timezone, next_after

FRIDAY = dt.datetime(2026, 11, 20, 21, 40, 24, 963297, tzinfo=dt.UTC)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC)


def times(schedule: str, start: str, zone: str | None, count: int) -> list[str]:
    """The next times of a schedule, as UTC writes them."""
    moment, found = at(start), []
    for _ in range(count):
        moment = next_after(schedule, moment, zone)
        found.append(moment.strftime("%m-%d %H:%M:%S").removesuffix(":00"))
    return found


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("* * * * *", "2026-11-20T21:41:00"),
        ("*/5 * * * *", "2026-11-20T21:45:00"),
        ("0 9 * * *", "2026-11-21T09:00:00"),
        ("0 9 * * mon-fri", "2026-11-23T09:00:00"),
        ("0 0 * * MON#1", "2026-12-07T00:00:00"),
        ("0 0 L * *", "2026-11-30T00:00:00"),
        ("30 14 29 2 *", "2028-02-29T14:30:00"),
        ("0 0 1,15 jan,jul *", "2027-01-01T00:00:00"),
        ("0 0 13 * 5", "2026-11-27T00:00:00"),
        ("10-20/5 8-18/2 * * 0", "2026-11-22T08:10:00"),
        ("7 0 1 1 * *", "2027-01-01T00:07:00"),
        ("* * * * * 7", "2026-11-20T21:41:07"),
        ("* * * * * */3", "2026-11-20T21:40:27"),
        ("* * * * * *", "2026-11-20T21:40:25"),
        ("0 0 1 1 * 30", "2027-01-01T00:00:30"),
        ("@hourly", "2026-11-20T22:00:00"),
        ("@daily", "2026-11-21T00:00:00"),
        ("@weekly", "2026-11-22T00:00:00"),
        ("@monthly", "2026-12-01T00:00:00"),
        ("@yearly", "2027-01-01T00:00:00"),
        ("  0   0  1 1 *  ", "2027-01-01T00:00:00"),
    ],
)
def test_a_schedule_comes_round_when_it_says(schedule: str, expected: str) -> None:
    assert next_after(schedule, FRIDAY) == at(f"{expected}+00:00")


def test_a_moment_at_which_it_comes_round_is_not_the_next_one() -> None:
    on_the_dot = at("2026-11-20T09:00:00+00:00")
    assert next_after("0 9 * * *", on_the_dot) == at("2026-11-21T09:00:00+00:00")
    assert next_after("* * * * * *", on_the_dot) == at("2026-11-20T09:00:01+00:00")


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        " ",
        "nope",
        "* * * *",
        "* * * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "* * * * * 60",
        "*/0 * * * *",
        "5-1 * * * *",
        "1- * * * *",
        "-1 * * * *",
        "1,,2 * * * *",
        "a * * * *",
        "* * * foo *",
        "* * * * mon#6",
        "* * * * L",
        "5L/2 * * * *",
        "* * * * 5L/2",
        "1.5 * * * *",
        "١ * * * *",
        "* * * * ²L",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "@every 5m",
        "@reboot",
        "9" * 5000 + " * * * *",
        "1," * 120 + "1 * * * *",
        "; DROP TABLE crons",
    ],
)
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(BadSchedule):
        next_after(schedule, FRIDAY)


@pytest.mark.parametrize("name", ["", "Nope/Zone", "../../etc/passwd", "/etc/localtime", "localtime", "Europe/../UTC", "a\x00b", "x" * 300])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(BadTimezone):
        checked_timezone(name)


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "Asia/Kolkata"])
def test_a_time_zone_of_the_iana_database_is_one(name: str) -> None:
    assert checked_timezone(name) == name


def test_a_schedule_is_read_in_its_time_zone_all_year() -> None:
    assert times("0 9 * * *", "2026-01-10T00:00+00:00", "Europe/Berlin", 1) == ["01-10 08:00"]
    assert times("0 9 * * *", "2026-07-10T00:00+00:00", "Europe/Berlin", 1) == ["07-10 07:00"]
    assert times("0 0 1 * *", "2026-07-10T00:00+00:00", "Asia/Kolkata", 1) == ["07-31 18:30"]


@pytest.mark.parametrize("seconds", ["", " 0"])
def test_a_time_of_day_that_the_clocks_leave_out_comes_round_after_the_gap(seconds: str) -> None:
    # In New York 02:30 is left out on March 8; 03:00 there is 07:00.
    found = times(f"30 2 * * *{seconds}", "2026-03-07T00:00-05:00", "America/New_York", 3)
    assert found == ["03-07 07:30", "03-08 07:00", "03-09 06:30"]


@pytest.mark.parametrize("seconds", ["", " 0"])
def test_a_time_of_day_that_comes_twice_counts_once(seconds: str) -> None:
    # In New York 01:30 is 05:30 and again 06:30 on November 1.
    found = times(f"30 1 * * *{seconds}", "2026-10-31T00:00-04:00", "America/New_York", 3)
    assert found == ["10-31 05:30", "11-01 05:30", "11-02 06:30"]


def test_a_time_of_day_that_is_over_is_not_made_up_for_in_the_hour_that_comes_twice() -> None:
    second_pass = dt.datetime(2026, 11, 1, 6, 10, tzinfo=dt.UTC)
    assert next_after("30 1 * * *", second_pass, "America/New_York") == at("2026-11-02T06:30+00:00")


def test_a_schedule_of_every_so_often_goes_by_the_time_that_passes() -> None:
    assert times("*/30 * * * *", "2026-11-01T05:15+00:00", "America/New_York", 4) == [
        "11-01 05:30",
        "11-01 06:00",
        "11-01 06:30",
        "11-01 07:00",
    ]
    assert times("0 * * * *", "2026-03-08T06:30+00:00", "America/New_York", 2) == ["03-08 07:00", "03-08 08:00"]


def test_a_day_that_a_zone_leaves_out_is_made_up_for_by_the_next() -> None:
    # Samoa went from December 29 to December 31, 2011.
    assert times("0 12 30 12 *", "2011-12-29T00:00-10:00", "Pacific/Apia", 1) == ["12-30 10:00"]


def test_a_half_hour_of_daylight_saving_is_one_too() -> None:
    # On Lord Howe 02:00 becomes 02:30 on October 4.
    assert times("15 2 * * *", "2026-10-03T12:00+10:30", "Australia/Lord_Howe", 2) == ["10-03 15:30", "10-04 15:15"]


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Beirut"])
def test_no_time_is_doubled_or_out_of_order_in_the_nights_that_clocks_change(zone: str) -> None:
    for night in ("03-07", "03-28", "04-04", "04-23", "10-03", "10-24", "10-29", "10-31"):
        for schedule in ("*/7 * * * *", "3,33 0-5 * * *", "0 0 * * *", "59 23 * * * 59", "30 */2 * * *"):
            moment = at(f"2026-{night}T12:00+00:00")
            end = moment + dt.timedelta(days=2)
            while moment < end:
                following = next_after(schedule, moment, zone)
                assert following > moment
                moment = following


def test_the_next_time_of_the_rarest_schedule_is_found_quickly_or_refused() -> None:
    assert next_after("0 0 29 2 */7", FRIDAY, "Europe/Berlin") > FRIDAY
    with pytest.raises(BadSchedule):
        next_after("0 0 31 2 *", FRIDAY, "Europe/Berlin")
