"""Counting bits, and the plain scan: compare a query with every row.

numba has neither a population count nor a prefetch; LLVM has an instruction for each, and something
in its place where the processor has none. Results do not depend on which it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.ir
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from hashmatch.compiledcode import compiled

# Untyped.
_ir: Any = llvmlite.ir
_declared: Any = cgutils.get_or_insert_function


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled at first use, kept on disk, and run without holding the interpreter's lock.

    A kernel's arguments are Any: numba infers their types when it is called.
    """
    made: Callable[..., Any] = compiled(function, nogil=True)
    return made


def _popcount(context: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


def _prefetch(context: Any, array: Any, position: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte, number = _ir.IntType(8).as_pointer(), _ir.IntType(32)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        kind = _ir.FunctionType(_ir.VoidType(), [byte, number, number, number])
        function = _declared(builder.module, kind, "llvm.prefetch.p0")
        # To read, to be kept in every cache, as data.
        builder.call(function, [address, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.uint64), generate


popcount: Any = intrinsic(_popcount)
# prefetch(array, i): fetch the i-th item of a contiguous array's memory into the cache, meanwhile.
prefetch: Any = intrinsic(_prefetch)


@kernel
def distance_of(rows: Any, i: Any, query: Any) -> Any:
    """Bits in which row i of (n, 4) uint64 differs from a query."""
    return (
        popcount(rows[i, 0] ^ query[0])
        + popcount(rows[i, 1] ^ query[1])
        + popcount(rows[i, 2] ^ query[2])
        + popcount(rows[i, 3] ^ query[3])
    )


@kernel
def scan(rows: Any, query: Any, radius: Any, at: Any, out_row: Any, out_distance: Any) -> Any:
    """Write every row of (n, words) uint64 within radius of query from index `at` on.

    Returns the index after the last one written, -1 where there was not enough room.
    """
    limit = np.uint64(radius)
    room = len(out_row)
    for i in range(rows.shape[0]):
        distance = np.uint64(0)
        for w in range(rows.shape[1]):
            distance += popcount(rows[i, w] ^ query[w])
        if distance <= limit:
            if at == room:
                return -1
            out_row[at] = i
            out_distance[at] = distance
            at += 1
    return at


@kernel
def scan_all(
    rows: Any, queries: Any, first: Any, radius: Any, query: Any, row: Any, distance: Any
) -> Any:
    """Compare queries from first on with every row, as long as there is room.

    Returns the first query that was not finished, and the number of hits of those before it.
    """
    at = 0
    for q in range(first, len(queries)):
        end = scan(rows, queries[q], radius, at, row, distance)
        if end < 0:
            return q, at
        query[at:end] = q
        at = end
    return len(queries), at


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """The array, read-only, so that built and memory-mapped ones share the compiled kernels."""
    view = array.view()
    view.flags.writeable = False
    return view
