//! Numbers as people on call read them: in titles, and in whatever tells of an incident.

use std::time::Duration;

/// `4120` as `4,120`; a fraction keeps two digits.
pub fn count(value: f64) -> String {
    if value.fract() != 0.0 || !value.is_finite() {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of bytes: `512 bytes`, `2.0 GiB`.
pub fn bytes(value: f64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (value, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{} bytes", count(value)) } else { format!("{value:.1} {}", units[unit]) }
}

/// A window: `60 s`, `10 min`.
pub fn window(window: Duration) -> String {
    match (window.as_millis(), window.as_secs()) {
        (millis, _) if millis % 1_000 != 0 => format!("{millis} ms"),
        (_, seconds) if seconds >= 120 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        (_, seconds) => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (value, text) in
            [(0.0, "0"), (999.0, "999"), (4_120.0, "4,120"), (1_234_567.0, "1,234,567"), (0.5, "0.50")]
        {
            assert_eq!(count(value), text);
        }
    }

    #[test]
    fn bytes_have_units() {
        for (value, text) in [(900.0, "900 bytes"), (1536.0, "1.5 KiB"), (2_147_483_648.0, "2.0 GiB")] {
            assert_eq!(bytes(value), text);
        }
    }

    #[test]
    fn windows_are_said_as_people_say_them() {
        for (millis, text) in [(500, "500 ms"), (10_000, "10 s"), (60_000, "60 s"), (600_000, "10 min")] {
            assert_eq!(window(Duration::from_millis(millis)), text);
        }
    }
}
