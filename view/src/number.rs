//! Numbers that print as integers where they are whole: a count of 412 is `412`, a share is `0.37`. What is no
//! number at all prints as `null` and reads as NaN.

use serde::{Deserialize, Deserializer, Serializer};

/// Above this not every integer is a double, so that printing one would claim digits it does not have.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if !value.is_finite() {
        serializer.serialize_none()
    } else if value.fract() == 0.0 && value.abs() < EXACT_MAX {
        serializer.serialize_i64(*value as i64)
    } else {
        serializer.serialize_f64(*value)
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Holder(#[serde(with = "super")] f64);

    #[test]
    fn whole_numbers_print_as_integers() {
        for (value, text) in [
            (412.0, "412"),
            (0.0, "0"),
            (-3.0, "-3"),
            (0.375, "0.375"),
            (1e300, "1e+300"),
            (f64::INFINITY, "null"),
        ] {
            let printed = serde_json::to_string(&Holder(value)).unwrap();
            assert_eq!(printed, text);
            let read: Holder = serde_json::from_str(&printed).unwrap();
            assert!(read.0 == value || !value.is_finite() && read.0.is_nan(), "{text}");
        }
    }
}
