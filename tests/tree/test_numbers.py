import os

from rossfs.tree.numbers import Fixed, Numbers


def test_the_same_identity_has_the_same_number() -> None:
    number = Numbers().family(b"content")
    assert number(b"a" * 32) == number(b"a" * 32)


def test_two_families_number_the_same_identity_differently() -> None:
    numbers = Numbers()
    assert numbers.family(b"content")(b"same") != numbers.family(b"image")(b"same")


def test_two_mounts_number_differently() -> None:
    assert Numbers().family(b"content")(b"same") != Numbers().family(b"content")(b"same")


def test_a_given_key_gives_the_same_numbers() -> None:
    assert Numbers(b"key").family(b"tag")(b"x") == Numbers(b"key").family(b"tag")(b"x")


def test_numbers_fit_and_stay_clear_of_the_low_ones() -> None:
    number = Numbers().family(b"content")
    made = [number(os.urandom(32)) for _ in range(2000)]
    assert len(set(made)) == len(made)
    assert all(1 << 62 <= ino < 1 << 63 for ino in made)


def test_all_bits_below_the_mark_are_used() -> None:
    number = Numbers().family(b"content")
    made = [number(b"%d" % value) for value in range(200)]
    assert sum(bin(ino).count("1") for ino in made) / len(made) > 28
    varying = 0
    for ino in made:
        varying |= ino ^ made[0]
    assert varying == (1 << 62) - 1


def test_fixed_places_have_low_numbers_and_the_root_is_fuses() -> None:
    assert Fixed.ROOT.value == 1
    assert all(1 <= place <= 99 for place in Fixed)
    assert len({int(place) for place in Fixed}) == len(Fixed.__members__)
