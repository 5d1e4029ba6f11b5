//! Logarithm and power of two by arithmetic alone. The system's may differ in the last bit from one machine to the
//! next, and a series that moves between processes must score the same on each; these are also three times as fast.

/// The logarithm to base 2 of a positive normal number, to seven digits.
pub(crate) fn log2(value: f64) -> f64 {
    const LOG2_E_TWICE: f64 = 2.0 * std::f64::consts::LOG2_E;
    let bits = value.to_bits();
    // Splits into a power of two and a rest in [sqrt 1/2, sqrt 2).
    let shifted = bits.wrapping_sub(0x3fe6_a09e_667f_3bcd);
    let exponent = (shifted as i64) >> 52;
    let rest = f64::from_bits(bits.wrapping_sub((exponent << 52) as u64));
    // ln rest = 2 artanh((rest - 1) / (rest + 1)).
    let t = (rest - 1.0) / (rest + 1.0);
    let square = t * t;
    let series = (1.0 + square * (1.0 / 3.0)) + square * square * (1.0 / 5.0 + square * (1.0 / 7.0));
    exponent as f64 + LOG2_E_TWICE * t * series
}

/// Two to this power, to eight digits; what is below the least normal number is 0.
pub(crate) fn exp2(power: f64) -> f64 {
    if power < -1_000.0 {
        return 0.0;
    }
    let power = power.min(1_000.0);
    // The nearest whole number, by a conversion: `floor` is a call into C where the processor is not known to have it.
    let whole = (power + 1_024.5) as i64 - 1_024;
    let x = (power - whole as f64) * std::f64::consts::LN_2;
    // |x| is at most 0.35.
    let (square, cube) = (x * x, x * x * x);
    let low = (1.0 + x) + square * (1.0 / 2.0 + x * (1.0 / 6.0));
    let high = (1.0 / 24.0 + x * (1.0 / 120.0)) + square * (1.0 / 720.0 + x * (1.0 / 5_040.0));
    let taylor = low + x * cube * high;
    taylor * f64::from_bits(((whole + 1_023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_they_say() {
        let mut value = 1e-18;
        while value < 1e60 {
            assert!((log2(value) - value.log2()).abs() < 1e-7, "{value}");
            value *= 1.0173;
        }
        let mut power = -60.0;
        while power < 60.0 {
            assert!((exp2(power) / power.exp2() - 1.0).abs() < 1e-7, "{power}");
            power += 0.0173;
        }
        assert_eq!((log2(1.0), log2(8.0), exp2(0.0), exp2(3.0)), (0.0, 3.0, 1.0, 8.0));
        assert_eq!(exp2(-2_000.0), 0.0);
        assert!(exp2(2_000.0).is_finite());
    }
}
