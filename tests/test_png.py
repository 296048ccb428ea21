import cv2
import numpy as np

from unblind import png


def test_a_picture_comes_back_bit_for_bit():
    picture = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    np.testing.assert_array_equal(png.decode(png.encode(picture)), picture)


def test_colours_are_red_green_and_blue():
    red = np.full((2, 2, 3), (255, 0, 0), np.uint8)
    in_file = cv2.imdecode(np.frombuffer(png.encode(red), np.uint8), cv2.IMREAD_COLOR)
    assert in_file[0, 0].tolist() == [0, 0, 255]  # OpenCV's order is blue, green, red
    _, data = cv2.imencode(".png", in_file)
    assert png.decode(data.tobytes())[0, 0].tolist() == [255, 0, 0]
