"""Images from folders, .npz files and scikit-learn: values, places, names, and what is refused."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from spatioformer.common.errors import ImageryError
from spatioformer.vision.images import Form, join, read_images

GREY = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40  # 2 rows, 3 columns
COLOUR = np.stack([GREY, GREY + 1, GREY + 2], axis=-1)


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def classes(tmp_path):
    """Two ants, a bee."""
    for name, value in (("ant/b.png", 1), ("ant/a.png", 0), ("bee/c.png", 2)):
        write(tmp_path / "insects" / name, GREY + np.uint8(value))
    (tmp_path / "insects" / "ant" / "notes.txt").write_text("not an image")
    return tmp_path / "insects"


class TestFolders:
    def test_a_folder_a_class(self, classes):
        images = read_images(classes)
        assert images.pixels.shape == (3, 1, 2, 3)
        assert images.pixels.dtype == np.uint8
        np.testing.assert_array_equal(images.pixels[:, 0], [GREY, GREY + 1, GREY + 2])
        assert images.targets.tolist() == [0, 0, 1]
        assert images.labels == ["ant", "bee"]
        assert [name.rsplit("/", 1)[1] for name in images.names] == ["a.png", "b.png", "c.png"]
        assert images.are_classified

    def test_loose_images_have_no_classes(self, classes):
        images = read_images(classes / "ant")
        assert len(images) == 2
        assert images.targets is None

    def test_rows_of_images(self, classes):
        part = read_images(classes)[np.array([2, 0])]
        assert part.pixels[:, 0, 0, 0].tolist() == [2, 0]
        assert part.targets.tolist() == [1, 0]
        assert part.names[0].endswith("c.png")

    def test_one_colour_file(self, tmp_path):
        images = read_images(write(tmp_path / "a.png", COLOUR))
        assert images.pixels.shape == (1, 3, 2, 3)
        np.testing.assert_array_equal(images.pixels[0, 2], GREY + 2)  # blue is the last channel
        np.testing.assert_array_equal(images.pixels[0, 0, 1], [120, 160, 200])  # rows top first

    def test_the_camera_knows_which_side_is_up(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 3  # turned by 180 degrees
        images = read_images(write(tmp_path / "a.png", GREY, exif=exif))
        np.testing.assert_array_equal(images.pixels[0, 0], GREY[::-1, ::-1])

    def test_resized_and_converted(self, tmp_path):
        write(tmp_path / "a.png", np.full((5, 4), 100, np.uint8))
        write(tmp_path / "b.png", np.full((7, 3, 3), 50, np.uint8))
        images = read_images(tmp_path, Form(size=(2, 6), channels=3))
        assert images.pixels.shape == (2, 3, 2, 6)
        assert (images.pixels[0] == 100).all()
        assert (images.pixels[1] == 50).all()
        assert read_images(tmp_path, Form(size=(2, 6), channels=1)).pixels.shape == (2, 1, 2, 6)

    def test_transparency_lies_over_white(self, tmp_path):
        pixels = np.zeros((1, 2, 4), np.uint8)
        pixels[0, 1, 3] = 255  # black, first transparent, then opaque
        path = write(tmp_path / "a.png", pixels)
        assert read_images(path, Form(channels=1)).pixels.ravel().tolist() == [255, 0]

    def test_crop_keeps_the_middle(self, tmp_path):
        """Half of the shorter side, as a square: columns 3..5 and rows 1..2 of 4 x 8 pixels."""
        pixels = np.zeros((4, 8), np.uint8)
        pixels[1:3, 3:5] = [[10, 20], [30, 40]]
        path = write(tmp_path / "a.png", pixels)
        cropped = read_images(path, Form(size=(2, 2), crop=0.5)).pixels
        assert cropped[0, 0].tolist() == [[10, 20], [30, 40]]


class TestArrays:
    def save(self, tmp_path, **arrays):
        np.savez(tmp_path / "images.npz", **arrays)
        return tmp_path / "images.npz"

    def test_labels_in_their_order(self, tmp_path):
        pixels = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 2)).astype(np.uint8)
        path = self.save(tmp_path, images=pixels, labels=[10, 2, 10])
        images = read_images(path)
        assert images.pixels.shape == (3, 2, 4, 5)
        np.testing.assert_array_equal(images.pixels[1, 1], pixels[1, :, :, 1])
        assert images.labels == ["2", "10"]  # as numbers, not as words
        assert images.targets.tolist() == [1, 0, 1]
        assert images.names[2] == f"{path}[2]"

    def test_words_as_labels(self, tmp_path):
        path = self.save(tmp_path, images=np.zeros((2, 4, 4)), labels=["oak", "ash"])
        images = read_images(path)
        assert images.pixels.shape == (2, 1, 4, 4)
        assert images.pixels.dtype == np.float32
        assert images.labels == ["ash", "oak"]
        assert images.targets.tolist() == [1, 0]

    @pytest.mark.parametrize(
        ("values", "labels"),
        [(np.array([1.5, 2]), ["value"]), (np.eye(2), ["value 1", "value 2"])],
    )
    def test_values(self, tmp_path, values, labels):
        images = read_images(self.save(tmp_path, images=np.zeros((2, 4, 4)), values=values))
        assert not images.are_classified
        assert images.labels == labels
        np.testing.assert_array_equal(images.targets, np.float32(values).reshape(2, -1))

    @pytest.mark.parametrize(
        ("arrays", "said"),
        [
            ({"labels": [1]}, "has no array called images; save it as np.savez"),
            ({"images": np.zeros((2, 4))}, r"have the shape \(2, 4\); give \(n, rows, columns\)"),
            ({"images": np.zeros((0, 4, 4))}, r"have the shape \(0, 4, 4\)"),
            ({"images": np.full((1, 2, 2), np.nan)}, "hold 4 numbers that are not finite"),
            ({"images": np.full((1, 2, 2), "x")}, "the images in .* are <U1; give numbers"),
            ({"images": np.zeros((2, 4, 4)), "labels": [1]}, r"shape \(1,\) for 2 images; give"),
            ({"images": np.zeros((1, 4, 4)), "labels": [0.5]}, "labels in .* are float64; give"),
            ({"images": np.zeros((1, 4, 4)), "values": [np.inf]}, "values in .* not finite"),
            ({"images": np.array([None])}, "Object arrays cannot be loaded"),
        ],
    )
    def test_unusable_arrays(self, tmp_path, arrays, said):
        with pytest.raises(ImageryError, match=said):
            read_images(self.save(tmp_path, **arrays))

    def test_no_npz(self, tmp_path):
        (tmp_path / "images.npz").write_bytes(b"PK\x03\x04 and nothing else")
        with pytest.raises(ImageryError, match=r"images.npz cannot be read .*; save it with np.s"):
            read_images(tmp_path / "images.npz")


def test_digits():
    images, raw = read_images("digits"), load_digits()
    assert images.pixels.shape == (1797, 1, 8, 8)
    np.testing.assert_array_equal(images.pixels[:, 0] * 16, raw.images)
    assert images.targets.tolist() == raw.target.tolist()
    assert images.labels == list("0123456789")


class TestRefused:
    def refused(self, said, *arguments):
        with pytest.raises(ImageryError, match=said) as caught:
            read_images(*arguments)
        assert "\n" not in str(caught.value)

    def test_nothing_there(self, tmp_path):
        self.refused("there does not exist; give a folder, an .npz", tmp_path / "there")

    def test_empty_folder(self, tmp_path):
        (tmp_path / "notes.txt").write_text("none")
        self.refused("holds no images; give a folder with one folder a class", tmp_path)

    def test_empty_class(self, classes):
        (classes / "wasp").mkdir()
        self.refused("wasp holds no images; put some into it or remove it", classes)

    def test_images_beside_classes(self, classes):
        write(classes / "stray.png", GREY)
        self.refused(r"both images \(stray.png\) and folders \(ant\)", classes)

    def test_another_size(self, classes):
        path = write(classes / "bee" / "d.png", GREY[:1])
        self.refused(f"{path} is 1 x 3 pixels, .*a.png is 2 x 3; resize all with --size", classes)

    def test_another_colour(self, classes):
        write(classes / "bee" / "d.png", COLOUR)
        self.refused("d.png is in colour, .*a.png is grey; convert all with --channels 1", classes)

    @pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA"])
    def test_other_modes(self, tmp_path, mode):
        Image.new(mode, (3, 2)).save(tmp_path / "a.png")
        said = f"a.png has mode {mode}, neither grey .L. nor RGB; convert all with --channels"
        self.refused(said, tmp_path / "a.png")
        assert read_images(tmp_path / "a.png", Form(channels=3)).pixels.shape == (1, 3, 2, 3)

    def test_sixteen_bits_are_never_squeezed_into_eight(self, tmp_path):
        write(tmp_path / "a.png", np.full((2, 3), 3000, np.uint16))
        for channels in (None, 1):
            said = "has mode I;16, numbers that do not fit 8 bits; give such images as floats"
            self.refused(said, tmp_path / "a.png", Form(channels=channels))

    @pytest.mark.parametrize("kept", [0, 20, 400])
    def test_damaged_file(self, tmp_path, kept):
        path = write(
            tmp_path / "a.png",
            np.random.default_rng(0).integers(255, size=(40, 40), dtype=np.uint8),
        )
        path.write_bytes(path.read_bytes()[:kept])
        self.refused("a.png cannot be read as an image", path)


def test_join(classes):
    joined = join([read_images(classes), read_images(classes / "bee" / "c.png")])
    assert joined.pixels[:, 0, 0, 0].tolist() == [0, 1, 2, 2]
    assert joined.names[3].endswith("c.png")
    assert joined.targets is None
    with pytest.raises(ImageryError, match=r"digit 0 is 1 x 8 x 8 \(float32\), .* alike"):
        join([read_images(classes), read_images("digits")])
