"""What a peer's messages hold beyond the limits of full mailboxes."""

from pyerlnode.kernel.pressure_core import READ, SWEEP, Overflow


class Full:
    def __init__(self, excess: int = 1) -> None:
        self.excess = excess


def test_a_read_is_charged_once_whatever_it_brings():
    overflow, process = Overflow(), Full(3)
    assert [overflow.add(process, 1000, 0) for _ in range(3)] == [True, False, False]
    assert overflow.total == overflow.held() == 1000
    assert overflow.add(process, 1500, 0)
    assert overflow.held() == 1500 * 3 / 4  # one of the four was handled meanwhile


def test_what_others_received_meanwhile_is_not_charged():
    overflow, process = Overflow(), Full(2)
    overflow.add(process, 1000, 0)
    overflow.add(process, 500_000_000, 0)
    assert overflow.total == 1000 + READ


def test_a_large_message_is_charged_with_all_its_fragments():
    overflow, process = Overflow(), Full()
    overflow.add(process, 100_000_000, 99_000_000)
    assert overflow.total == READ + 99_000_000


def test_the_charge_falls_with_what_is_handled_and_ends_with_it():
    overflow, one, two = Overflow(), Full(10), Full(1)
    for number in range(10):
        overflow.add(one, (number + 1) * 100, 0)
    overflow.add(two, 1100, 0)
    one.excess = 5
    assert overflow.held() == 600
    assert overflow.held() == 600
    one.excess = two.excess = 0
    assert overflow.held() == 0
    one.excess = 1
    assert overflow.held() == 0


def test_mailboxes_that_are_empty_again_are_forgotten():
    overflow = Overflow()
    for number in range(10 * SWEEP):
        overflow.add(Full(0), number + 1, 0)
    assert len(overflow._charges) <= SWEEP
