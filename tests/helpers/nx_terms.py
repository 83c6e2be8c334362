"""Tensors and batches as the terms that Nx sends, made by hand."""

from pyerlnode.bridges.nx.batch import BATCH, tensor_of
from pyerlnode.bridges.nx.serving_core import leaves, mapped
from pyerlnode.term.atom import A, Atom
from pyerlnode.term.containers import Struct
from pyerlnode.term.fun import Fun
from pyerlnode.term.pid import Pid

MAKER = Pid(Atom("app@sim"), 90, 0, 1)
TENSOR_FUN = A["Elixir.Nx.LazyContainer.Nx.Tensor"]


def fun(module, *free, arity=0):
    """A closure of `module` over `free`."""
    return Fun(module, arity, bytes(16), 1, 1, 1, MAKER, free)


def whole(array):
    """The closure of a tensor as it was given."""
    return fun(TENSOR_FUN, tensor_of(array))


def template(row):
    """A tensor without elements, of the type and shape of `row`."""
    fields = dict(tensor_of(row).fields)
    fields[A.data] = Struct(A["Elixir.Nx.TemplateBackend"], {})
    return Struct(tensor_of(row).module, fields)


def batch(entries, form, **fields):
    """`entries` are (closures in the order of the template, size), the oldest first; `form` is the template."""
    stack = [(list(reversed(closures)), size) for closures, size in reversed(entries)]
    found = {
        A.stack: stack, A.size: sum(size for _, size in entries), A.template: form, A.pad: 0, A.key: A.default,
        **{Atom(name): value for name, value in fields.items()},
    }  # fmt: skip
    return Struct(BATCH, found)


def stacked(*containers, **fields):
    """``Nx.Batch.stack(containers)``"""
    entries = [([fun(BATCH, whole(leaf)) for leaf in leaves(one)], 1) for one in containers]
    return batch(entries, mapped(template, containers[0]), **fields)


def concatenated(*containers, **fields):
    """``Nx.Batch.concatenate(containers)``"""
    entries = [([whole(leaf) for leaf in leaves(one)], len(leaves(one)[0])) for one in containers]
    return batch(entries, mapped(lambda leaf: template(leaf[0]), containers[0]), **fields)
