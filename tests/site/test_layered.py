"""The layout of graphs in layers."""

from unblind.site.layered import HEIGHT, WIDTH, layout, reduced

EDGES = [("a", "b"), ("b", "c"), ("a", "c"), ("late", "c"), ("c", "d"), ("a", "d")]
NAMES = ["a", "b", "late", "alone", "c", "d"]


def test_arrows_lead_to_the_right_and_a_source_stands_before_its_first_reader():
    placed = layout(NAMES, EDGES)
    left = {name: x for name, (x, _) in placed.boxes.items()}
    assert set(left) == set(NAMES)
    assert all(left[source] + WIDTH < left[target] for source, target in EDGES)
    # 'late' is read by 'c' alone, which comes third; 'alone' stands with the last.
    assert left["late"] == left["b"] and left["alone"] == left["d"]


def test_boxes_and_the_arrows_that_pass_them_do_not_overlap():
    placed = layout(NAMES, EDGES)
    for name, (x, y) in placed.boxes.items():
        assert 0 <= x and x + WIDTH <= placed.width and 0 <= y and y + HEIGHT <= placed.height
        for other, (other_x, other_y) in placed.boxes.items():
            assert other == name or other_x != x or abs(other_y - y) > HEIGHT
        for points in placed.arrows.values():
            for px, py in points[1:-1]:
                assert not (x <= px <= x + WIDTH and y <= py <= y + HEIGHT)


def test_arrows_begin_and_end_at_their_boxes():
    placed = layout(NAMES, EDGES)
    for (source, target), points in placed.arrows.items():
        (x, y), (to_x, to_y) = placed.boxes[source], placed.boxes[target]
        assert points[0] == (x + WIDTH, y + HEIGHT // 2)
        assert points[-1] == (to_x, to_y + HEIGHT // 2)
    # a to d crosses the layers of b and c: two points in each.
    assert len(placed.arrows["a", "d"]) == 2 + 2 * 2


def test_an_edge_that_a_longer_way_stands_for_is_left_out():
    assert reduced([*EDGES, ("a", "b")]) == [("a", "b"), ("b", "c"), ("c", "d"), ("late", "c")]


def test_no_box_is_no_error():
    assert layout([], []).boxes == {}
