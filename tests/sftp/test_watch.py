"""How long something has been quiet."""

import gc

from ctsftp.sftp.watch import Watch


class Thing:
    pass


def test_quiet_is_how_long_the_count_has_been_the_same() -> None:
    watch, thing = Watch(), Thing()
    assert watch.quiet_s(thing, 0, 100.0) == 0
    assert watch.quiet_s(thing, 0, 107.0) == 7
    assert watch.quiet_s(thing, 1, 120.0) == 0
    assert watch.quiet_s(thing, 1, 121.0) == 1


def test_each_thing_has_its_own_quiet_and_what_is_gone_is_forgotten() -> None:
    watch, first, second = Watch(), Thing(), Thing()
    watch.quiet_s(first, 0, 0.0)
    watch.quiet_s(second, 0, 5.0)
    assert watch.quiet_s(first, 0, 10.0) == 10
    assert watch.quiet_s(second, 0, 10.0) == 5
    del first
    gc.collect()
    assert len(watch._seen) == 1
