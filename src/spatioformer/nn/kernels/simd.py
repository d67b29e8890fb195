"""Vectors for numba: `LANES` float32 or uint32 numbers as one value in a register.

numba vectorises simple loops by itself, but it cannot keep a tile of a matrix product in registers
while another loop runs. Here a vector is an ordinary value with `+ - *`. A `stack` is a small array
of vectors on the call stack; LLVM turns it into registers where its indices are constants after
unrolling. LLVM splits a vector to fit the processor's registers (AVX-512, AVX2, NEON).

Arrays are C-contiguous and addressed by one flat offset. Bounds are not checked.
"""

import operator

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

LANES = 16 if llvm.get_host_cpu_features().get("avx512f") else 8
"""Numbers in a vector: as many as the widest registers hold, at least eight."""

F32, U32 = ir.FloatType(), ir.IntType(32)


class Vector(types.Type):
    """`LANES` numbers of one kind, "float32" or "uint32"."""

    def __init__(self, kind: str):
        self.kind = kind
        super().__init__(f"vector({kind} x {LANES})")


class Stack(types.Type):
    """A pointer to float32 vectors on the call stack."""

    def __init__(self):
        super().__init__("stack of vectors")


floats, integers, stacks = Vector("float32"), Vector("uint32"), Stack()
FLOATS, INTEGERS = ir.VectorType(F32, LANES), ir.VectorType(U32, LANES)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, FLOATS if kind.kind == "float32" else INTEGERS)


@register_model(Stack)
class _StackModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, FLOATS.as_pointer())


def _splat(builder, scalar, vector):
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(U32, 0))
    zeros = ir.Constant(ir.VectorType(U32, LANES), None)
    return builder.shuffle_vector(first, undefined, zeros)


def _element(context, builder, array_type, array, offset):
    """Pointer to the number `offset` places after the first."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


@intrinsic
def load(typingctx, array, offset):
    """Load LANES consecutive numbers of a float32 array, from a flat offset on."""

    def build(context, builder, signature, arguments):
        pointer = _element(context, builder, signature.args[0], *arguments)
        vector = builder.load(builder.bitcast(pointer, FLOATS.as_pointer()))
        vector.align = 4
        return vector

    return floats(array, types.intp), build


@intrinsic
def store(typingctx, array, offset, value):
    """Store a vector as LANES consecutive numbers of a float32 array."""

    def build(context, builder, signature, arguments):
        pointer = _element(context, builder, signature.args[0], *arguments[:2])
        written = builder.store(arguments[2], builder.bitcast(pointer, FLOATS.as_pointer()))
        written.align = 4
        return context.get_dummy_value()

    return types.none(array, types.intp, floats), build


@intrinsic
def spread(typingctx, array, offset):
    """One number of a float32 array, in every lane."""

    def build(context, builder, signature, arguments):
        pointer = _element(context, builder, signature.args[0], *arguments)
        return _splat(builder, builder.load(pointer), FLOATS)

    return floats(array, types.intp), build


@intrinsic
def splat(typingctx, number):
    """A float32 number in every lane."""

    def build(context, builder, signature, arguments):
        return _splat(builder, arguments[0], FLOATS)

    return floats(types.float32), build


@intrinsic
def splat_integer(typingctx, number):
    """A uint32 number in every lane."""

    def build(context, builder, signature, arguments):
        return _splat(builder, arguments[0], INTEGERS)

    return integers(types.uint32), build


@intrinsic
def bits_of(typingctx, a):
    """The bits of float32 numbers as integers."""

    def build(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], INTEGERS)

    return integers(floats), build


@intrinsic
def of_bits(typingctx, a):
    """The float32 numbers that have these bits."""

    def build(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], FLOATS)

    return floats(integers), build


@intrinsic
def where_not_below(typingctx, a, b, value):
    """`value` in the lanes where integer a >= b, 0 elsewhere."""

    def build(context, builder, signature, arguments):
        a, b, value = arguments
        zero = ir.Constant(FLOATS, None)
        return builder.select(builder.icmp_unsigned(">=", a, b), value, zero)

    return floats(integers, integers, floats), build


@intrinsic
def where_positive(typingctx, a, value):
    """`value` in the lanes where a > 0, 0 elsewhere."""

    def build(context, builder, signature, arguments):
        a, value = arguments
        zero = ir.Constant(FLOATS, None)
        return builder.select(builder.fcmp_ordered(">", a, zero), value, zero)

    return floats(floats, floats), build


@intrinsic
def lane_numbers(typingctx):
    """0, 1, 2 ... LANES - 1."""

    def build(context, builder, signature, arguments):
        return ir.Constant(INTEGERS, list(range(LANES)))

    return integers(), build


@intrinsic(prefer_literal=True)
def stack(typingctx, size):
    """`size` vectors, a constant, on the call stack; not initialised."""
    count = size.literal_value

    def build(context, builder, signature, arguments):
        block = cgutils.alloca_once(builder, ir.ArrayType(FLOATS, count))
        return builder.bitcast(block, FLOATS.as_pointer())

    return stacks(size), build


@intrinsic
def _get(typingctx, pile, index):
    def build(context, builder, signature, arguments):
        return builder.load(builder.gep(arguments[0], [arguments[1]]))

    return floats(stacks, types.intp), build


@intrinsic
def _set(typingctx, pile, index, value):
    def build(context, builder, signature, arguments):
        builder.store(arguments[2], builder.gep(arguments[0], [arguments[1]]))
        return context.get_dummy_value()

    return types.none(stacks, types.intp, floats), build


@overload(operator.getitem)
def _stack_get(pile, index):
    if isinstance(pile, Stack):
        return lambda pile, index: _get(pile, index)
    return None


@overload(operator.setitem)
def _stack_set(pile, index, value):
    if isinstance(pile, Stack):
        return lambda pile, index, value: _set(pile, index, value)
    return None


def _binary(name: str, kind: Vector):
    """An intrinsic of two vectors from the builder's instruction `name`."""

    @intrinsic
    def instruction(typingctx, a, b):
        def build(context, builder, signature, arguments):
            return getattr(builder, name)(*arguments)

        return kind(kind, kind), build

    return instruction


def _define(symbol, for_floats, for_integers):
    @overload(symbol)
    def operation(a, b):
        if a == floats and b == floats and for_floats is not None:
            return lambda a, b: for_floats(a, b)
        if a == integers and b == integers and for_integers is not None:
            return lambda a, b: for_integers(a, b)
        return None


_define(operator.add, _binary("fadd", floats), _binary("add", integers))
_define(operator.sub, _binary("fsub", floats), None)
_define(operator.mul, _binary("fmul", floats), _binary("mul", integers))
_define(operator.truediv, _binary("fdiv", floats), None)
_define(operator.xor, None, _binary("xor", integers))
_define(operator.and_, None, _binary("and_", integers))
_define(operator.rshift, None, _binary("lshr", integers))
_define(operator.lshift, None, _binary("shl", integers))


def _call(name: str, count: int):
    """An intrinsic of `count` float vectors from LLVM's function `name`."""

    def build(context, builder, signature, arguments):
        kind = ir.FunctionType(FLOATS, [FLOATS] * count)
        function = cgutils.get_or_insert_function(builder.module, kind, f"{name}.v{LANES}f32")
        return builder.call(function, arguments)

    return floats(*[floats] * count), build


@intrinsic
def fma(typingctx, a, b, c):
    """a * b + c, rounded once."""
    return _call("llvm.fma", 3)


@intrinsic
def maximum(typingctx, a, b):
    """The larger of two; b where a is NaN."""

    def build(context, builder, signature, arguments):
        a, b = arguments
        return builder.select(builder.fcmp_ordered(">", a, b), a, b)

    return floats(floats, floats), build


@intrinsic
def minimum(typingctx, a, b):
    """The smaller of two; b where a is NaN."""

    def build(context, builder, signature, arguments):
        a, b = arguments
        return builder.select(builder.fcmp_ordered("<", a, b), a, b)

    return floats(floats, floats), build


@intrinsic
def root(typingctx, a):
    """Square root."""
    return _call("llvm.sqrt", 1)
