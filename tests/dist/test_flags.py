"""Flags: the values of OTP, what is mandatory, and the abbreviation of OTP 25."""

from pyerlnode.dist.flags import (
    HIDDEN_FLAGS,
    MANDATORY,
    MANDATORY_25,
    VISIBLE_FLAGS,
    DistFlags,
    expand,
    missing_mandatory,
    names,
)

OTP_25 = 0xD07DF7FBD
OTP_29 = 0x6D07DF7FBD
ERL_CALL = 0x407074F9C


def test_our_flags_are_those_of_otp_29_hidden() -> None:
    assert VISIBLE_FLAGS == OTP_29
    assert HIDDEN_FLAGS == OTP_29 - 1


def test_every_flag_that_otp_sends_has_a_name() -> None:
    named = 0
    for member in DistFlags:
        named |= member
    assert OTP_29 & ~named == 0


def test_the_flags_of_every_otp_and_of_a_c_node_suffice() -> None:
    for flags in (OTP_25, OTP_29, ERL_CALL, HIDDEN_FLAGS):
        assert not missing_mandatory(flags)


def test_the_digest_stands_for_the_flags_of_otp_25_only() -> None:
    assert expand(DistFlags.MANDATORY_25_DIGEST) & MANDATORY_25 == MANDATORY_25
    assert missing_mandatory(DistFlags.MANDATORY_25_DIGEST) == DistFlags.UNLINK_ID | DistFlags.V4_NC
    assert missing_mandatory(0) == MANDATORY


def test_the_digest_is_bit_26() -> None:
    assert DistFlags.MANDATORY_25_DIGEST == 0x4000000


def test_unknown_bits_are_kept_and_not_named() -> None:
    assert expand(1 << 60) == 1 << 60
    assert names((1 << 60) | DistFlags.V4_NC | DistFlags.UNLINK_ID) == "UNLINK_ID, V4_NC"
