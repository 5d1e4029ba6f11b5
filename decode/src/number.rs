//! Numbers as logs write them, in JSON or in lines. What is short and plain is read here, all else by the library: both
//! give the same.

/// A number that counts something. Below zero is how logs say "none".
#[inline]
pub(crate) fn integer(text: &str) -> Option<u64> {
    // Nineteen digits cannot overflow.
    let digits = |sum: u64, byte: &u8| {
        byte.is_ascii_digit().then(|| sum.wrapping_mul(10).wrapping_add(u64::from(byte & 15)))
    };
    match text.as_bytes() {
        bytes @ [_, ..] if bytes.len() < 20 => bytes.iter().try_fold(0, digits).or_else(|| rounded(text)),
        _ => rounded(text),
    }
}

/// The number that these bytes begin with, and how many digits it has among them: all at once, since how many there are is
/// what nothing can guess.
#[inline(always)]
pub(crate) fn leading(bytes: &[u8; 8]) -> (u64, usize) {
    let values = u64::from_le_bytes(*bytes) ^ 0x3030_3030_3030_3030;
    let beyond_nine = (values & 0x7f7f_7f7f_7f7f_7f7f).wrapping_add(0x7676_7676_7676_7676) | values;
    let digits = (beyond_nine & 0x8080_8080_8080_8080).trailing_zeros() / 8;
    // With zeros before them there are eight.
    let Some(values) = values.checked_shl(64 - 8 * digits) else { return (0, 0) };
    // Pairs of digits, then of pairs, then of fours; each product has its sum above what is shifted away.
    let pairs = values.wrapping_mul(10 << 8 | 1) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100 << 16 | 1) >> 16 & 0x0000_ffff_0000_ffff;
    (fours.wrapping_mul(10_000 << 32 | 1) >> 32, digits as usize)
}

#[cold]
fn rounded(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| {
        let number = text.parse::<f64>().ok().filter(|number| *number >= 0.0 && number.is_finite())?;
        Some(number as u64) // saturates
    })
}

/// A finite number.
#[inline]
pub(crate) fn float(text: &str) -> Option<f64> {
    decimal(text.as_bytes()).or_else(|| text.parse().ok().filter(|number: &f64| number.is_finite()))
}

/// Seconds below ten with milliseconds, `0.012`, as nginx writes most durations.
#[inline(always)]
pub(crate) fn millis(text: &str) -> Option<u64> {
    let [a @ b'0'..=b'9', b'.', b @ b'0'..=b'9', c @ b'0'..=b'9', d @ b'0'..=b'9'] = text.as_bytes() else {
        return None;
    };
    let digit = |byte: &u8| u64::from(byte & 15);
    Some(digit(a) * 1000 + digit(b) * 100 + digit(c) * 10 + digit(d))
}

/// `12` or `0.012` of few digits. Such digits and such a power of ten are floats themselves, so that their quotient is
/// the float nearest to the number, which is what the library finds the long way.
#[inline]
fn decimal(text: &[u8]) -> Option<f64> {
    const POWERS: [f64; 16] =
        [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    if text.is_empty() || text.len() > POWERS.len() {
        return None;
    }
    let (mut digits, mut point) = (0u64, None);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => digits = digits.wrapping_mul(10).wrapping_add(u64::from(byte & 15)),
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let parts = match point {
        // A point alone is no number, and one at an end is the library's to judge.
        Some(at) if at == 0 || at + 1 == text.len() => return None,
        Some(at) => text.len() - at - 1,
        None => 0,
    };
    // 2^53: without a point, sixteen digits may be more.
    (digits < 1 << 53).then(|| digits as f64 / POWERS[parts])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_in_every_way_logs_write_them() {
        for (text, meant) in [
            ("0", Some(0)),
            ("200", Some(200)),
            ("0200", Some(200)),
            ("+7", Some(7)),
            ("12.9", Some(12)),
            ("1e3", Some(1000)),
            ("9999999999999999999", Some(9_999_999_999_999_999_999)),
            ("18446744073709551615", Some(u64::MAX)),
            ("99999999999999999999", Some(u64::MAX)),
            ("-1", None),
            ("", None),
            ("-", None),
            (" 1", None),
            ("1:", None),
            ("inf", None),
        ] {
            assert_eq!(integer(text), meant, "{text}");
        }
    }

    #[test]
    fn seconds_of_milliseconds_are_what_the_library_makes_of_them() {
        for millis in 0..10_000 {
            let text = format!("{}.{:03}", millis / 1000, millis % 1000);
            assert_eq!(super::millis(&text), Some(millis));
            assert_eq!((text.parse::<f64>().unwrap() * 1e6).round() as u64, millis * 1000);
        }
        for text in ["", "0.01", "00.012", "0,012", "a.012", "0.0121", "-.012", "0.01é"] {
            assert_eq!(super::millis(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn digits_at_the_beginning_are_a_number(text in "[0-9]{0,8}[ -~]{8}|[0-9/:]{8}", bytes: [u8; 8]) {
            for bytes in [*text.as_bytes().first_chunk().unwrap(), bytes] {
                let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let meant = bytes[..digits].iter().fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0'));
                prop_assert_eq!(leading(&bytes), (meant, digits));
            }
        }

        #[test]
        fn the_short_way_reads_what_the_library_reads(text in "[0-9]{0,9}[.]?[0-9]{0,9}|[0-9.eE+-]{0,20}|.{0,6}") {
            prop_assert_eq!(float(&text), text.parse().ok().filter(|number: &f64| number.is_finite()));
            prop_assert_eq!(integer(&text), rounded(&text));
        }
    }
}
