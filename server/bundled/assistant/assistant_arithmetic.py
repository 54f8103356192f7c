"""Arithmetic on text, without running it: bounded in size, so that no expression can keep the process busy. Pure."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable

__all__ = ["NotComputable", "compute"]

MAX_CHARS = 500
MAX_BITS = 4096  # of a whole number, about 1,200 digits
MAX_DIGITS = 100  # to round to

Number = int | float

_CONSTANTS: dict[str, float] = {"pi": math.pi, "e": math.e, "tau": math.tau}
_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "abs": abs,
    "ceil": math.ceil,
    "cos": math.cos,
    "exp": math.exp,
    "floor": math.floor,
    "log": math.log,
    "log10": math.log10,
    "log2": math.log2,
    "max": max,
    "min": min,
    "round": lambda value, digits=0: _rounded(value, digits),
    "sin": math.sin,
    "sqrt": math.sqrt,
    "tan": math.tan,
}


class NotComputable(ValueError):
    """An expression that has no value here; the message says why."""


def compute(expression: str) -> str:
    """The value, written as a number. Raises NotComputable."""
    if len(expression) > MAX_CHARS:
        raise NotComputable(f"An expression has at most {MAX_CHARS} characters.")
    try:
        tree = ast.parse(expression.strip().replace("^", "**"), mode="eval")
        return _written(_value(tree.body))
    except (SyntaxError, RecursionError, MemoryError):
        raise NotComputable("This is no arithmetic expression.") from None
    except ZeroDivisionError:
        raise NotComputable("Division by zero.") from None
    except OverflowError:
        raise NotComputable("The value is too large.") from None
    except (ValueError, TypeError) as error:
        if isinstance(error, NotComputable):
            raise
        raise NotComputable("A function was given a value that it has no result for.") from None


def _written(value: Number) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _value(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=bool()):
            raise NotComputable("Only numbers can be computed with.")
        case ast.Constant(value=int() | float() as number):
            return _bounded(number)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _bounded(_OPERATORS[type(op)](_value(left), _value(right)))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](*map(_value, args)))
    raise NotComputable("Only numbers, + - * / // % **, parentheses and the named functions can be used.")


def _bounded(value: Number) -> Number:
    if isinstance(value, complex):
        raise NotComputable("The value is no real number.")
    is_bounded = value.bit_length() <= MAX_BITS if isinstance(value, int) else math.isfinite(value)
    if not is_bounded:
        raise NotComputable("The value is too large.")
    return value


def _rounded(value: Number, digits: Number) -> Number:
    if abs(digits) > MAX_DIGITS:
        raise NotComputable(f"A number is rounded to at most {MAX_DIGITS} digits.")
    return round(value, int(digits)) if digits else round(value)


def _power(base: Number, exponent: Number) -> Number:
    """The power, refused before it is computed where it would be too large."""
    if isinstance(base, int) and isinstance(exponent, int) and abs(base) > 1 and base.bit_length() * abs(exponent) > 2 * MAX_BITS:
        raise NotComputable("The value is too large.")
    return base**exponent


_OPERATORS: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
