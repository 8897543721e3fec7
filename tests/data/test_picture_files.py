"""`as_picture` of files, bytes and file objects: every kind comes out as a person sees it, or says why it cannot."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageFile

from cnnviz_widgets.data import ImageError, as_picture, samples

RNG = np.random.default_rng(1)
COLOUR = RNG.integers(0, 256, (40, 30, 3), dtype=np.uint8)
RAMP = np.arange(65536, dtype=np.uint16).reshape(256, 256)
RAMP_8 = np.stack([np.round(RAMP / 257).astype(np.uint8)] * 3, axis=-1)


def encoded(image, kind: str, **options) -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _png(width: int, height: int, bits: int, rows: bytes) -> bytes:
    """A PNG in RGB written by hand; the rows may be fewer than its header promises."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def pixels(image) -> np.ndarray:
    picture = as_picture(image)
    assert type(picture) is Image.Image and picture.mode == "RGB" and picture.info == {}
    return np.asarray(picture)


# --- as a person sees it

# How an upright picture is stored under each EXIF orientation (EXIF 2.3, tag 274).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_all_eight_exif_orientations_come_out_upright(orientation, kind):
    exif = Image.Exif()
    exif[274] = orientation
    upright = np.repeat(np.repeat(COLOUR[:5, :4], 16, 0), 16, 1)  # blocks of 16, so that JPEG keeps them
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    stored = np.ascontiguousarray(STORED[orientation](upright))
    file = encoded(stored, kind, exif=exif, **options)
    for source in (file, Image.open(io.BytesIO(file))):
        result = pixels(source)
        assert result.shape == upright.shape
        assert np.abs(result.astype(int) - upright).max() <= (3 if kind == "JPEG" else 0)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_does_not_spoil_good_pixels():
    file = encoded(COLOUR, "PNG", exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff nonsense")
    np.testing.assert_array_equal(pixels(file), COLOUR)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_a_16_bit_grey_file_is_rounded_to_8_bits_and_not_cut_off(kind):
    np.testing.assert_array_equal(pixels(encoded(RAMP, kind)), RAMP_8)


def test_a_big_endian_tiff_is_read_in_its_own_order(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RAMP, byteorder=">")
    np.testing.assert_array_equal(pixels(tmp_path / "a.tif"), RAMP_8)


def test_a_tiff_where_white_is_zero_is_not_a_negative(tmp_path):
    tifffile.imwrite(tmp_path / "8.tif", RAMP_8[..., 0], photometric="miniswhite")
    tifffile.imwrite(tmp_path / "16.tif", RAMP, photometric="miniswhite")
    np.testing.assert_array_equal(pixels(tmp_path / "8.tif"), 255 - RAMP_8)
    np.testing.assert_array_equal(pixels(tmp_path / "16.tif"), 255 - RAMP_8)


def test_a_12_bit_tiff_is_as_bright_as_it_was_meant():
    grey = bytes([0xFF, 0xF8, 0x00])  # two pixels of 12 bits: 4095 and 2048
    tags = [(256, 3, 2), (257, 3, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 3, 1)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in [*tags, (279, 4, 3)])
    file = b"II*\x00" + struct.pack("<I", 12) + grey + b"\x00" + struct.pack("<H", 9) + entries + bytes(4)
    np.testing.assert_array_equal(pixels(file)[..., 0], [[255, 128]])


def test_a_16_bit_colour_png_keeps_its_colours_within_a_level():
    deep = RNG.integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in deep)
    assert np.abs(pixels(_png(30, 20, 16, rows)) - deep / 257).max() <= 1


def test_a_16_bit_grey_png_with_a_transparent_value_shows_white_there():
    source = Image.fromarray(np.array([[300, 5000]], np.uint16))
    np.testing.assert_array_equal(pixels(encoded(source, "PNG", transparency=300))[0, :, 0], [255, round(5000 / 257)])


def test_palettes_with_transparency_show_white_where_they_are_transparent():
    source = Image.new("P", (3, 1))
    source.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 0])
    source.putdata([0, 1, 2])
    one, partly = (encoded(source, "PNG", transparency=t) for t in (1, bytes([255, 0, 51])))
    np.testing.assert_array_equal(pixels(source), [[[255, 0, 0], [0, 255, 0], [0, 0, 0]]])
    np.testing.assert_array_equal(pixels(one), [[[255, 0, 0], [255, 255, 255], [0, 0, 0]]])
    np.testing.assert_array_equal(pixels(partly), [[[255, 0, 0], [255, 255, 255], [204, 204, 204]]])


@pytest.mark.parametrize(("mode", "colour", "seen"), [("LA", (100, 51), 224), ("L", 100, 100), ("1", 1, 255)])
def test_grey_files_of_every_kind(mode, colour, seen):
    np.testing.assert_array_equal(pixels(encoded(Image.new(mode, (3, 2), colour), "PNG")), np.full((2, 3, 3), seen))


def test_an_rgb_png_with_a_transparent_colour_shows_white_there():
    source = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    np.testing.assert_array_equal(pixels(encoded(source, "PNG", transparency=(1, 2, 3))), [[[255] * 3, [4, 5, 6]]])


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_ink_is_dark_in_cmyk_files(kind):
    # Adobe stores CMYK JPEGs inverted, and so does Pillow when it writes one: red must stay red, paper white
    red, paper, black = (0, 255, 255, 0), (0, 0, 0, 0), (0, 0, 0, 255)
    source = Image.new("CMYK", (48, 16))
    for i, ink in enumerate((red, paper, black)):
        source.paste(ink, (16 * i, 0, 16 * i + 16, 16))
    file = encoded(source, kind, **({"quality": 100} if kind == "JPEG" else {}))
    if kind == "JPEG":
        assert b"Adobe" in file
    np.testing.assert_allclose(pixels(file)[8, [8, 24, 40]], [[255, 0, 0], [255, 255, 255], [0, 0, 0]], atol=2)


def test_a_lab_tiff_shows_its_colours(tmp_path):
    lab = np.array([[[128, 0, 0], [138, 81, 70]]], np.uint8)  # half grey; red: L = 138 / 2.55, a and b signed, D50
    tifffile.imwrite(tmp_path / "a.tif", lab, photometric="cielab")
    np.testing.assert_allclose(pixels(tmp_path / "a.tif"), [[[119, 119, 119], [255, 0, 0]]], atol=8)


def test_of_an_animation_the_first_frame_is_taken():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    gif = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixels(gif)[0, 0].tolist() == [255, 0, 0]
    second = Image.open(io.BytesIO(gif))
    second.seek(1)
    assert pixels(second)[0, 0].tolist() == [0, 255, 0]
    assert second.tell() == 1


def test_an_embedded_colour_profile_is_converted_to_srgb():
    swapped = _profile_with_red_and_blue_swapped()
    source = Image.new("RGB", (2, 2), (255, 0, 0))
    source.putpixel((1, 0), (128, 128, 128))
    np.testing.assert_allclose(pixels(encoded(source, "PNG", icc_profile=swapped))[0], [[0, 0, 255], [128] * 3], atol=2)
    with_alpha = source.convert("RGBA")
    with_alpha.putalpha(51)
    seen = pixels(encoded(with_alpha, "PNG", icc_profile=swapped))[0, 0]
    np.testing.assert_allclose(seen, [204, 204, 255], atol=2)


def test_a_profile_that_is_srgb_or_broken_or_of_another_space_changes_nothing():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    of_inks = srgb[:16] + b"CMYK" + srgb[20:]
    for profile in (srgb, b"broken", srgb[:200], of_inks):
        np.testing.assert_array_equal(pixels(encoded(COLOUR, "PNG", icc_profile=profile)), COLOUR)


def _profile_with_red_and_blue_swapped() -> bytes:
    """sRGB with the entries of its red and blue primaries exchanged in the profile's tag table."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ", 128), profile.index(b"bXYZ", 128)
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


# --- the ways in


def test_path_string_home_bytes_and_file_object_give_the_same(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(encoded(COLOUR, "PNG"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    data = (tmp_path / "a.png").read_bytes()
    with open(tmp_path / "a.png", "rb") as file:
        ways = [tmp_path / "a.png", str(tmp_path / "a.png"), "~/a.png", data, bytearray(data), memoryview(data), file]
        for way in ways:
            np.testing.assert_array_equal(pixels(way), COLOUR)


def test_a_file_object_is_left_open_where_it_stood():
    stream = io.BytesIO(encoded(COLOUR, "PNG"))
    stream.seek(0, io.SEEK_END)  # as it stands after Image.save(stream)
    end = stream.tell()
    np.testing.assert_array_equal(pixels(stream), COLOUR)
    assert (stream.tell(), stream.closed) == (end, False)


def test_a_file_can_be_deleted_as_soon_as_it_was_read(tmp_path):
    path = tmp_path / "a.bmp"  # a kind that Pillow maps into memory
    path.write_bytes(encoded(COLOUR, "BMP"))
    picture = as_picture(path)
    path.write_bytes(bytes(path.stat().st_size))
    path.unlink()
    np.testing.assert_array_equal(np.asarray(picture), COLOUR)


# --- errors


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow also warns about damaged TIFF headers
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("GIF", {}),
        ("WEBP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("BMP", {}),
        ("PPM", {}),
    ],
)
def test_a_file_cut_anywhere_is_an_error_or_still_the_whole_picture(kind, options):
    file = encoded(COLOUR, kind, **options)
    whole = pixels(file)
    refused = 0
    cuts = {*np.linspace(0, len(file) - 1, 60).astype(int).tolist(), *range(len(file) - 20, len(file))}
    for cut in sorted(cuts):
        try:
            np.testing.assert_array_equal(pixels(file[:cut]), whole)
        except ImageError as error:
            refused += 1
            assert "the encoded picture" in str(error)
    assert refused >= 55


def test_a_truncated_jpeg_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "holiday.jpg"
    file = encoded(COLOUR, "JPEG")
    path.write_bytes(file[: len(file) // 2])
    for source in (path, Image.open(path)):
        with pytest.raises(ImageError, match=r"holiday\.jpg'.* cut off"):
            as_picture(source)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_truncated_file_is_noticed_although_pillow_was_told_to_accept_it(kind, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    file = encoded(COLOUR, kind)
    assert pixels(file).shape == COLOUR.shape
    with pytest.raises(ImageError, match="cut off"):
        as_picture(file[: len(file) * 2 // 3])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_a_flipped_byte_in_a_png_is_an_error():
    file = bytearray(encoded(COLOUR, "PNG"))
    file[len(file) // 2] ^= 0xFF
    with pytest.raises(ImageError, match=r"damaged"):
        as_picture(bytes(file))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Dear diary, today I saw a cat.", r"photo\.jpg' is not a picture but text; it begins with 'Dear diary"),
        ("<!DOCTYPE html>é".encode() * 9, "not a picture but text; it begins with '<!DOCTYPE html>"),
        (b"", r"photo\.jpg' is empty \(0 bytes\)"),
        (bytes(range(256)), r"photo\.jpg' is not a picture of a known kind"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(50), "pillow-heif"),
    ],
)
def test_a_file_that_is_no_picture_says_what_it_is_instead(content, message, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=message):
        as_picture(tmp_path / "photo.jpg")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((10_000, 9_000), r"bomb\.png' is too large to decode: 10000 x 9000 = 90,000,000"),
        ((30_000, 30_000), "900000000"),
    ],
)
def test_a_decompression_bomb_is_refused_by_its_size_before_it_is_decoded(size, message, tmp_path):
    (tmp_path / "bomb.png").write_bytes(_png(size[0], size[1], 8, b""))
    with pytest.raises(ImageError, match=message):
        as_picture(tmp_path / "bomb.png")


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_the_same_error_where_warnings_are_errors():
    with pytest.raises(ImageError, match="too large to decode"):
        as_picture(_png(10_000, 9_000, 8, b""))


def test_the_limit_on_the_size_is_pillows_own(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)
    with pytest.warns(Image.DecompressionBombWarning), pytest.raises(ImageError, match="the limit is 700"):
        as_picture(encoded(COLOUR, "PNG"))
    lazy = io.BytesIO(encoded(COLOUR, "PNG"))
    with pytest.warns(Image.DecompressionBombWarning):
        opened = Image.open(lazy)
    with pytest.raises(ImageError, match="30 x 40 = 1,200 pixels"):
        as_picture(opened)
    np.testing.assert_array_equal(pixels(COLOUR), COLOUR)  # what is in memory already is no bomb
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    np.testing.assert_array_equal(pixels(encoded(COLOUR, "PNG")), COLOUR)


def test_a_closed_picture_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(COLOUR, "PNG"))
    with Image.open(tmp_path / "a.png") as picture:
        pass
    with pytest.raises(ImageError, match=r"a\.png' .*closed"):
        as_picture(picture)


def test_a_missing_file_names_similar_files(tmp_path):
    (tmp_path / "Holiday.JPG").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"holiday\.jpg'; did you mean 'Holiday\.JPG'\?"):
        as_picture(tmp_path / "holiday.jpg")


def test_a_missing_file_in_a_missing_folder_names_the_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder .*photos'"):
        as_picture(tmp_path / "photos" / "holiday.jpg")


@pytest.mark.parametrize("name", ["cat", "cat.png", "images/Cat.jpg"])
def test_the_name_of_a_sample_points_to_the_samples(name, tmp_path, monkeypatch):
    assert "cat" in samples
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"working folder '.*'; did you mean samples\['cat'\]\?") as caught:
        as_picture(name)
    assert str(Path.cwd()) in str(caught.value)


def test_a_folder_is_an_error_of_its_own(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder"):
        as_picture(tmp_path)


@pytest.mark.parametrize(
    ("path", "message"), [("https://a.org/b.png", "web address"), ("a\0b", "path of a file"), ("", "folder")]
)
def test_strings_that_are_no_path_say_so(path, message):
    with pytest.raises((ImageError, IsADirectoryError), match=message):
        as_picture(path)


def test_text_streams_are_refused_with_the_way_out():
    with pytest.raises(ImageError, match="binary mode"):
        as_picture(io.StringIO("text"))  # type: ignore[arg-type]
