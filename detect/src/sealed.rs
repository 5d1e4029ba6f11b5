//! State as bytes, and back, bit for bit: what is judged after a restart is what would have been judged without it.
//!
//! One walk over all that is held serves both ways, so that writing and reading cannot disagree: it is given an [`End`]
//! that either takes bytes out of values or puts them in. Bytes of another version, damaged ones and values that cannot
//! be are refused: whoever they were of then learns anew, which is told, and never has half a state.

use std::fmt;

use beaconfire_model::EventTime;

/// Why bytes are no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotError {
    /// Another version wrote them.
    Version(u8),
    /// They are cut off, too long, or not what was written.
    Damaged,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => {
                write!(f, "learned state of version {version}, which is not this one's")
            }
            Self::Damaged => f.write_str("damaged learned state"),
        }
    }
}

impl std::error::Error for SnapshotError {}

/// What a walk takes out, behind its version and before its checksum.
pub(crate) fn seal(version: u8, walk: impl FnOnce(&mut Out)) -> Vec<u8> {
    let mut out = Out(vec![version]);
    walk(&mut out);
    let sum = checksum(&out.0);
    out.0.extend(sum);
    out.0
}

/// Lets a walk put in what was sealed; what it made is good only where this is.
pub(crate) fn open(version: u8, bytes: &[u8], walk: impl FnOnce(&mut In<'_>)) -> Result<(), SnapshotError> {
    let (body, sum) = bytes.split_last_chunk::<8>().ok_or(SnapshotError::Damaged)?;
    let (found, state) = body.split_first().ok_or(SnapshotError::Damaged)?;
    if checksum(body) != *sum {
        return Err(SnapshotError::Damaged);
    }
    if *found != version {
        return Err(SnapshotError::Version(*found));
    }
    let mut input = In { left: state, is_bad: false };
    walk(&mut input);
    if input.left.is_empty() && !input.is_bad { Ok(()) } else { Err(SnapshotError::Damaged) }
}

/// FNV-1a: finds damage, not intent. Against intent there are the walks' own checks.
fn checksum(bytes: &[u8]) -> [u8; 8] {
    let sum = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    sum.to_le_bytes()
}

/// One end of the walk: takes bytes out of values, or puts them in.
pub(crate) trait End {
    fn bytes<const N: usize>(&mut self, value: [u8; N]) -> [u8; N];

    /// What was read cannot have been written.
    fn check(&mut self, is_sound: bool);

    fn f64(&mut self, value: &mut f64) {
        *value = f64::from_le_bytes(self.bytes(value.to_le_bytes()));
    }

    fn f32(&mut self, value: &mut f32) {
        *value = f32::from_le_bytes(self.bytes(value.to_le_bytes()));
    }

    fn i64(&mut self, value: &mut i64) {
        *value = i64::from_le_bytes(self.bytes(value.to_le_bytes()));
    }

    fn u32(&mut self, value: &mut u32) {
        *value = u32::from_le_bytes(self.bytes(value.to_le_bytes()));
    }

    fn i32(&mut self, value: &mut i32) {
        *value = i32::from_le_bytes(self.bytes(value.to_le_bytes()));
    }

    fn u16(&mut self, value: &mut u16) {
        *value = u16::from_le_bytes(self.bytes(value.to_le_bytes()));
    }

    fn i16(&mut self, value: &mut i16) {
        *value = i16::from_le_bytes(self.bytes(value.to_le_bytes()));
    }

    fn u8(&mut self, value: &mut u8) {
        *value = u8::from_le_bytes(self.bytes([*value]));
    }

    fn bool(&mut self, value: &mut bool) {
        let mut byte = u8::from(*value);
        self.u8(&mut byte);
        *value = byte != 0;
    }

    fn time(&mut self, value: &mut Option<EventTime>) {
        let mut is_some = value.is_some();
        self.bool(&mut is_some);
        let millis = value.map_or(0, EventTime::millis);
        let millis = i64::from_le_bytes(self.bytes(millis.to_le_bytes()));
        *value = is_some.then(|| EventTime::from_millis(millis));
    }

    /// A number that is one.
    fn real(&mut self, value: &mut f64) {
        self.f64(value);
        self.check(value.is_finite());
    }

    /// A number that is none below zero.
    fn amount(&mut self, value: &mut f64) {
        self.f64(value);
        self.check(value.is_finite() && *value >= 0.0);
    }

    /// A whole number of at most `most`.
    fn size(&mut self, value: &mut usize, most: usize) {
        let mut small = u16::try_from(*value).unwrap_or(u16::MAX);
        self.u16(&mut small);
        let read = usize::from(small);
        self.check(read <= most);
        *value = read.min(most);
    }

    /// What may be there or not; `blank` is what a walk fills.
    fn option<T>(&mut self, value: &mut Option<T>, blank: T, walk: impl FnOnce(&mut Self, &mut T)) {
        let mut is_some = value.is_some();
        self.bool(&mut is_some);
        if is_some {
            walk(self, value.get_or_insert(blank));
        }
    }

    /// A text of at most so many bytes.
    fn text(&mut self, value: &mut String, most: usize) {
        let mut length = value.len();
        self.size(&mut length, most);
        let mut bytes = std::mem::take(value).into_bytes();
        bytes.resize(length, 0);
        for byte in &mut bytes {
            self.u8(byte);
        }
        let text = String::from_utf8(bytes);
        self.check(text.is_ok());
        *value = text.unwrap_or_default();
    }
}

/// The end that writes.
pub(crate) struct Out(Vec<u8>);

impl End for Out {
    fn bytes<const N: usize>(&mut self, value: [u8; N]) -> [u8; N] {
        self.0.extend(value);
        value
    }

    fn check(&mut self, _: bool) {}
}

/// The end that reads.
pub(crate) struct In<'b> {
    left: &'b [u8],
    is_bad: bool,
}

impl End for In<'_> {
    fn bytes<const N: usize>(&mut self, _: [u8; N]) -> [u8; N] {
        let Some((value, left)) = self.left.split_first_chunk::<N>() else {
            self.is_bad = true;
            return [0; N];
        };
        self.left = left;
        *value
    }

    fn check(&mut self, is_sound: bool) {
        self.is_bad |= !is_sound;
    }
}
