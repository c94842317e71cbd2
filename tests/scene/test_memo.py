"""Results kept by identity: never another object's, however ids are reused."""

from hopcheck.scene.memo import Memo


def test_the_same_objects_and_values_are_made_once() -> None:
    memo: Memo[int] = Memo(4)
    made: list[int] = []

    def make() -> int:
        made.append(len(made))
        return made[-1]

    one, other = [1], [1]
    assert memo.get((one,), make) == 0
    assert memo.get((one,), make) == 0
    assert memo.get((other,), make) == 1  # equal, but another object
    assert memo.get((one,), make, "value") == 2
    assert memo.get((one,), make, "value") == 2


def test_no_result_outlives_its_size_and_no_id_is_taken_for_another() -> None:
    memo: Memo[list[int]] = Memo(2)
    for number in range(1000):
        objects = [number]  # freed objects' ids are soon used again
        assert memo.get((objects,), lambda n=number: [n]) == [number]
    assert len(memo._found) == 2
