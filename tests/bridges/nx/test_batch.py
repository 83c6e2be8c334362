"""``%Nx.Batch{}`` and tensors as arrays, and arrays as tensors."""

import numpy
import nx_terms
import pytest

from pyerlnode.bridges.nx.batch import (
    BATCH,
    BadBatch,
    Batch,
    array_of,
    batch_of,
    checked,
    from_nx,
    has_donatable,
    join,
    padded,
    tensor_of,
    to_nx,
)
from pyerlnode.errors import Exit, UsageError
from pyerlnode.term import A
from pyerlnode.term.containers import Struct

ROW = numpy.array([1, 2], "i4")
ROWS = numpy.arange(6, dtype="f4").reshape(3, 2)


def test_a_stacked_batch_has_a_row_for_each_entry_in_their_order():
    found = batch_of(nx_terms.stacked(ROW, ROW + 1, ROW + 2))
    assert found.value.tolist() == [[1, 2], [2, 3], [3, 4]]
    assert (found.size, found.key, found.pad) == (3, A.default, 0)


def test_a_concatenated_batch_has_the_rows_of_its_entries():
    found = batch_of(nx_terms.concatenated(ROWS, ROWS[:1], pad=2, key=A.other))
    assert found.value.tolist() == [*ROWS.tolist(), ROWS[0].tolist()]
    assert (found.size, found.key, found.pad) == (4, A.other, 2)


def test_the_tensors_of_containers_find_their_places():
    found = batch_of(
        nx_terms.stacked(({A.b: ROW, A.a: ROWS}, numpy.array(7)), ({A.b: ROW + 1, A.a: ROWS}, numpy.array(8)))
    )
    maps, scalars = found.value
    assert maps[A.b].tolist() == [[1, 2], [2, 3]]
    assert maps[A.a].shape == (2, 3, 2)
    assert scalars.tolist() == [7, 8]


@pytest.mark.parametrize(("numbers", "size", "rows"), [((2,), 2, [0, 1]), ((2, 1), 1, [2]), ((1, 2), 2, [1, 2])])
def test_a_batch_that_was_split_has_the_rows_of_its_part(numbers, size, rows):
    cut = nx_terms.fun(BATCH, nx_terms.whole(ROWS), *numbers)
    found = batch_of(nx_terms.batch([([cut], size)], nx_terms.template(ROWS[0])))
    assert found.value.tolist() == ROWS[rows].tolist()


@pytest.mark.parametrize(
    ("closure", "size", "why"),
    [
        (nx_terms.fun(A["Elixir.Nx.LazyContainer.Explorer.Series"], tensor_of(ROWS)), 3, "lazy containers"),
        (nx_terms.fun(A["Elixir.MyApp"], nx_terms.whole(ROWS)), 3, "lazy containers"),
        (nx_terms.fun(nx_terms.TENSOR_FUN, tensor_of(ROWS), arity=1), 3, "functions that give tensors"),
        (tensor_of(ROWS), 3, "functions that give tensors"),
        (nx_terms.whole(ROWS), 2, "an entry of 2 rows"),
        (nx_terms.whole(ROWS[:, :1]), 3, "holds a tensor of the shape"),
        (nx_terms.fun(BATCH, nx_terms.fun(BATCH, nx_terms.whole(ROWS), 1, 2), 1, 0), 2, "more than once"),
        (nx_terms.fun(nx_terms.TENSOR_FUN, Struct(A["Elixir.Nx.Tensor"], {})), 3, "can not be an array"),
        (nx_terms.fun(nx_terms.TENSOR_FUN, 7), 3, "lazy containers"),
    ],
)
def test_what_can_not_be_seen_through_is_refused(closure, size, why):
    with pytest.raises(BadBatch, match=why):
        batch_of(nx_terms.batch([([closure], size)], nx_terms.template(ROWS[0])))


@pytest.mark.parametrize(
    "fields",
    [
        {"stack": []}, {"stack": A.none}, {"stack": [A.none]}, {"stack": [([], 1)]}, {"pad": -1}, {"pad": None},
        {"template": None}, {"template": Struct(A["Elixir.MyApp.Container"], {})},
    ],
)  # fmt: skip
def test_a_batch_of_another_form_is_refused(fields):
    with pytest.raises(BadBatch):
        batch_of(nx_terms.stacked(ROW, **fields))


@pytest.mark.parametrize("array", [ROW, ROWS, numpy.array(1.5), numpy.array([True]), ROWS.T, ROWS.astype(">f8")])
def test_an_array_is_a_tensor_and_that_is_the_array(array):
    found = array_of(tensor_of(array))
    assert found.tolist() == array.tolist()
    assert tensor_of(array).fields[A.names] == [None] * array.ndim


@pytest.mark.parametrize("array", [numpy.array(["text"]), numpy.zeros((0, 2))])
def test_what_nx_has_not_is_refused(array):
    with pytest.raises(UsageError):
        tensor_of(array)


def test_arrays_and_tensors_change_places_wherever_they_stand():
    term = {A.a: [ROW, (ROWS, b"text")], A.b: 1}
    there = to_nx(term)
    assert there[A.a][0] == tensor_of(ROW)
    back = from_nx(there)
    assert back[A.a][1][0].tolist() == ROWS.tolist()
    assert (back[A.a][1][1], back[A.b]) == (b"text", 1)


def test_tensors_have_the_fields_that_the_callers_have():
    newer = tensor_of(ROW, donatable=True)
    assert newer.fields[A["donatable?"]] is False
    assert [has_donatable(term) for term in (newer, [1, {A.a: (tensor_of(ROW),)}], nx_terms.stacked(ROW), 1, [])] == [
        True, False, False, None, None,
    ]  # fmt: skip
    assert to_nx({A.a: [ROW]}, donatable=True)[A.a][0] == newer


def test_batches_are_made_of_arrays_as_nx_makes_them_of_tensors():
    assert Batch.stack([ROW, ROW]).value.shape == (2, 2)
    two = Batch.concatenate([(ROWS, ROWS), (ROWS, ROWS)], key=A.k, pad=1)
    assert (two.size, two.value[1].shape, two.key, two.pad) == (6, (6, 2), A.k, 1)
    assert two.form() == Batch.stack([(ROWS[0], ROWS[0])]).form()
    assert two.form() != Batch.stack([(ROWS[0], ROW)]).form()
    for wrong in ([], [ROW, ROWS], [(ROW,), ROW]):
        with pytest.raises(BadBatch):
            Batch.stack(wrong)
    with pytest.raises(BadBatch):
        Batch.concatenate([(ROWS, ROWS[:1])])


def test_padding_is_of_zeros_and_outputs_have_as_many_rows():
    assert padded((ROWS,), 0)[0] is ROWS
    assert padded({A.a: ROWS}, 2)[A.a].tolist() == [*ROWS.tolist(), [0, 0], [0, 0]]
    assert checked(([1, 2], ROWS[:2]), 2)[0].tolist() == [1, 2]
    for wrong in (ROWS, numpy.array(1)):
        with pytest.raises(Exit) as raised:
            checked(wrong, 2)
        assert raised.value.reason[0] is A.bad_output
    assert join([ROWS]) is ROWS
    assert join([(ROWS,), (ROWS,)])[0].shape == (6, 2)
