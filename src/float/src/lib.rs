//! Exact IEEE 754 arithmetic with the rounding, NaN and flag rules of the guest
