"""zstd data: frames of every form, where they begin, and what a decoder is never asked to do."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from rossfs.errors import InvalidLayer
from rossfs.image.framenotes import SPAN, SPAN_LIMIT
from rossfs.image.zstdframes import MAGIC, FrameScanner
from rossfs.image.zstdpass import ZstdPass
from tests.image.packing import run, skippable, text, unpacked, zstd, zstd_chunked

TEXT = text(200_000)


def frame(descriptor: int, rest: bytes) -> bytes:
    return MAGIC + bytes([descriptor]) + rest


def block(kind: int, size: int, last: bool, data: bytes) -> bytes:
    return (int(last) | kind << 1 | size << 3).to_bytes(3, "little") + data


# --- what is read ---


@pytest.mark.parametrize("chunk", [1, 13, 1 << 16])
def test_skippable_frames_may_be_anywhere(chunk: int) -> None:
    first, second = TEXT[:5000], TEXT[5000:9000]
    skip = [skippable(b"", 15), skippable(b"x" * 300, 3), skippable(zstd(b"not shown"))]
    blob = b"".join([*skip, zstd(first), *skip, zstd(b""), zstd(second), *skip])
    assert unpacked(ZstdPass(), blob, chunk) == first + second
    assert run("zstd", "-dc", data=blob) == first + second


def test_only_skippable_frames_are_an_empty_tar() -> None:
    assert unpacked(ZstdPass(), skippable(b"abc")) == b""


@pytest.mark.parametrize("options", ["-1", "-19", "--no-check", "--long=27", "--rsyncable", "-T2"])
def test_data_by_zstd_with_any_options_is_read(options: str) -> None:
    assert unpacked(ZstdPass(), zstd(TEXT, options)) == TEXT


def test_frames_that_say_their_size_are_read(tmp_path: Path) -> None:
    """zstd writes the size of what it compresses if that is a file."""
    for size in (0, 1, 255, 256, 257, 65_791, 65_792, 200_000):
        path = tmp_path / "file"
        path.write_bytes(TEXT[:size])
        blob = run("zstd", "-q", "-c", str(path))
        assert unpacked(ZstdPass(), blob, 3 if size < 300 else 5000) == TEXT[:size]


def test_blocks_that_are_not_compressed_are_read() -> None:
    noise = random.Random(1).randbytes(300_000)
    data = noise + bytes(400_000) + noise
    assert unpacked(ZstdPass(), zstd(data)) == data


def test_zstd_chunked_is_its_frames() -> None:
    parts = [TEXT[i : i + 10_000] for i in range(0, len(TEXT), 10_000)]
    blob = zstd_chunked(parts)
    assert unpacked(ZstdPass(), blob, 4096) == TEXT
    assert run("zstd", "-dc", data=blob) == TEXT


def test_the_largest_window_is_read() -> None:
    """Of a stream whose length is not known, as --long=27 writes it, in a small piece."""
    blob = zstd(TEXT, "--long=27", "--ultra", "-22")
    assert unpacked(ZstdPass(), blob) == TEXT


# --- what is refused ---


def test_a_window_beyond_the_limit_is_refused() -> None:
    with pytest.raises(InvalidLayer, match=r"window of 268435456 bytes; at most 134217728"):
        unpacked(ZstdPass(), zstd(TEXT, "--long=28"))
    with pytest.raises(subprocess.CalledProcessError):
        run("zstd", "-dc", data=zstd(TEXT, "--long=28"))


def test_a_window_that_content_size_says_is_refused() -> None:
    size = (1 << 27) + 1
    blob = frame(0xE0, size.to_bytes(8, "little") + block(0, 1, True, b"x"))
    with pytest.raises(InvalidLayer, match="window of 134217729"):
        unpacked(ZstdPass(), blob)


def test_a_dictionary_is_refused(tmp_path: Path) -> None:
    samples = []
    for number in range(200):
        sample = tmp_path / f"sample{number}"
        sample.write_bytes(text(2000, number))
        samples.append(str(sample))
    dictionary = str(tmp_path / "dictionary")
    run("zstd", "-q", "--train", "--maxdict=4096", "--dictID=77", *samples, "-o", dictionary)
    with pytest.raises(InvalidLayer, match="dictionary 77"):
        unpacked(ZstdPass(), zstd(TEXT[:2000], "-D", dictionary))


@pytest.mark.parametrize(
    "blob",
    [
        pytest.param(frame(0x08, b"\0" + block(0, 1, True, b"x")), id="reserved bit"),
        pytest.param(frame(0x00, b"\0" + block(3, 1, True, b"x")), id="reserved block"),
        pytest.param(frame(0x00, b"\x38" + block(0, 131_073, True, bytes(131_073))), id="long"),
        pytest.param(frame(0x20, b"\5" + block(0, 1, True, b"x")), id="less than announced"),
        pytest.param(frame(0x20, b"\1" + block(1, 100, True, b"x")), id="more than announced"),
        pytest.param(frame(0x04, b"\0" + block(0, 1, True, b"x") + bytes(4)), id="checksum"),
        pytest.param(frame(0x00, b"\0" + block(2, 5, True, b"xxxxx")), id="no block"),
        pytest.param(b"\x27\xb5\x2f\xfd" + bytes(50), id="zstd 0.7"),
        pytest.param(b"", id="nothing"),
        pytest.param(skippable(b"abc")[:-1], id="cut skippable frame"),
        pytest.param(skippable(b"abc")[:6], id="cut length of a skippable frame"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 1 << 16])
def test_damaged_frames_are_refused(blob: bytes, chunk: int) -> None:
    with pytest.raises(InvalidLayer):
        unpacked(ZstdPass(), blob, chunk)
    done = subprocess.run(["zstd", "-dc"], input=blob, capture_output=True, timeout=20, check=False)
    assert done.returncode != 0 or not blob


# --- where frames are ---


def test_the_scanner_finds_each_frame() -> None:
    frames = [zstd(TEXT[:100]), zstd(b""), zstd(TEXT)]
    between = skippable(b"q" * 50)
    blob = between.join(frames) + between
    for chunk in (1, 11, 1 << 20):
        scanner = FrameScanner()
        found: list[bytes] = [b""]
        ends = []
        for begin in range(0, len(blob), chunk):
            for part in scanner.feed(blob[begin : begin + chunk]):
                if part is None:
                    found.append(b"")
                    ends.append(scanner.offset)
                else:
                    found[-1] += part
        assert found == [*frames, b""]
        assert scanner.whole
        assert [blob[:end].endswith(one) for end, one in zip(ends, frames, strict=True)] == [
            True
        ] * 3


def test_notes_have_spans_of_whole_frames() -> None:
    parts = [text(size, size) for size in (10, 70_000, 30_000, 30_000, 30_000, 1, 65_536, 5)]
    blob = zstd_chunked(parts)
    decoder = ZstdPass()
    whole = unpacked(decoder, blob, 1000)
    notes = decoder.notes
    assert notes.entered
    positions, starts = notes.positions[0::2], notes.positions[1::2]
    assert (positions[0], starts[0], positions[-1], starts[-1]) == (0, 0, len(blob), len(whole))
    for number in range(len(starts) - 1):
        part = run("zstd", "-dc", data=blob[positions[number] : positions[number + 1]])
        assert part == whole[starts[number] : starts[number + 1]]
        assert len(part) >= SPAN or number == len(starts) - 2


@pytest.mark.parametrize(
    "blob",
    [
        pytest.param(zstd(bytes(SPAN_LIMIT + 1)), id="long frame"),
        pytest.param(zstd(TEXT) + zstd(bytes(SPAN_LIMIT + 1)) + zstd(TEXT), id="one long frame"),
        pytest.param(zstd(b"x") + skippable(bytes(SPAN_LIMIT)), id="long skippable frame"),
        pytest.param((zstd(b"") + skippable(bytes(2000))) * 1200, id="empty frames"),
    ],
)
def test_data_without_small_frames_has_no_notes(blob: bytes) -> None:
    decoder = ZstdPass()
    unpacked(decoder, blob, 1 << 20)
    assert not decoder.notes.entered
    assert len(decoder.notes.positions) == 2
