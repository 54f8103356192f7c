import threading

from server.workspaces.documents.retrieval import Index
from server.workspaces.documents.shelf import Shelf


def fill(index: Index, document: str, passages: int) -> None:
    index.add(document, document, [((document, at), "", f"word{at}") for at in range(passages)])


def test_an_index_is_kept_between_questions() -> None:
    shelf = Shelf(100)
    with shelf.index_of("a") as index:
        fill(index, "one", 5)

    with shelf.index_of("a") as index:
        assert index.documents == {"one"}


def test_the_index_that_was_used_longest_ago_is_dropped_when_they_grow_too_large() -> None:
    shelf = Shelf(10)
    for workspace in ("a", "b", "c"):
        with shelf.index_of(workspace) as index:
            fill(index, "one", 5)

    with shelf.index_of("c") as index:
        assert index.documents == {"one"}
    with shelf.index_of("a") as index:
        assert index.documents == frozenset()


def test_one_index_may_be_larger_than_the_shelf() -> None:
    shelf = Shelf(10)
    with shelf.index_of("a") as index:
        fill(index, "one", 50)

    assert len(shelf) == 1


def test_an_index_that_is_mostly_waste_is_built_anew() -> None:
    shelf = Shelf(100)
    with shelf.index_of("a") as index:
        fill(index, "one", 20)
        fill(index, "two", 5)
        index.remove("one")

    with shelf.index_of("a") as index:
        assert index.size == 0


def test_two_threads_do_not_hold_the_same_index_at_once() -> None:
    shelf = Shelf(100)
    entered, order = threading.Event(), []

    def second() -> None:
        entered.set()
        with shelf.index_of("a"):
            order.append("second")

    with shelf.index_of("a"):
        other = threading.Thread(target=second)
        other.start()
        assert entered.wait(5)
        order.append("first")
    other.join(5)

    assert order == ["first", "second"]
