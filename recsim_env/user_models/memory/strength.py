"""Strength of memory, compiled: what is left of all plays of a song, and its powers.

    s_i = sum_j (now - t_j)^-d        over the plays j of song i;        base-level activation B_i = ln s_i

One row (one user) at a time, written into scratch of the caller; ages below a second count as a second.
"""

import numpy as np
from numba import njit

from recsim_env.arrays import Array, Floats

F = np.float32


@njit(cache=True, error_model="numpy")
def strengths_of_events(
    slot: Array, time: Array, now: float, session_start: float, decay: float, power: Floats, strength: Floats
) -> None:
    """Write the exact strength (L,) of every song; 0 for those played since the session began.

    Args: slot (E,) which song each event was a play of, -1 for no event; time (E,); power (E,) scratch.
    """
    E = len(slot)
    strength[:] = 0.0
    if decay == 0.5:
        for e in range(E):
            age = now - time[e]
            power[e] = 1.0 / np.sqrt(age if age > 1.0 else 1.0)
    else:
        for e in range(E):
            power[e] = np.exp(-decay * np.log(max(now - time[e], 1.0)))
    for e in range(E):
        if slot[e] >= 0:
            strength[slot[e]] += power[e]
    for e in range(E):
        if slot[e] >= 0 and time[e] >= session_start:
            strength[slot[e]] = 0.0


@njit(cache=True, error_model="numpy")
def strengths_of_traces(
    count: Array, first: Array, last: Array, now: float, session_start: float, decay: float, strength: Array
) -> None:
    """Write the approximate strength (L,) of songs of which the number, first and last of plays are known.

    For d below 1. The last play counts exactly, the n - 1 others as if spread evenly between the two:

        t_1^-d + (n-1) (t_n^(1-d) - t_1^(1-d)) / ((1-d) (t_n - t_1))

    which is t_1^-d + 2 (n-1) / (sqrt t_n + sqrt t_1) for d = 1/2. Single precision.

    Exact for songs played once. Over the songs played twice or more in histories of 50 users of the world
    of repeated listening, |ln(approximate / exact)| is

        d     on average    at most, of 1,500 plays    at most, of 10,000 plays
        0.3      0.05               0.29                       0.49
        0.5      0.08               0.43                       0.69
        0.8      0.11               0.58                       0.83

    and nine in ten are too high. It is never above d ln(t_n / t_1), as both sums lie between the same ends.

    Source: Petrov, "Computationally efficient approximation of the base-level learning equation in ACT-R",
    ICCM 2006, with one recent event.
    """
    L = len(strength)
    if decay == 0.5:
        for i in range(L):
            newest, oldest = F(now - last[i]), F(now - first[i])
            newest = np.sqrt(newest if newest > F(1) else F(1))
            oldest = np.sqrt(oldest if oldest > F(1) else F(1))
            total = F(1) / newest + F(2) * F(count[i] - 1) / (oldest + newest)
            strength[i] = total if last[i] < session_start else F(0)
        return
    for i in range(L):
        age, since = max(now - last[i], 1.0), max(now - first[i], 1.0)
        total_of = age**-decay
        if since > age * (1.0 + 1e-9):
            whole = (since ** (1.0 - decay) - age ** (1.0 - decay)) / (1.0 - decay)
            total_of += (count[i] - 1) * whole / (since - age)
        else:
            total_of *= count[i]
        strength[i] = F(total_of) if last[i] < session_start else F(0)


@njit(cache=True, error_model="numpy")
def raise_to_power(values: Floats, exponent: float, work: Floats) -> None:
    """Values (L,) -> values^exponent in place, 0 staying 0; relative error below 1e-12.

    By the binary exponent and two series, 2 atanh for the logarithm of the mantissa and Taylor's for exp, in
    loops without calls and branches, each over arrays of its own, which the compiler runs four or eight
    values at a time: `pow` of the C library takes ten times as long, and was half of a step.

    Args: work (3, L or more) scratch.
    """
    L = len(values)
    mantissa, binary, power = work[0], work[1], work[2]  # of which the first L entries are used
    mantissa_bits, binary_bits, power_bits = (
        mantissa.view(np.int64),
        binary.view(np.int64),
        power.view(np.int64),
    )
    for i in range(L):
        mantissa[i] = values[i] if values[i] > 1e-300 else 1e-300
    for i in range(L):
        # adding (1 - sqrt(1/2)) of a unit before the shift puts the mantissa in [0.71, 1.41)
        exponent_bits = (mantissa_bits[i] + 0x95F619980C433) >> 52
        mantissa_bits[i] -= (exponent_bits - 1023) << 52
        binary_bits[i] = exponent_bits | 0x4330000000000000  # the double 2^52 + exponent_bits
    for i in range(L):
        z = (mantissa[i] - 1.0) / (mantissa[i] + 1.0)
        y = z * z
        series = 1 / 9 + y * (1 / 11 + y * (1 / 13 + y / 15))
        series = 1.0 + y * (1 / 3 + y * (1 / 5 + y * (1 / 7 + y * series)))
        logarithm = exponent * (binary[i] - 4503599627371519.0 + z * series * 2.8853900817779268)
        power[i] = logarithm + 6755399441055744.0  # 1.5 2^52: its last bits are the nearest whole number
        mantissa[i] = (logarithm - (power[i] - 6755399441055744.0)) * 0.6931471805599453
    for i in range(L):
        power_bits[i] = (power_bits[i] + 1023) << 52
    for i in range(L):
        x = mantissa[i]
        series = 1 / 120 + x * (1 / 720 + x * (1 / 5040 + x * (1 / 40320 + x * (1 / 362880 + x / 3628800))))
        series = 1.0 + x * (1.0 + x * (1 / 2 + x * (1 / 6 + x * (1 / 24 + x * series))))
        values[i] = series * power[i] if values[i] > 1e-300 else 0.0


@njit(cache=True, error_model="numpy")
def raise_to_power_single(values: Array, exponent: float, work: Array) -> None:
    """The same for float32 values and scratch, with shorter series; relative error below 1e-5.

    Values from 1e-30, and powers between 2^-126 and 2^127: the world bounds temperature and ages so.
    """
    L = len(values)
    mantissa, binary, power = work[0], work[1], work[2]  # of which the first L entries are used
    mantissa_bits, binary_bits, power_bits = (
        mantissa.view(np.int32),
        binary.view(np.int32),
        power.view(np.int32),
    )
    e = F(exponent)
    for i in range(L):
        mantissa[i] = values[i] if values[i] > F(1e-30) else F(1e-30)
    for i in range(L):
        exponent_bits = (mantissa_bits[i] + np.int32(0x4AFB0D)) >> np.int32(23)
        mantissa_bits[i] -= (exponent_bits - np.int32(127)) << np.int32(23)
        binary_bits[i] = exponent_bits | np.int32(0x4B000000)  # the float 2^23 + exponent_bits
    for i in range(L):
        z = (mantissa[i] - F(1)) / (mantissa[i] + F(1))
        y = z * z
        series = F(1) + y * (F(1 / 3) + y * (F(1 / 5) + y * F(1 / 7)))
        logarithm = e * (binary[i] - F(8388735.0) + z * series * F(2.885390081777927))
        power[i] = logarithm + F(12582912.0)
        mantissa[i] = (logarithm - (power[i] - F(12582912.0))) * F(0.6931471805599453)
    for i in range(L):
        power_bits[i] = (power_bits[i] + np.int32(127)) << np.int32(23)
    for i in range(L):
        x = mantissa[i]
        series = F(1 / 6) + x * (F(1 / 24) + x * (F(1 / 120) + x * F(1 / 720)))
        series = F(1) + x * (F(1) + x * (F(1 / 2) + x * series))
        values[i] = series * power[i] if values[i] > F(1e-30) else F(0)
